"""The models of the maturity benchmark, from scratch and on a frozen backbone, made to learn."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.graded import GradedImages
from metabone.datasets.images import Images, ImageSet
from metabone.episodes.store import ImageStore
from metabone.errors import InputError
from metabone.learners.base import MetaLearner
from metabone.nets.network import Network
from metabone.nets.stored_features import stored_features
from metabone.radiograph.sex import SEX_WEIGHT, join_sex, with_sex_row
from metabone.training.checkpoints import load_checkpoint
from metabone.training.run import Run
from metabone.workflows.backbones import backbone_and_scaling, embed
from metabone.workflows.meta_training import (
    Outer,
    TaskSizes,
    meta_start,
    meta_train_on,
    store_of,
)
from metabone.workflows.networks import (
    cosine_adam,
    fitted_head,
    head_network,
    maml_of,
    probe_head,
    whole_network,
)
from metabone.workflows.seeds import seeds_of
from metabone.workflows.settings import LearnerSettings
from metabone.workflows.variants import PAPER, Variant


class Target(NamedTuple):
    """What learners are measured on.

    Attributes:
      images: `[N, H, W, C]` uint8.
      store_of: from the images, or `[N, D]` features of them, to a store on the device.
      sex: `[N]` str, see `radiograph.sex`; None where nobody asks.
    """

    images: np.ndarray
    store_of: Callable[[np.ndarray], ImageStore]
    sex: np.ndarray | None = None


class Arm(NamedTuple):
    """Meta- and base learner of one model, or one more learner of it.

    Attributes:
      model: its name, see `Variant.name`.
      network: of both.
      learner: the meta-learner, or what is called `learning`.
      train: meta-trains it, or finds that done; its meta-parameters.
      validation: images or features to choose base learning's settings on; None where another run
        has.
      target: store on the device of what both are measured on.
      learning: what rows of `learner` are called.
      base: whether base learning of the network is measured beside it.
      ordered: whether classes are in order, so that a task's labels must be.
      whole: whether an example of `target` is a whole film, not a region.
      trained: whether anything of `learner` is learned before the target is seen.
      backbone: whether the target's features are of a network that this run trains.
    """

    model: str
    network: Network
    learner: MetaLearner
    train: Callable[[], Any]
    validation: ImageSet | None
    target: ImageStore
    learning: str = "meta"
    base: bool = True
    ordered: bool = False
    whole: bool = False
    trained: bool = True
    backbone: bool = False


def both_models(
    config: LearnerSettings,
    train: Images | None,
    validation: ImageSet | None,
    target: Target,
    *,
    ways: int,
    run: Run,
    features_dir: Path,
    trained: Path | None = None,
    variants: Sequence[Variant] = PAPER,
) -> Iterator[Arm]:
    """Yields the learners of each model: those from scratch, and those on frozen features.

    Args:
      config: of the run.
      train: images to meta-train on, in memory or in records; None where `trained` has done it.
      validation: images of other classes; likewise.
      target: what is measured on.
      ways: outputs of the networks.
      run: keeps checkpoints and metrics.
      features_dir: where features are kept.
      trained: folder of a run whose learners are taken.
      variants: the models; by default those of the paper, whose features have no linear heads.
    """
    made = _Arms(config, train, validation, target, ways, run, features_dir, trained)
    for variant in variants:
        if variant.model == "scratch":
            yield made.from_scratch(variant)
        else:
            arm = made.on_features(variant)
            # What base learning is on many histograms, a linear head does better and sooner.
            yield arm._replace(base="hog" not in variant.model)
            if variants != PAPER:
                yield made.fitted(variant, "linear", fitted_head)
            yield made.fitted(variant, "probe", probe_head)


class _Arms:
    """Makes arms, and keeps the features that several of them stand on."""

    def __init__(self, config, train, validation, target, ways, run, features_dir, trained):
        self._config, self._target, self._ways, self._run = config, target, ways, run
        self._train, self._validation = train, validation
        self._features_dir, self._trained = features_dir, trained
        # Classes that were cut from a grade are in order, and so are those of the target.
        self._graded = isinstance(train, GradedImages)
        self._kept: dict[str, tuple[np.ndarray, ...]] = {}

    def from_scratch(self, variant: Variant) -> Arm:
        config = self._config
        network = whole_network(config, self._ways, ordinal=variant.ordinal, sex=variant.sex)
        learner = maml_of(config, network, config.adapts)
        shape = (config.size + variant.sex, config.size, config.channels)
        held_out = self._with_row(variant, self._validation)
        values = self._with_row(variant, self._train).images if variant.sex else None
        training = self._trainer(variant, learner, config.meta_steps, shape, values, held_out)
        images = self._target.images
        if variant.sex:
            images = with_sex_row(images, self._target.sex)
        store = self._target.store_of(images)
        return self._arm(variant, network, learner, training, held_out, store)

    def on_features(self, variant: Variant) -> Arm:
        config, features = self._config, self._features(variant.model)
        network = head_network(config, self._ways, ordinal=variant.ordinal)
        learner = maml_of(config, network)
        # Every feature has about variance one, where `SEX_WEIGHT` is for a total of one.
        weight = SEX_WEIGHT * float(np.sqrt(features["target"].shape[-1]))
        target = _with_sex(variant, features["target"], self._target.sex, weight)
        values = held_out = None
        if self._trained is None:
            values = _with_sex(variant, features["train"], _sex_of(self._train), weight)
            images = self._validation
            held = _with_sex(variant, features["validation"], _sex_of(images), weight)
            held_out = dataclasses.replace(images, images=held)
        training = self._trainer(
            variant, learner, config.head_steps, target.shape[1:], values, held_out
        )
        store = self._target.store_of(target)
        return self._arm(variant, network, learner, training, held_out, store)

    def fitted(self, variant: Variant, learning: str, head: Callable[..., MetaLearner]) -> Arm:
        """A head that nobody trains before."""
        found = self._features(variant.model)
        features, images = found["target"], self._validation
        weight = SEX_WEIGHT if variant.ordinal else SEX_WEIGHT * float(np.sqrt(features.shape[-1]))
        store = self._target.store_of(_with_sex(variant, features, self._target.sex, weight))
        learner = head(self._ways, ordinal=variant.ordinal, sex=variant.sex)
        params = learner.init(jax.random.key(0), store.images.shape[2:])
        held_out = None
        if images is not None:
            held = _with_sex(variant, found["validation"], _sex_of(images), weight)
            held_out = dataclasses.replace(images, images=held)
        arm = self._arm(variant, stored_features(), learner, lambda: params, held_out, store)
        return arm._replace(learning=learning, base=False, trained=arm.backbone)

    def _arm(self, variant, network, learner, training, held_out, store) -> Arm:
        ordered = variant.ordinal or self._graded
        config = self._config
        elsewhere = config.backbone_weights or config.pretrained
        arm = Arm(variant.name, network, learner, training, held_out, store)
        backbone = "pretrained" in variant.model and not elsewhere
        return arm._replace(ordered=ordered, backbone=backbone)

    def _with_row(self, variant: Variant, images: Images | None) -> Any:
        if images is None or not variant.sex:
            return images
        if not isinstance(images, ImageSet):
            raise InputError("sex beside images: expected images in memory, not in records")
        joined = with_sex_row(images.images, _sex_of(images))
        return dataclasses.replace(images, images=joined)

    def _features(self, model: str) -> dict[str, np.ndarray]:
        """Scaled features of all parts by the model's name, computed once."""
        if model not in self._kept:
            parts = [self._of_backbone(name) for name in model.split(" + ")]
            first = parts[0]["target"].shape[-1]
            # Whatever their number, features of every backbone count alike.
            alike = [np.float32(np.sqrt(first / part["target"].shape[-1])) for part in parts]
            self._kept[model] = {
                name: np.concatenate(
                    [part[name] * each for part, each in zip(parts, alike, strict=True)], axis=-1
                )
                for name in parts[0]
            }
        return self._kept[model]

    def _of_backbone(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._kept:
            backbone, scaling = backbone_and_scaling(
                *(self._config, self._train, self._run, self._features_dir, self._trained),
                hog=name == "hog",
            )
            images = {"target": self._target.images}
            if self._trained is None:
                images |= {"train": self._train, "validation": self._validation}
            self._kept[name] = {
                part: scaling(embed(backbone, self._features_dir, each))
                for part, each in images.items()
            }
        return self._kept[name]

    def _trainer(self, variant, learner, steps, shape, values, held_out) -> Callable[[], Any]:
        config, train, phase = self._config, self._train, f"meta_{variant.slug}"
        outer = outer_of(config, steps)
        if self._trained is not None:
            # Read before anything is compiled.
            found = trained_meta_params(learner, self._trained, phase, shape, outer)
            return lambda: found
        sizes = TaskSizes(self._ways, config.meta_shots, config.meta_queries)
        in_records = values is None and not isinstance(train, ImageSet)
        if in_records:
            # Images stay where they are: the store only tells which is of which class.
            values = np.zeros((len(train), 0), np.uint8)
        stores = {
            "train": store_of(train, sizes, values),
            "validation": store_of(held_out, sizes),
        }
        return partial(
            _train,
            learner,
            stores,
            sizes,
            outer,
            streamed=train if in_records else None,
            flip=config.meta_flip and phase == "meta_scratch",
            run=self._run,
            phase=phase,
        )


def _sex_of(images: Images) -> np.ndarray:
    return images.sex if isinstance(images, GradedImages) else np.full(len(images), "")


def _with_sex(
    variant: Variant, features: np.ndarray, sex: np.ndarray | None, weight: float
) -> np.ndarray:
    return join_sex(features, sex, weight) if variant.sex else features


def _train(*args: Any, **options: Any) -> Any:
    return meta_train_on(*args, **options).best_state.meta_params


def outer_of(config: LearnerSettings, steps: int) -> Outer:
    """The outer loop of either arm."""
    return Outer(
        cosine_adam(config.meta_rate, steps, 0.1),
        steps,
        config.meta_batch,
        config.clip,
        config.mapping,
        config.validate_every,
        config.validation_tasks,
        seeds_of(config).train,
    )


def trained_meta_params(
    learner: MetaLearner, folder: Path, phase: str, shape: tuple[int, ...], outer: Outer
) -> Any:
    """The meta-parameters of a run's phase at its best validation, in the learner's own type."""
    template = meta_start(learner, shape, outer)
    found = load_checkpoint(folder / "checkpoints" / phase, template, best=True)
    return found.state.meta_params

"""The models of the maturity benchmark, from scratch and on a frozen backbone, made to learn."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabone.datasets.images import Images, ImageSet
from metabone.episodes.store import ImageStore
from metabone.learners.base import MetaLearner
from metabone.nets.network import Network
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
from metabone.workflows.networks import cosine_adam, head_network, maml_of, whole_network
from metabone.workflows.settings import LearnerSettings


class Target(NamedTuple):
    """What learners are measured on.

    Attributes:
      images: `[N, H, W, C]` uint8.
      store_of: from the images, or `[N, D]` features of them, to a store on the device.
    """

    images: np.ndarray
    store_of: Callable[[np.ndarray], ImageStore]


class Arm(NamedTuple):
    """Meta- and base learner of one model.

    Attributes:
      model: `scratch` or `pretrained`.
      network: of both.
      learner: the meta-learner.
      train: meta-trains it, or finds that done; its meta-parameters.
      validation: images or features to choose base learning's settings on; None where another run
        has.
      target: store on the device of what both are measured on.
    """

    model: str
    network: Network
    learner: MetaLearner
    train: Callable[[], Any]
    validation: ImageSet | None
    target: ImageStore


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
) -> Iterator[Arm]:
    """Yields both learners from scratch, then both on a backbone that is trained first.

    Args:
      config: of the run.
      train: images to meta-train on, in memory or in records; None where `trained` has done it.
      validation: images of other classes; likewise.
      target: what is measured on.
      ways: outputs of the networks.
      run: keeps checkpoints and metrics.
      features_dir: where features are kept.
      trained: folder of a run whose learners are taken.
    """

    def trainer(learner, phase, steps, shape, values, held_out):
        outer = outer_of(config, steps)
        if trained is not None:
            # Read before anything is compiled.
            found = trained_meta_params(learner, trained, phase, shape, outer)
            return lambda: found
        sizes = TaskSizes(ways, config.meta_shots, config.meta_queries)
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
            run=run,
            phase=phase,
        )

    network = whole_network(config, ways)
    learner = maml_of(config, network, config.adapts)
    shape = (config.size, config.size, config.channels)
    training = trainer(learner, "meta_scratch", config.meta_steps, shape, None, validation)
    store = target.store_of(target.images)
    yield Arm("scratch", network, learner, training, validation, store)

    backbone, scaling = backbone_and_scaling(config, train, run, features_dir, trained)

    def features(images: Images | np.ndarray) -> np.ndarray:
        return scaling(embed(backbone, features_dir, images))

    found = features(target.images)
    network = head_network(config, ways)
    learner = maml_of(config, network)
    values = held_out = None
    if trained is None:
        values = features(train)
        held_out = dataclasses.replace(validation, images=features(validation))
    training = trainer(
        learner, "meta_pretrained", config.head_steps, found.shape[1:], values, held_out
    )
    yield Arm("pretrained", network, learner, training, held_out, target.store_of(found))


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
        config.seed,
    )


def trained_meta_params(
    learner: MetaLearner, folder: Path, phase: str, shape: tuple[int, ...], outer: Outer
) -> Any:
    """The meta-parameters of a run's phase at its best validation, in the learner's own type."""
    template = meta_start(learner, shape, outer)
    found = load_checkpoint(folder / "checkpoints" / phase, template, best=True)
    return found.state.meta_params

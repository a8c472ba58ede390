"""Few-shot learners on the features of frozen backbones, on several targets: rows of a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.episodes.sampling import scale
from metabone.evaluation.auroc import auroc_interval
from metabone.evaluation.film_rows import paired_width, rows_of
from metabone.evaluation.protocol import FilmLogits, FilmReading, read_logits
from metabone.learners.base import MetaLearner
from metabone.nets.feature_store import weights_sha256
from metabone.nets.network import Network
from metabone.other_trainings import over_trainings
from metabone.training.run import Run
from metabone.workflows.arms import outer_of
from metabone.workflows.backbones import (
    Backbone,
    embed,
    pretrained_backbone,
    published_backbone,
    without_head,
)
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.feature_learners import feature_learner, needs_as_many_ways
from metabone.workflows.feature_scaling import scaling_of
from metabone.workflows.feature_settings import EMBEDDINGS, FITTED, OWN_BACKBONES, FeatureSettings
from metabone.workflows.kept_readings import keep_reading, kept_readings
from metabone.workflows.meta_training import TaskSizes, meta_train_on, store_of
from metabone.workflows.networks import backbone_network, maml_of, whole_network
from metabone.workflows.seeds import seeds_of
from metabone.workflows.target_sets import TargetSet
from metabone.workflows.task_table import is_measured, line_of
from metabone.workflows.trained import up_to

_WORKERS = 2
FIRST = "probe"
"""The learner that the others on the same features are compared with, in pairs."""


class FeatureData(NamedTuple):
    """What a table stands on.

    Attributes:
      parts: classes to learn from.
      targets: at the size of the meta-images.
      large: the same at the size for published backbones, or the same embeddings; empty where
        there is neither.
    """

    parts: ClassParts
    targets: Sequence[TargetSet]
    large: Sequence[TargetSet]


class _Learned(NamedTuple):
    """A learner as it is asked on targets.

    Attributes:
      learning: its name.
      model: what its inputs are of.
      learner_for: from a number of classes to the learner.
      params: of it.
      trained: whether another training would be another learner.
      draws: that it is measured by.
    """

    learning: str
    model: str
    learner_for: Any
    params: Any
    trained: bool
    draws: int


def fill_feature_table(
    config: FeatureSettings, run: Run, data: FeatureData, features_dir: Any, training: int = 0
) -> None:
    """Trains and measures what a run does not hold yet of one training.

    Args:
      config: of that training, see `seeds.trainings_of`.
      run: keeps rows, readings and checkpoints.
      data: to learn from and to measure on.
      features_dir: where features are kept.
      training: which of the run's trainings; rows are of all up to it.
    """
    table = _Table(config, run, data, features_dir, training)
    for entry in config.backbones:
        table.on_backbone(entry)
    if config.maml_draws:
        table.on_images()


class _Table:
    def __init__(self, config, run, data, features_dir, training):
        self._config, self._run, self._data, self._dir = config, run, data, features_dir
        self._training = training
        self._own = run.training(training)  # its checkpoints, metrics and readings

    def on_backbone(self, entry: str) -> None:
        """All learners on the features of one backbone, on every target."""
        name = _called(entry, self._config.backbone_crops)
        again = name in OWN_BACKBONES  # another training has other features
        wanted = [
            learning
            for learning in self._config.feature_learners
            if not self._is_done(learning, name, again or learning not in FITTED)
        ]
        if not wanted:
            return
        features, identity = self._features(entry)
        train, held = self._data.parts.train, self._data.parts.validation
        found = features(train)
        scaling = scaling_of(found, identity)
        images = self._data.targets if name in OWN_BACKBONES else self._data.large
        values = [scaling(features(target.images)) for target in images]
        meta = {}
        for learning in wanted:
            if learning not in FITTED and not meta:
                meta = {
                    "train": store_of(train, self._sizes, scaling(found)),
                    "validation": store_of(held, self._sizes, scaling(features(held))),
                }
            learned = self._learned(learning, name, again, values[0].shape[1:], meta)
            self._measure(learned, values)

    def on_images(self) -> None:
        """MAML of a whole network from scratch, which has no features to stand on."""
        config = self._config
        if self._is_done("maml", "scratch", True):
            return
        network = whole_network(config, config.ways)
        learner = maml_of(config, network, config.adapts)
        parts = self._data.parts
        stores = {
            "train": store_of(parts.train, self._sizes),
            "validation": store_of(parts.validation, self._sizes),
        }
        params = self._meta_train(learner, stores, config.meta_steps, "maml_scratch")
        learned = _Learned(
            "maml", "scratch", up_to(learner, config.ways), params, True, config.maml_draws
        )
        self._measure(learned, [target.images for target in self._data.targets])

    @property
    def _sizes(self) -> TaskSizes:
        return TaskSizes(self._config.ways, self._config.meta_shots, self._config.meta_queries)

    def _learned(
        self, learning: str, name: str, again: bool, shape: tuple[int, ...], meta: Mapping
    ) -> _Learned:
        config = self._config
        learner = feature_learner(learning, config, config.ways)
        make = partial(feature_learner, learning, config)
        if learning in FITTED:
            params = learner.init(jax.random.key(0), shape)
            return _Learned(learning, name, make, params, again, config.draws)
        phase = f"{learning}_{name}".replace(" ", "_")
        params = self._meta_train(learner, meta, config.feature_steps, phase)
        learner_for = up_to(learner, config.ways) if needs_as_many_ways(learning) else make
        return _Learned(learning, name, learner_for, params, True, config.draws)

    def _meta_train(self, learner: MetaLearner, stores: Mapping, steps: int, phase: str) -> Any:
        outer = outer_of(self._config, steps)
        trained = meta_train_on(learner, stores, self._sizes, outer, run=self._own, phase=phase)
        return trained.best_state.meta_params

    def _features(self, entry: str) -> tuple[Callable[[Any], np.ndarray], str]:
        """From images to their features, and a hash of what computes them."""
        if entry == EMBEDDINGS:
            return lambda given: getattr(given, "images", given), EMBEDDINGS
        backbone = self._backbone(entry)
        return partial(embed, backbone, self._dir), backbone.identity

    def _backbone(self, entry: str) -> Backbone:
        config = self._config
        name, _, file = entry.partition(":")
        if name == "conv4":
            return pretrained_backbone(config, self._data.parts.train, self._own)
        if name == "random":
            return _untrained(config)
        return published_backbone(name, file, config.backbone_crops)

    def _labels(self, learning: str, model: str, shots: int, target: TargetSet) -> dict[str, Any]:
        return {"learning": learning, "model": model, "shots": shots, "target": target.name}

    def _cells(self, learning: str) -> Iterator[tuple[int, TargetSet, int]]:
        """Targets and shots that a learner can be asked."""
        for index, target in enumerate(self._data.targets):
            ways = len(target.class_names)
            if learning == "ordinal_probe" and not target.ordered:
                continue
            if learning in ("anil", "maml") and ways > self._config.ways:
                continue
            for shots in self._config.shots:
                yield index, target, shots

    def _is_done(self, learning: str, model: str, trained: bool) -> bool:
        return all(
            is_measured(
                self._run, self._labels(learning, model, shots, target), self._training, trained
            )
            for _, target, shots in self._cells(learning)
        )

    def _measure(self, learned: _Learned, values: Sequence[np.ndarray]) -> None:
        stores: dict[int, Any] = {}
        for index, target, shots in self._cells(learned.learning):
            labels = self._labels(learned.learning, learned.model, shots, target)
            if is_measured(self._run, labels, self._training, learned.trained):
                continue
            ways = len(target.class_names)
            store = stores.setdefault(index, target.store(_as_input(values[index])))
            # Labels of grades stand in order, for whoever can make use of that.
            learner = learned.learner_for(ways)
            said = read_logits(
                learner,
                [_answer(learner, ways)],
                shots=shots,
                queries=self._config.queries,
                ordered=target.ordered,
            )
            title = f"{learned.learning} {learned.model}, {target.name}, {shots} shots"
            with line_of(title, learned.draws) as line:
                found = _read_all(
                    said, learned.params, store, seeds_of(self._config).draw, learned.draws
                )
                line.advance(learned.draws, {})
            self._write(labels, target, learned.trained, found)

    def _write(
        self, labels: dict[str, Any], target: TargetSet, trained: bool, found: FilmLogits
    ) -> None:
        reading = _reading_of(found)
        keep_reading(self._own, labels, reading)
        readings = kept_readings(self._run, labels, self._training)
        (row,) = rows_of(readings, ["inductive"], trained=trained, **labels)
        known = self._run.results.find(**labels) or {}
        area = auroc_interval(
            jax.nn.softmax(found.logits[:, 0, 0]), found.films, found.truth, labels["shots"]
        )
        areas = [*known.get("areas", []), [area.mean, area.ci95]][-len(readings) :]
        means, widths = np.asarray(areas).T
        row |= {
            "ways": len(target.class_names),
            "areas": areas,
            "auroc": float(means.mean()),
            "auroc_ci95": over_trainings(float(widths.mean()), means),
        }
        if not target.ordered:
            for name in ("mae_stages", "mae_stages_ci95", "kappa", "kappa_ci95"):
                del row[name]
        first = kept_readings(self._run, labels | {"learning": FIRST}, self._training)
        if first and labels["learning"] != FIRST:
            width = paired_width(readings, first, "vote", 0, labels["shots"])
            if width is not None:
                accuracy = np.mean([(r.votes[:, 0] == r.truth).mean() for r in first])
                row |= {"to_probe": row["mean"] - float(accuracy), "to_probe_ci95": width}
        self._run.results.replace([row], **labels)


def _called(entry: str, crops: int) -> str:
    """What a backbone's rows are called.

    Example:
      >>> _called("resnet18:FILE", 5), _called("resnet18:FILE", 1), _called("conv4", 5)
      ('resnet18 5 crops', 'resnet18', 'conv4')
    """
    name, _, file = entry.partition(":")
    return f"{name} {crops} crops" if file and crops > 1 else name


def _as_input(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.ndim == 2 else values


def _answer(learner: MetaLearner, ways: int) -> Any:
    """What a learner says of as many classes as there are; of more it has seen no image."""
    return lambda adapted, images: learner.predict(adapted, images)[..., :ways]


def _reading_of(found: FilmLogits) -> FilmReading:
    """Answers `[draws, 1, Q]` of examples that are one region each."""
    logits = found.logits[:, :, 0]
    finite = np.isfinite(logits).all(-1)
    answers = np.where(finite, logits.argmax(-1), -1).astype(np.int32)
    return FilmReading(
        found.films,
        found.truth,
        answers,
        np.zeros(answers.shape, bool),
        answers[:, :, None],
        answers,
    )


def _read_all(said: Any, params: Any, store: Any, seed: int, draws: int) -> FilmLogits:
    """All draws in as few calls as there are cores to use: a draw alone takes a millisecond."""

    @jax.jit
    def some(params, store, seed, indices):
        return jax.lax.map(lambda index: said(params, store, seed, index), indices)

    each = -(-draws // _WORKERS)
    starts = [np.arange(each, dtype=np.int32) + each * worker for worker in range(_WORKERS)]
    compiled = some.lower(params, store, np.uint32(seed), starts[0]).compile()
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = list(
            pool.map(
                lambda indices: jax.tree.map(
                    np.asarray, compiled(params, store, np.uint32(seed), indices)
                ),
                starts,
            )
        )
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:draws], *found)


def _untrained(config: FeatureSettings) -> Backbone:
    """The backbone of conv4 with its first weights, and no statistics but 0 and 1."""
    network: Network = backbone_network(config, 0, ())
    shape = (config.size, config.size, config.channels)
    params, stats = network.init(jax.random.key(seeds_of(config).train), shape)
    body = without_head(params)
    identity = weights_sha256(body, stats, config.backbone, "scale")
    return Backbone(network, body, stats, scale, identity)

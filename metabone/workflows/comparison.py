"""Learners on the same tasks of classes never seen, ranked by paired differences."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.images import ImageSet
from metabone.episodes.sampling import sample
from metabone.episodes.store import ImageStore
from metabone.errors import InputError
from metabone.evaluation.simultaneous import SIMULTANEOUS, all_pairs_factor, training_errors
from metabone.evaluation.tasks import TaskFigures, measure_tasks, task_measure, task_rows
from metabone.learners.base import MetaLearner
from metabone.report.paired_interval import paired_interval
from metabone.workflows.meta_training import TaskSizes, store_of
from metabone.workflows.settings import NORMS
from metabone.workflows.task_table import line_of
from metabone.workflows.trained import Trained

_AT_ONCE = 256


class Comparison(NamedTuple):
    """Learners on the same tasks.

    Attributes:
      rows: one a learner: mean, interval and n over tasks, as in `result.json`.
      ranking: from the best mean down, each with its paired difference to the best.
      accuracies: `[tasks]` by learner.
    """

    rows: list[dict[str, Any]]
    ranking: list[dict[str, Any]]
    accuracies: dict[str, np.ndarray]


def compare(
    learners: Mapping[str, Trained],
    images: ImageSet,
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    tasks: int = 600,
    seed: int = 0,
) -> Comparison:
    """Compares what was learned by several learners, each on the very same tasks.

    Args:
      learners: by the names that the rows get.
      images: of classes that none of them was trained on, at each one's size and channels.
      ways: classes a task.
      shots: support images a class.
      queries: query images a class.
      tasks: at least 2.
      seed: of the tasks.

    Returns:
      The comparison; intervals are over tasks, of one training each.

    Raises:
      InputError: a learner for images of another shape, or for fewer classes; too few images,
        tasks or learners.
    """
    if not learners:
        raise InputError("no learners; expected one or more, by name")
    if tasks < 2:
        raise InputError(f"tasks (={tasks}): expected at least 2")
    sizes = TaskSizes(ways, shots, queries)
    found, rows = {}, []
    for name, trained in learners.items():
        if images.images.shape[1:] != trained.image_shape:
            raise InputError(
                f"{name} was trained on images of {trained.image_shape}, and these are "
                f"{images.images.shape[1:]}"
            )
        store = jax.device_put(store_of(images, sizes, prepared(trained, images.images)))
        learner = trained.learner_for(ways)

        def answer(adapted, asked, predict=learner.predict):
            # A learner of more classes has outputs left, of which some have seen no image at all.
            return predict(adapted, asked)[..., :ways]

        figures = figures_of(
            learner, [answer], trained.meta_params, store, sizes, tasks, seed, name
        )
        norm = str(trained.about.get("norm", NORMS[0]))
        rows += task_rows([figures], [norm], learning=name, shots=shots, ways=ways, seed=seed)
        found[name] = figures.accuracies[:, 0]
    return Comparison(rows, ranking_of(found), found)


def prepared(trained: Trained, images: np.ndarray) -> np.ndarray:
    """What a learner takes of `[N, H, W, C]` uint8 images, float32, some images at a time."""
    program = jax.jit(trained.prepare)
    starts = range(0, len(images), _AT_ONCE)
    return np.concatenate([program(images[start : start + _AT_ONCE]) for start in starts])


def figures_of(
    learner: MetaLearner,
    predictions: Sequence[Any],
    params: Any,
    store: ImageStore,
    sizes: TaskSizes,
    tasks: int,
    seed: int,
    title: str,
) -> TaskFigures:
    """A learner on tasks that are the same for every learner.

    Args:
      learner: what adapts.
      predictions: how it answers, see `task_measure`.
      params: its meta-parameters.
      store: on the device.
      sizes: of the tasks.
      tasks: how many.
      seed: of the tasks.
      title: of the line of progress.
    """
    measure = task_measure(lambda options: learner, predictions, partial(sample, **sizes._asdict()))
    with line_of(title, tasks) as line:
        return measure_tasks(
            measure,
            {},
            params,
            store,
            seed=seed,
            tasks=tasks,
            done=lambda _: line.advance(1, {}),
        )


def ranking_of(found: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Learners from the best mean down, each with its paired difference to the best.

    Args:
      found: `[n]` figures by learner, on the same tasks in the same order; or `[N, n]` of its N
        trainings, of which every learner has as many.

    Returns:
      One entry a learner: name, mean, n and `trainings`; of all but the best the difference
      `to_best` and the half width `ci95` of its interval. All these hold at once in 95 % of
      rankings, see `all_pairs_factor`, so that of equal learners any seems behind in 5 %; of one
      training each they hold for those trainings.
    """
    order = sorted(found, key=lambda name: -found[name].mean())
    each = np.stack([np.atleast_2d(found[name]) for name in order], -1).astype(np.float64)
    figures, means = each.mean(0), each.mean(1)
    several = len(each) > 1
    factor = all_pairs_factor(figures, means if several else None)
    errors = training_errors(means) if several else np.zeros(len(order))
    ranking = [
        {"learning": name, "mean": float(mean), "n": len(figures), "trainings": len(each)}
        for name, mean in zip(order, figures.mean(0), strict=True)
    ]
    for index, entry in enumerate(ranking[1:], 1):
        behind = paired_interval(figures[:, index] - figures[:, 0], factor)
        width = np.hypot(behind.ci95, factor * np.hypot(errors[index], errors[0]))
        entry |= {"to_best": behind.mean, "ci95": float(width), "interval": SIMULTANEOUS}
    return ranking

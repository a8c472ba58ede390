"""A learner on many tasks of unseen classes: each task's accuracy, one compiled program for all."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.sampling import learner_key, task_key
from metabone.episodes.types import Episode
from metabone.evaluation.share_intervals import share_interval
from metabone.learners.base import MetaLearner
from metabone.other_trainings import over_trainings

COVERS = "other tasks of these classes"
Options = Mapping[str, float | int]
Measure = Callable[[Options, Any, Any, Any, Any], jax.Array]


Sample = Callable[[Any, Any, Any, Any], Episode]
Predict = Callable[[Any, jax.Array], jax.Array]


def task_accuracies(
    learner: MetaLearner, sample: Sample, tasks: int, seed: int
) -> Callable[[Any, Any], jax.Array]:
    """Builds the accuracy of a learner on a fixed list of tasks, as one call to the device.

    Args:
      learner: adapts to each task's support and answers its queries.
      sample: `(data, seed, step, task) -> Episode`.
      tasks: how many; the same tasks whenever and wherever it is asked.
      seed: of the tasks.

    Returns:
      `(meta_params, data) -> [tasks]` float32, compiled, task by task; an answer that is not
      finite is wrong.
    """

    def one(meta_params, data, index):
        return _figures(learner, [learner.predict], sample, meta_params, data, seed, index)[0, 0]

    return jax.jit(
        lambda meta_params, data: jax.lax.map(
            lambda index: one(meta_params, data, index), jnp.arange(tasks)
        )
    )


def task_measure(
    learner_of: Callable[[Any], MetaLearner],
    predictions: Sequence[Predict],
    sample: Sample,
) -> Measure:
    """Builds the accuracy of a learner on one task.

    Args:
      learner_of: from options to the learner; options are traced, so that one program serves all
        their values.
      predictions: `(adapted, images) -> logits`, such as `predict` under each norm mode; all
        answer from the same adaptation, and one that is given twice is asked once.
      sample: `(data, seed, step, task) -> Episode`.

    Returns:
      `(options, meta_params, data, seed, index) -> [P, 2]` float32, compiled: the share of answers
      that are right and of those that are not finite, which are wrong. Task `index` of a seed is
      the same for every learner.
    """

    def measure(options, meta_params, data, seed, index):
        learner = learner_of(options)
        return _figures(learner, predictions, sample, meta_params, data, seed, index)

    return jax.jit(measure)


def _figures(
    learner: MetaLearner,
    predictions: Sequence[Predict],
    sample: Sample,
    meta_params: Any,
    data: Any,
    seed: Any,
    index: Any,
) -> jax.Array:
    episode = sample(data, seed, index, 0)
    key = learner_key(task_key(seed, index, 0))
    adapted = learner.adapt(meta_params, episode.support, key)
    found = {}
    for predict in dict.fromkeys(predictions):
        logits = predict(adapted, episode.query.images)
        # The argmax of what is not a number is class 0: as right as chance, and no answer.
        finite = jnp.isfinite(logits).all(-1)
        right = finite & (logits.argmax(-1) == episode.query.labels)
        found[predict] = jnp.stack([jnp.mean(right), jnp.mean(~finite)])
    return jnp.stack([found[predict] for predict in predictions])


class TaskFigures(NamedTuple):
    """A learner on many tasks.

    Attributes:
      accuracies: `[tasks, P]` float64, of each of P ways to predict.
      not_finite: `[tasks, P]` float64, share of answers that are not finite; they count as wrong.
    """

    accuracies: np.ndarray
    not_finite: np.ndarray


def measure_tasks(
    measure: Measure,
    options: Options,
    meta_params: Any,
    data: Any,
    *,
    seed: int,
    tasks: int,
    workers: int = 2,
    done: Callable[[int], None] | None = None,
) -> TaskFigures:
    """Measures a learner on tasks `0 .. tasks - 1` of a seed.

    Args:
      measure: from `task_measure`.
      options: of the learner.
      meta_params: of the learner.
      data: on the device.
      seed: of the tasks.
      tasks: how many, at least 1.
      workers: tasks under way at once: one program rarely keeps a CPU's cores busy by itself. The
        results do not depend on it.
      done: called with the number of tasks done, after each.

    Returns:
      Its figures, task by task.
    """

    def one(index: int) -> np.ndarray:
        return np.asarray(measure(options, meta_params, data, np.uint32(seed), np.int32(index)))

    found = []
    with ThreadPoolExecutor(workers) as pool:
        # The first alone: it compiles what all others run.
        for figures in itertools.chain([one(0)], pool.map(one, range(1, tasks))):
            found.append(figures)
            if done is not None:
                done(len(found))
    return TaskFigures(*np.moveaxis(np.stack(found).astype(np.float64), -1, 0))


class Candidate(NamedTuple):
    """What a search found about one choice of options.

    Attributes:
      options: the choice.
      mean: accuracy, the mean over tasks.
      ci95: half width of its interval.
      n: tasks.
      not_finite: share of answers that are not finite.
    """

    options: dict[str, float | int]
    mean: float
    ci95: float
    n: int
    not_finite: float = 0.0


def search(
    measure: Measure,
    candidates: Sequence[Options],
    meta_params: Any,
    data: Any,
    *,
    seed: int,
    tasks: int,
    done: Callable[[int], None] | None = None,
) -> list[Candidate]:
    """Measures each choice of options on the same tasks, of classes kept for choosing.

    Args:
      measure: from `task_measure`; its first prediction decides.
      candidates: the choices.
      meta_params: of the learner.
      data: on the device.
      seed: of the tasks.
      tasks: how many, at least 2.
      done: called after each candidate with the number done.

    Returns:
      One entry a choice, best first; equals keep the order given.
    """
    found = []
    for options in candidates:
        figures = measure_tasks(measure, options, meta_params, data, seed=seed, tasks=tasks)
        estimate = share_interval(figures.accuracies[:, 0])
        not_finite = float(figures.not_finite[:, 0].mean())
        found.append(Candidate(dict(options), estimate.mean, estimate.ci95, tasks, not_finite))
        if done is not None:
            done(len(found))
    return sorted(found, key=lambda candidate: -candidate.mean)


def task_rows(
    trainings: Sequence[TaskFigures], norms: Sequence[str], *, trained: bool = True, **labels: Any
) -> list[dict[str, Any]]:
    """Rows of `result.json`: mean over tasks with a 95% interval, one a norm mode.

    The interval is what `share_intervals.share_interval` says of the tasks, `interval` its kind;
    with two trainings or more `other_trainings.over_trainings` adds their spread.

    Args:
      trainings: figures of each training of the learner, of the same tasks, at least two.
      norms: what the first of the P predictions are called, all or some.
      trained: whether anything is; what is not has no other trainings.
      **labels: fields that every row gets, such as learning, model, shots and paper.

    Returns:
      A row a norm mode; `mean_of_first_5` counts as Min and Kang (2018) do, five repeats of 75
      images. `not_finite` is the share of answers that were not finite, in rows that have any;
      `training_means` that of each training, where there are several.
    """
    rows = []
    for index, norm in enumerate(norms):
        each = np.stack([figures.accuracies[:, index] for figures in trainings])
        lost = float(np.mean([figures.not_finite[:, index].mean() for figures in trainings]))
        own, means = each.mean(0), each.mean(1)
        estimate = share_interval(own)
        rows.append(
            {
                **labels,
                "norm": norm,
                "metric": "accuracy",
                "mean": estimate.mean,
                "ci95": over_trainings(estimate.ci95, means),
                "covers": COVERS if len(means) < 2 else f"{COVERS} and other trainings",
                "interval": estimate.interval,
                "std": estimate.std,
                "n": estimate.n,
                "unit": "tasks",
                "trainings": len(means) if trained else 0,
                "mean_of_first_5": float(own[:5].mean()),
                **({"training_means": means.tolist()} if len(means) > 1 else {}),
                **({"not_finite": lost} if lost else {}),
            }
        )
    return rows

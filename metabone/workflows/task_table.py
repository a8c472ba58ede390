"""Learners on tasks of classes never seen: the table of the meta-data benchmark."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from metabone.datasets.images import ImageSet
from metabone.episodes.sampling import sample
from metabone.episodes.store import ImageStore
from metabone.evaluation.tasks import (
    Measure,
    TaskFigures,
    measure_tasks,
    search,
    task_measure,
    task_rows,
)
from metabone.learners.base import MetaLearner, predictor
from metabone.learners.transfer import scratch
from metabone.nets.network import Network
from metabone.nets.networks import fully_connected
from metabone.other_trainings import over_trainings
from metabone.report.paired_interval import paired_interval
from metabone.report.published import min_kang_2018_table_2
from metabone.training.progress import ProgressLine
from metabone.training.run import Run, training_folder
from metabone.workflows.arms import Arm
from metabone.workflows.meta_training import TaskSizes, store_of
from metabone.workflows.settings import NORMS

Options = Mapping[str, Any]


class TaskTable(NamedTuple):
    """What tasks are measured, and how base learning's settings are chosen.

    Attributes:
      ways: classes a task.
      shots: support images a class, one column each.
      queries: query images a class.
      tasks: that a figure is the mean of.
      candidates: what base learning is offered: rate, steps and decay each.
      search_tasks: tasks of validation classes that each is tried on.
      searched: entries of an earlier search, which are taken instead; None to search.
      published: whether Min and Kang's (2018) Table 2 stands beside the figures.
      seed: of the tasks.
    """

    ways: int
    shots: tuple[int, ...]
    queries: int
    tasks: int
    candidates: Sequence[Options]
    search_tasks: int
    searched: Sequence[Options] | None
    published: bool
    seed: int

    def store(self, images: ImageSet, values: np.ndarray | None = None) -> ImageStore:
        """A store on the device for tasks of every size in the table; see `store_of`."""
        return jax.device_put(
            store_of(images, TaskSizes(self.ways, max(self.shots), self.queries), values)
        )


def base_learner(network: Network, options: Options) -> MetaLearner:
    """Base learning: the network drawn anew and trained on the support images alone."""
    optimizer = optax.adamw(options["rate"], weight_decay=options["decay"])
    return scratch(network, optimizer, steps=options["steps"])


def base_options(rate: float, steps: float, decay: float) -> dict[str, Any]:
    """Options of `base_learner` as arrays: one program then serves all values."""
    return {"rate": np.float32(rate), "steps": np.int32(steps), "decay": np.float32(decay)}


def predictions_of(network: Network, shape: tuple[int, ...]) -> Sequence[Any]:
    """How a network answers in each norm mode; twice the same where it has no batch norm.

    Args:
      network: that has adapted.
      shape: of an image.
    """
    stats = jax.eval_shape(lambda key: network.init(key, shape)[1], jax.random.key(0))
    if not jax.tree.leaves(stats):
        return [predictor(network, NORMS[0])] * len(NORMS)
    return [predictor(network, norm) for norm in NORMS]


def measure_of(
    predictions: Sequence[Any], sizes: TaskSizes, learner_of: Callable[[Any], MetaLearner]
) -> Measure:
    """The accuracy of one learner on one task, one a way to predict; see `task_measure`."""
    return task_measure(
        learner_of,
        predictions,
        lambda store, seed, index, task: sample(store, seed, index, task, **sizes._asdict()),
    )


def fill_task_table(arms: Iterator[Arm], run: Run, table: TaskTable, training: int = 0) -> None:
    """Trains and measures what a run does not hold yet of both learners of each model.

    Args:
      arms: see `workflows.arms.both_models`.
      run: keeps rows, accuracies of single tasks, and what the search found.
      table: what is measured.
      training: which of the run's trainings the arms are of; rows are of all up to it.
    """
    for arm in arms:
        if arm.base:
            predictions = predictions_of(arm.network, arm.target.images.shape[1:])
        else:
            predictions = [arm.learner.predict]
        # Once where both modes are one function.
        norms = NORMS[: len(dict.fromkeys(predictions))]
        meta_params = None
        learnings = (arm.learning, *["base"] * arm.base)
        for learning, shots in itertools.product(learnings, table.shots):
            trained = arm.backbone or (learning == arm.learning and arm.trained)
            labels = {"learning": learning, "model": arm.model, "shots": shots}
            if is_measured(run, labels, training, trained):
                continue
            sizes = TaskSizes(table.ways, shots, table.queries)
            if learning == arm.learning:
                # Trained before the first cell that needs it, and found again after a restart.
                meta_params = arm.train() if meta_params is None else meta_params
                measure = measure_of(predictions, sizes, lambda _, arm=arm: arm.learner)
                params, options = meta_params, {}
            else:
                measure = measure_of(predictions, sizes, partial(base_learner, arm.network))
                params, options = (), _chosen(table, run, arm, shots, measure)
            with line_of(f"{learning} {arm.model}, {shots} shots", table.tasks) as line:
                figures = measure_tasks(
                    measure,
                    options,
                    params,
                    arm.target,
                    seed=table.seed,
                    tasks=table.tasks,
                    done=lambda _, line=line: line.advance(1, {}),
                )
            paper = min_kang_2018_table_2(**labels) if table.published else None
            keep_figures(run.training(training), labels, figures)
            rows = task_rows(
                kept_figures(run, labels, training), norms, trained=trained, **labels, paper=paper
            )
            if learning == "base":
                _pair_with_meta(run, labels, rows, training)
            run.results.replace(rows, **labels)


def is_measured(run: Run, labels: Mapping[str, Any], training: int, trained: bool) -> bool:
    """Whether a run has rows of a learner that know of a training; of no training one is enough."""
    row = run.results.find(**labels)
    return row is not None and (not trained or row.get("trainings", 1) > training)


def fill_head_table(
    run: Run,
    images: ImageSet,
    features: np.ndarray,
    widths: Sequence[int],
    options: Options,
    *,
    ways: int,
    shots: Sequence[int],
    queries: int,
    tasks: int,
    seed: int,
) -> None:
    """What features are worth: fully connected layers trained on a few of them, a row a column.

    Args:
      run: keeps the rows.
      images: whose features they are.
      features: `[N, D]` float32.
      widths: hidden nodes of the layers.
      options: how they are trained, see `base_options`.
      ways: classes a task.
      shots: support images a class, one row each.
      queries: query images a class.
      tasks: that a figure is the mean of.
      seed: of the tasks.
    """
    network = fully_connected(ways, widths)
    store = jax.device_put(store_of(images, TaskSizes(ways, max(shots), queries), features))
    predictions = predictions_of(network, features.shape[1:])
    for count in shots:
        labels = {"learning": "base", "model": "pretrained", "shots": count}
        if run.results.find(**labels) is None:
            sizes = TaskSizes(ways, count, queries)
            measure = measure_of(predictions, sizes, partial(base_learner, network))
            figures = measure_tasks(measure, options, (), store, seed=seed, tasks=tasks)
            keep_accuracies(run, labels, figures.accuracies[:, :1])
            run.results.append(*task_rows([figures], NORMS[:1], **labels))


def keep_accuracies(run: Run, labels: Mapping[str, Any], accuracies: np.ndarray) -> None:
    """Keeps the accuracy on each task, or draw, by which two runs are compared in pairs.

    Args:
      run: whose folder keeps them.
      labels: learning, model and shots of the rows.
      accuracies: `[n, P]`, a column a row.
    """
    folder = run.path / "accuracies"
    folder.mkdir(exist_ok=True)
    name = "-".join(str(value) for value in labels.values())
    part = folder / f"{name}.part.npy"
    np.save(part, accuracies)
    part.replace(folder / f"{name}.npy")


def keep_figures(run: Run, labels: Mapping[str, Any], figures: TaskFigures) -> None:
    """Keeps what a training's rows are made of, for the rows of several."""
    keep_accuracies(run, labels, figures.accuracies)
    if figures.not_finite.any():
        keep_accuracies(run, {**labels, "not": "finite"}, figures.not_finite)


def kept_figures(run: Run, labels: Mapping[str, Any], training: int) -> list[TaskFigures]:
    """What `keep_figures` kept of each training up to one."""
    name, found = "-".join(map(str, labels.values())), []
    for index in range(training + 1):
        folder = training_folder(run.path, index) / "accuracies"
        if not (folder / f"{name}.npy").exists():
            continue  # what nobody trains is measured once
        accuracies = np.load(folder / f"{name}.npy", allow_pickle=False)
        lost = folder / f"{name}-finite.npy"
        kept = np.load(lost, allow_pickle=False) if lost.exists() else np.zeros_like(accuracies)
        found.append(TaskFigures(accuracies, kept))
    return found


def _pair_with_meta(
    run: Run, labels: Mapping[str, Any], rows: Sequence[dict[str, Any]], training: int
) -> None:
    """Adds `to_meta_ci95`, the half width of meta minus base on the same tasks, to base's rows."""
    meta, base = (
        [each.accuracies for each in kept_figures(run, {**labels, "learning": name}, training)]
        for name in ("meta", "base")
    )
    if not meta:
        return
    for index, row in enumerate(rows):
        ours, theirs = (np.stack(each)[..., index] for each in (meta, base))
        apart = paired_interval(ours.mean(0) - theirs.mean(0)).ci95
        row["to_meta_ci95"] = over_trainings(apart, ours.mean(1), theirs.mean(1))


def _chosen(table: TaskTable, run: Run, arm: Arm, shots: int, measure: Measure) -> dict[str, Any]:
    """What base learning does best with on the validation classes; the search is recorded."""
    record = run.results.get("search", []) if table.searched is None else table.searched
    known = [entry for entry in record if entry["model"] == arm.model]
    if known and (table.searched is not None or any(each["shots"] == shots for each in known)):
        # A number of shots that was not searched takes the choice of the nearest that was.
        nearest = min(known, key=lambda entry: abs(entry["shots"] - shots))["shots"]
        found = [entry for entry in known if entry["shots"] == nearest]
        return base_options(**found[0]["options"])
    name = f"base {arm.model}, {shots} shots, search"
    with line_of(name, len(table.candidates)) as line:
        found = search(
            measure,
            [base_options(**options) for options in table.candidates],
            (),
            table.store(arm.validation),
            seed=table.seed,
            tasks=table.search_tasks,
            done=lambda _: line.advance(1, {}),
        )
    entries = [
        {
            "model": arm.model,
            "shots": shots,
            "options": {name: float(value) for name, value in each.options.items()},
            "mean": each.mean,
            "ci95": each.ci95,
            "n": each.n,
            **({"not_finite": each.not_finite} if each.not_finite else {}),
        }
        for each in found
    ]
    run.results.set(search=[*run.results.get("search", []), *entries])
    return base_options(**entries[0]["options"])


@contextlib.contextmanager
def line_of(phase: str, steps: int) -> Iterator[ProgressLine]:
    """A line that tells how far something is, closed whatever happens."""
    line = ProgressLine(phase, 0, steps)
    try:
        yield line
    finally:
        line.close()

"""Learners that read films by regions that vote: the table of the maturity benchmark."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from metabone.datasets.graded import GradedImages
from metabone.evaluation.film_rows import confusions_of, paired_width, rows_of, votes_on
from metabone.evaluation.protocol import FilmReading, compile_reading, read_draws, read_films
from metabone.learners.base import MetaLearner
from metabone.learners.transfer import scratch
from metabone.nets.network import Network
from metabone.radiograph.films import FilmSet
from metabone.report.published import min_kang_2018
from metabone.training.progress import ProgressLine
from metabone.training.run import Run
from metabone.workflows.arms import Arm
from metabone.workflows.kept_readings import keep_reading, kept_readings
from metabone.workflows.region_weights import read_weighted, weights_of
from metabone.workflows.settings import NORMS
from metabone.workflows.task_table import is_measured, predictions_of

# Draws where every draw runs or even trains whole networks for each of several regions.
_COSTLY = {("meta", "scratch"): 30, ("base", "scratch"): 5}


class Reading(NamedTuple):
    """How films are read.

    Attributes:
      shots: support films a class, one column each.
      queries: query films a class.
      draws: of films, that a figure is the mean of; 0 for what suits.
      pooled: one adaptation on all regions together.
      base_steps: full-batch steps of base learning.
      base_rate: its rate.
      base_decay: its weight decay.
      seed: of the draws.
      weighted: also by weights of regions, learned on the films that an arm chose on.
    """

    shots: tuple[int, ...]
    queries: int
    draws: int
    pooled: bool
    base_steps: int
    base_rate: float
    base_decay: float
    seed: int
    weighted: bool = False


def fill_film_table(
    arms: Iterator[Arm], run: Run, films: FilmSet, reading: Reading, training: int = 0
) -> None:
    """Trains and measures what a run does not hold yet.

    Args:
      arms: see `workflows.arms.both_models`.
      run: keeps rows, confusion matrices, and a few films with their votes.
      films: what the arms' stores hold.
      reading: how they are read.
      training: which of the run's trainings the arms are of; rows are of all up to it.
    """
    # One thread compiles what comes next while this one trains, which leaves a core half idle.
    pool = ThreadPoolExecutor(1)
    try:
        for arm in arms:
            pair = {arm.learning: arm.learner}
            if arm.base:
                pair["base"] = _base(arm.network, reading)
            ahead = {
                learning: _compile_ahead(reading, run, arm, learning, learner, pool, training)
                for learning, learner in pair.items()
            }
            for learning, programs in ahead.items():
                if programs:
                    meta_params = arm.train() if learning == arm.learning else ()
                    _measure(reading, run, films, arm, learning, meta_params, programs, training)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _base(network: Network, reading: Reading) -> MetaLearner:
    """The network drawn anew and trained on the support films alone."""
    optimizer = optax.adamw(reading.base_rate, weight_decay=reading.base_decay)
    return scratch(network, optimizer, steps=reading.base_steps)


def _compile_ahead(
    reading: Reading,
    run: Run,
    arm: Arm,
    learning: str,
    learner: MetaLearner,
    pool: ThreadPoolExecutor,
    training: int,
) -> dict[int, Future]:
    """By number of shots, the program that the run still lacks; it need not be trained for it."""
    shape = arm.target.images.shape[1 if arm.whole else 2 :]
    meta_params = jax.eval_shape(lambda key: learner.init(key, shape), jax.random.key(0))
    predictions = [learner.predict]
    if arm.base:
        predictions = list(dict.fromkeys(predictions_of(arm.network, shape)))
    programs = {}
    for shots in reading.shots:
        labels = {"learning": learning, "model": arm.model, "shots": shots}
        if not is_measured(run, labels, training, _is_trained(arm, learning)):
            sizes = dict(shots=shots, queries=reading.queries, pooled=reading.pooled)
            sizes |= dict(ordered=arm.ordered, whole=arm.whole)
            inputs, make = meta_params, read_films
            if _is_weighted(reading, arm, learning):
                regions = jax.ShapeDtypeStruct(arm.target.images.shape[1:2], np.float32)
                inputs, make = (meta_params, regions), read_weighted
            read = make(learner, predictions, **sizes)
            programs[shots] = pool.submit(compile_reading, read, inputs, arm.target)
    return programs


def _is_trained(arm: Arm, learning: str) -> bool:
    """Whether another training would be another learner."""
    return arm.backbone or (learning == arm.learning and arm.trained)


def _is_weighted(reading: Reading, arm: Arm, learning: str) -> bool:
    """Whether there are films with ages to learn weights of regions on, and regions to weigh."""
    several = not arm.whole and arm.target.images.shape[1] > 1
    on_films = isinstance(arm.validation, GradedImages) and learning == arm.learning
    return reading.weighted and several and on_films


def _measure(
    reading: Reading,
    run: Run,
    films: FilmSet,
    arm: Arm,
    learning: str,
    meta_params: Any,
    programs: dict[int, Future],
    training: int,
) -> None:
    several = len(films.region_names) > 1
    model = arm.model.split(",")[0]
    costly = 50 if arm.whole else _COSTLY.get((learning, model), 100)
    draws = reading.draws or (costly if several else 100)
    for shots, program in programs.items():
        compiled = program.result()
        labels = {"learning": learning, "model": arm.model, "shots": shots}
        inputs = meta_params
        if _is_weighted(reading, arm, learning):
            weights = _weights(reading, run, arm, meta_params, len(films.class_names), labels)
            inputs = (meta_params, weights)
        line = ProgressLine(f"{learning} {arm.model}, {shots} shots", 0, draws)
        found = read_draws(
            compiled,
            inputs,
            arm.target,
            seed=reading.seed,
            draws=draws,
            done=lambda _, line=line: line.advance(1, {}),
        )
        line.close()
        if (learning, arm.model, shots, training) == ("meta", "scratch", max(reading.shots), 0):
            _keep_examples(run, films, found)
        keep_reading(run.training(training), labels, found)
        readings = kept_readings(run, labels, training)
        trained = _is_trained(arm, learning)
        _write_rows(run, readings, len(films.class_names), training, trained, labels)


def _weights(
    reading: Reading, run: Run, arm: Arm, meta_params: Any, ways: int, labels: dict[str, Any]
) -> np.ndarray:
    """The weights of regions of one cell, kept with the run."""
    sizes = dict(ways=ways, shots=labels["shots"], queries=reading.queries)
    found = weights_of(arm, meta_params, **sizes, pooled=reading.pooled, seed=reading.seed)
    entry = {**labels, "weights": found.tolist()}
    run.results.set(region_weights=[*run.results.get("region_weights", []), entry])
    return found


def _write_rows(
    run: Run,
    readings: Sequence[FilmReading],
    classes: int,
    training: int,
    trained: bool,
    labels: dict[str, Any],
) -> None:
    """Writes what readings say; the rows last, as they say that all is written."""
    # One prediction where both modes are one function, or a learner has a head of its own.
    norms = NORMS[: readings[0].votes.shape[1]]
    found = {_entry_key(entry): entry for entry in run.results.get("confusions", [])}
    for entry in confusions_of(readings, norms, classes, **labels):
        found[_entry_key(entry)] = entry
    run.results.set(confusions=list(found.values()))
    paper = min_kang_2018(labels["learning"], labels["model"], labels["shots"])
    rows = rows_of(readings, norms, trained=trained, paper=paper, **labels)
    meta = kept_readings(run, {**labels, "learning": "meta"}, training)
    if labels["learning"] == "base" and meta:
        for row in rows:
            where = row["region"], norms.index(row["norm"]), labels["shots"]
            row["to_meta_ci95"] = paired_width(meta, readings, *where)
    run.results.replace(rows, **labels)


def _entry_key(entry: dict[str, Any]) -> tuple:
    return tuple(entry[name] for name in ("learning", "model", "shots", "norm"))


def _keep_examples(run: Run, films: FilmSet, reading: FilmReading) -> None:
    """Keeps a few whole films and their votes for the report."""
    found = votes_on(reading, films.example_index.tolist())
    kept = [i for i, film in enumerate(films.example_index.tolist()) if film in found]
    if not kept:
        return
    reads = [found[int(films.example_index[i])] for i in kept]
    np.savez_compressed(
        run.path / "examples.npz",
        films=films.examples[kept],
        boxes=films.example_boxes[kept],
        region_votes=np.stack([read["regions"] for read in reads]),
        votes=np.stack([read["vote"] for read in reads]),
        truth=films.classes[films.example_index[kept]],
    )

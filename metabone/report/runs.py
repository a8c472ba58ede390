"""Tables over several runs: what there is, two side by side, and a grid of settings."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metabone.errors import InputError
from metabone.report.age_rows import age_rows, best_of, error_of, of_most_films
from metabone.report.paired import (
    Difference,
    Measured,
    measured,
    paired_difference,
    why_other_tasks,
)
from metabone.report.result import (
    Result,
    Row,
    chance_of,
    distinct,
    kinds_of,
    main_rows,
    norms_of,
    scale_of,
    select,
    shots_of,
)
from metabone.report.run_folder import read_figures
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import duration, listed, shots_in_words

_LABELS = ("learning", "model", "shots", "norm", "region", "metric")


def run_lines(runs_dir: str | os.PathLike[str]) -> Table:
    """One line a run: what it is, when, on which data, and its best figure beside chance.

    Args:
      runs_dir: folder of all runs, `experiment/name/` each.

    Returns:
      The table, by experiment and then from the oldest to the latest; a run that cannot be read is
      a line too, and a note says why.

    Raises:
      InputError: there is no such folder.
    """
    folder = Path(runs_dir)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one of runs")
    lines, damaged = [], []
    for path in sorted(_run_folders(folder)):
        experiment, *name = path.relative_to(folder).parts
        labels = (experiment, "/".join(name))
        try:
            config, result = read_figures(path)
            date = str(config.get("date") or "")
            line = (date[:16].replace("T", " ") or ABSENT, *_line(result))
        except (InputError, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            date, line = "", (ABSENT, "damaged", *(ABSENT,) * 4)
            damaged.append(f"Damaged: {error if isinstance(error, InputError) else path}.")
        lines.append(((experiment, date, name), tuple(map(Cell, (*labels, *line)))))
    count = len(lines) - len(damaged)
    return Table(
        title=f"{count} run{'' if count == 1 else 's'} in {folder}",
        columns=("experiment", "run", "when", "complete", "data", "best figure", "chance", "time"),
        labels=2,
        rows=tuple(line for _, line in sorted(lines, key=lambda entry: entry[0])),
        notes=(
            "Best figure: of the most labelled images a class, mean ± 95 % interval.",
            *damaged,
        ),
    )


def compare_runs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Table:
    """Two runs cell by cell, and how far B is above A on the same tasks where they agree.

    Args:
      first: folder of run A.
      second: folder of run B.

    Returns:
      The table: both figures with their intervals; the difference with its own, which is paired by
      task; or why it is not. What is common to both runs on a task cancels.

    Raises:
      InputError: a folder holds no run, or one of bone ages, which has no tasks.
    """
    runs = measured(first), measured(second)
    for run in runs:
        if age_rows(run.result):
            raise InputError(
                f"{run.folder}: bone ages in months, expected figures of tasks; its report "
                "compares its arms"
            )
    by_cell = [{_cell_of(row): row for row in run.rows} for run in runs]
    reason = why_other_tasks(*runs)
    lines = []
    for cell in dict.fromkeys([*by_cell[0], *by_cell[1]]):
        one, other = (rows.get(cell) for rows in by_cell)
        apart, paired = _apart(runs, one, other, reason)
        texts = (*cell[:2], *(ABSENT if part is None else str(part) for part in cell[2:]))
        lines.append((*texts, _figure(one), _figure(other), apart, paired))
    # The last labels stand only where they tell rows apart.
    told = 4 if len({line[4:6] for line in lines}) < 2 else len(_LABELS)
    columns = (*_LABELS[:told], "A", "B", "B - A", "paired by task")
    metrics = distinct([row for run in runs for row in run.rows], "metric")
    names = listed([scale_of(metric).name.lower() for metric in metrics]) or "no figure"
    data = listed(list(dict.fromkeys(_data(run.result) for run in runs)))
    notes = [f"A: {runs[0].folder}.", f"B: {runs[1].folder}."]
    if reason:
        notes.append(f"Differences are not paired: {reason}.")
    else:
        notes.append(_paired_note([row for run in runs for row in run.rows]))
    notes += _chance_note(chance_of(run.result, row) for run in runs for row in run.rows)
    notes += [
        f"{name} is not complete."
        for name, run in zip("AB", runs, strict=True)
        if not run.result.get("complete")
    ]
    return Table(
        title=f"A against B: {names}, mean ± 95 % interval; {data} data",
        columns=columns,
        labels=told,
        rows=tuple(tuple(map(Cell, (*line[:told], *line[-4:]))) for line in lines),
        notes=tuple(notes),
    )


def sweep_table(runs: Mapping[str, Result]) -> Table:
    """A grid of settings: one line a combination, mean over seeds and the spread between them.

    Args:
      runs: what each sub-run was given, as `inner_rate=0.1, seed=0`, to its result; what differs in
        `seed` alone is one combination.

    Returns:
      The table, combinations in their order; its figures are those at the most labelled images a
      class, in the first batch-norm mode.
    """
    combinations: dict[str, list[Result]] = {}
    for name, result in runs.items():
        combinations.setdefault(_without_seed(name), []).append(result)
    rows = {name: [_most_shots(r) for r in results] for name, results in combinations.items()}
    every = [row for own in rows.values() for part in own for row in part]
    arms = distinct(every, "learning", "model", "shots", "metric")
    lines = []
    for name, own in rows.items():
        cells = (_spread(own, arm) for arm in arms)
        lines.append((Cell(name), Cell(str(len(own))), *cells))
    notes = ["In brackets the standard deviation between seeds, where there are several."]
    notes += _chance_note(
        chance_of(result, row) for result in runs.values() for row in _most_shots(result)
    )
    unfinished = [name for name, result in runs.items() if not result.get("complete")]
    if unfinished:
        notes.append(f"Not complete: {'; '.join(unfinished)}.")
    kinds = dict.fromkeys(kind for result in runs.values() for kind in kinds_of(result))
    data = listed(list(kinds)) or "unstated"
    shared = sorted(
        {(scale_of(metric).heading, shots_in_words(shots)) for *_, shots, metric in arms}
    )
    return Table(
        title="; ".join(
            [
                *(f"{heading} at {shots}" for heading, shots in shared),
                "mean over seeds",
                f"{data} data",
            ]
        ),
        columns=("settings", "seeds", *(_arm_name(arm, len(shared) > 1) for arm in arms)),
        labels=1,
        rows=tuple(lines),
        notes=tuple(notes),
    )


def _arm_name(arm: tuple[Any, ...], whole: bool) -> str:
    """A column's heading, with shots and metric where the title cannot say them for all."""
    learning, model, shots, metric = arm
    name = f"{learning} {model}"
    return f"{name}, {shots_in_words(shots)}, {scale_of(metric).heading}" if whole else name


def _run_folders(folder: Path) -> Iterator[Path]:
    """Folders of runs: those with a run's files, and the others where a run's name would stand."""
    for experiment in folder.iterdir():
        if not experiment.is_dir() or experiment.name.startswith("."):
            continue
        for path in experiment.iterdir():
            if path.is_dir() and not path.name.startswith("."):
                yield path


def _line(result: Result) -> tuple[str, ...]:
    """Of a run: whether it is complete, its data, best figure, chance and time."""
    rows = _most_shots(result)
    best, chance = ABSENT, ABSENT
    if rows:
        sign = 1 if scale_of(rows[0]["metric"]).higher_is_better else -1
        row = max(rows, key=lambda r: sign * r["mean"])
        arm = " ".join(str(row[name]) for name in ("learning", "model") if row.get(name))
        best = f"{arm}, {shots_in_words(row['shots'])}: {_figure(row)}"
        level = chance_of(result, row)
        chance = ABSENT if level is None else _percent(level)
    age = best_of(of_most_films(age_rows(result)))
    if age:
        best = f"{age['arm']}, {age['films']:,} films: {error_of(age)} months"
    seconds = result.get("seconds")
    return (
        "yes" if result.get("complete") else "no",
        _data(result),
        best,
        chance,
        duration(seconds) if isinstance(seconds, int | float) else ABSENT,
    )


def _most_shots(result: Result) -> list[Row]:
    """Rows that answer for the whole image in the first norm mode at the most shots."""
    norms = norms_of(result)
    rows = main_rows(result, norms[0]) if norms else []
    rows = [row for row in rows if row.get("mean") is not None and row.get("shots") is not None]
    return select(rows, shots=shots_of(rows)[-1]) if rows else []


def _data(result: Result) -> str:
    return listed(list(kinds_of(result))) or "unstated"


def _cell_of(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in _LABELS)


def _apart(
    runs: tuple[Measured, Measured], one: Row | None, other: Row | None, reason: str
) -> tuple[str, str]:
    """How far apart two rows are, and whether that is paired; if not, why."""
    if one is None or other is None or None in (one.get("mean"), other.get("mean")):
        return ABSENT, ABSENT
    found = "no" if reason else paired_difference(*runs, one, other)
    scale = scale_of(one["metric"])
    unit = " points" if scale.unit == "%" else f" {scale.unit}".rstrip()
    if isinstance(found, Difference):
        return f"{scale.signed(found.mean)} ± {scale.figure(found.ci95)}{unit}", "yes"
    return f"{scale.signed(other['mean'] - one['mean'])}{unit}", found


def _paired_note(rows: Sequence[Row]) -> str:
    """What paired differences say, and what they leave open."""
    if any(row.get("unit") == "draws" for row in rows):
        what = "other draws of these very films explain; other films may differ by more"
    else:
        what = "other tasks explain"
    once = any(row.get("trainings", 1) == 1 for row in rows)
    return (
        f"Paired differences have 95 % intervals: one that does not cover 0 is more than {what}"
        f"{'; of one training each, others may undo it' if once else ''}."
    )


def _figure(row: Row | None) -> str:
    if row is None or row.get("mean") is None:
        return ABSENT
    scale = scale_of(row["metric"])
    return f"{scale.estimate(row['mean'], row.get('ci95'))} {scale.unit}".rstrip()


def _chance_note(levels: Iterable[float | None]) -> list[str]:
    known = sorted({level for level in levels if level is not None})
    return [f"Chance: {' or '.join(map(_percent, known))}."] if known else []


def _percent(share: float) -> str:
    scale = scale_of("accuracy")
    return f"{scale.figure(share)} {scale.unit}"


def _without_seed(name: str) -> str:
    return re.sub(r"(^|[ ,;+_-]+)seed=\d+", "", name).strip(" ,;+_-") or "as given"


def _spread(own: Sequence[Sequence[Row]], arm: tuple[Any, ...]) -> Cell:
    """Mean and standard deviation over seeds of one figure, each seed one row at most."""
    fields = dict(zip(("learning", "model", "shots", "metric"), arm, strict=True))
    means = [row["mean"] for rows in own for row in select(rows, **fields)[:1]]
    if not means:
        return Cell(ABSENT)
    scale = scale_of(fields["metric"])
    text = scale.figure(float(np.mean(means)))
    if len(means) > 1:
        text += f" ({scale.figure(float(np.std(means, ddof=1)))})"
    return Cell(text if len(means) == len(own) else f"{text}, {len(means)} of {len(own)} seeds")

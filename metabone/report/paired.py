"""Whether two runs measured the same tasks, and how far apart they are on them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabone.other_trainings import over_trainings
from metabone.report.paired_interval import Difference, paired_interval
from metabone.report.result import Row, select
from metabone.report.run_folder import read_figures


class Measured(NamedTuple):
    """A run's figures, and where it keeps the accuracy on each task.

    Attributes:
      folder: of the run.
      config: config.json.
      result: result.json.
    """

    folder: Path
    config: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def rows(self) -> list[Row]:
        """Rows that answer for the whole image, not for one region of several; maybe none."""
        rows = self.result.get("rows", [])
        return [row for row in rows if row.get("region") in (None, "vote")] or rows

    def setting(self, name: str) -> Any:
        """A setting of the run, or None."""
        settings = self.config.get("config")
        return settings.get(name) if isinstance(settings, Mapping) else None


def measured(folder: str | os.PathLike[str]) -> Measured:
    """Reads a run's figures.

    Raises:
      InputError: the folder holds no run.
    """
    return Measured(Path(folder), *read_figures(folder))


def why_other_tasks(first: Measured, second: Measured) -> str:
    """In words why two runs measured other tasks; empty if they measured the same.

    A task follows from the data, the classes, their number, the queries and the seed.
    """
    data = [_target_data(run.result) for run in (first, second)]
    if not all(data):
        return "the data of a run are not recorded"
    if data[0] != data[1]:
        return "they were measured on other data"
    differing = [
        f"{name} {theirs[0]} and {theirs[1]}"
        for name, theirs in {
            "seeds,": [
                run.result.get("draw_seed", run.result.get("seed")) for run in (first, second)
            ],
            "numbers of queries,": [run.setting("queries") for run in (first, second)],
            "numbers of ways,": [run.setting("ways") for run in (first, second)],
        }.items()
        if theirs[0] != theirs[1]
    ]
    if differing:
        return f"they have other {differing[0]}"
    if _classes(first.result) != _classes(second.result):
        return "they were tested on other classes"
    return ""


def paired_difference(first: Measured, second: Measured, one: Row, other: Row) -> Difference | str:
    """How far the second run's row is above the first's on the same tasks.

    Args:
      first: a run.
      second: a run of the same tasks, see `why_other_tasks`.
      one: a row of the first.
      other: the row of the second with the same labels.

    Returns:
      The difference, or in words why there is none, the runs called A and B.
    """
    if one.get("queries") != other.get("queries"):
        return f"other numbers of queries, {one.get('queries')} and {other.get('queries')}"
    ours, theirs = _kept(first, one), _kept(second, other)
    unit = str(one.get("unit", "tasks"))
    if ours is None or theirs is None:
        both = ours is None and theirs is None
        who = "A and B keep" if both else "A keeps" if ours is None else "B keeps"
        return f"{who} no figures of single {unit}"
    if ours.shape[1] != theirs.shape[1]:
        return f"{ours.shape[1]} and {theirs.shape[1]} {unit}"
    apart = paired_interval(theirs.mean(0) - ours.mean(0))
    return apart._replace(ci95=over_trainings(apart.ci95, ours.mean(1), theirs.mean(1)))


def _kept(run: Measured, row: Row) -> np.ndarray | None:
    """`[N, n]` accuracies of N trainings whose mean a row is, or None where none of it is kept."""
    if row.get("metric") != "accuracy":
        return None
    names = [str(row.get(field)) for field in ("learning", "model", "shots")]
    for name in ("-".join(names), names[0]):
        # A name out of a file leads nowhere but into the folder of accuracies.
        if "/" in name or not (run.folder / f"accuracies/{name}.npy").is_file():
            continue
        column = _column(run, row) if name != names[0] else 0
        each = [_accuracies(folder / f"accuracies/{name}.npy", column) for folder in _folders(run)]
        found = [own for own in each if own is not None]
        if not found or any(len(own) != len(found[0]) for own in found):
            return None
        kept = np.stack(found)
        # The mean tells whether the file belongs to the row: benchmarks keep but one norm mode.
        if np.isclose(kept.mean(), row["mean"], rtol=0, atol=1e-6):
            return kept
    return None


def _folders(run: Measured) -> list[Path]:
    """Those of the run's trainings, in their order."""
    others = (run.folder / "trainings").glob("[0-9]*")
    return [run.folder, *sorted(others, key=lambda folder: folder.name.zfill(9))]


def _accuracies(path: Path, column: int) -> np.ndarray | None:
    """One column of a file of figures, or None where there is no such."""
    if not path.is_file():
        return None
    try:
        kept = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return None
    kept = kept.reshape(len(kept), -1) if kept.ndim in (1, 2) else np.zeros((0, 0))
    if column >= kept.shape[1] or len(kept) < 2:
        return None
    return kept[:, column].astype(np.float64)


def _column(run: Measured, row: Row) -> int:
    """Which of the norm modes of its cell a row is, in the order in which they were written."""
    fields = ("learning", "model", "shots", "metric", "region")
    cell = select(run.rows, **{name: row.get(name) for name in fields})
    return [r.get("norm") for r in cell].index(row.get("norm"))


def _target_data(result: Mapping[str, Any]) -> list[str]:
    """Fingerprints of the data that tasks were drawn from; where no target is, of all."""
    data = [d for d in result.get("data", ()) if isinstance(d, Mapping)]
    target = [d for d in data if d.get("role") == "target"] or data
    return sorted(str(d["sha256"]) for d in target if d.get("sha256"))


def _classes(result: Mapping[str, Any]) -> Any:
    """What classes tasks were made of: those of the target, or those kept for the test."""
    target = any(
        isinstance(d, Mapping) and d.get("role") == "target" for d in result.get("data", ())
    )
    if target and result.get("class_names"):
        return result["class_names"]
    split = result.get("meta_classes")
    return split.get("test") if isinstance(split, Mapping) else None

"""What training reports, as JSON lines and as TensorBoard events.

`metrics.jsonl` holds one object a line: `phase`, `step` (steps done, from 1) and the metrics. There
is one for every single step, and one for each validation with names like `validation/accuracy`. A
metric that is not finite is `null`, since JSON has no NaN. Nothing in it depends on the clock, so a
run that was killed and continued ends with the same bytes as one that was not.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metabone.training.json_files import plain, write_text_atomically


class MetricsWriter:
    """Writes the metrics of a run.

    Args:
      path: the JSON lines file; its folder must exist. Only one process may write to it.
      events: folder of the TensorBoard events, one below it a phase; None for none.
    """

    def __init__(self, path: str | os.PathLike, events: str | os.PathLike | None = None):
        self._path = Path(path)
        self._events = None if events is None else Path(events)
        self._boards: dict[str, Any] = {}
        self._from_step: dict[str, int] = {}

    def truncate(self, phase: str, step: int) -> None:
        """Forgets what a phase reported after `step`, and a line that was cut off by a kill.

        Args:
          phase: the phase that is about to continue.
          step: steps that it has done.
        """
        self._from_step[phase] = step + 1
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if self._is_kept(line, phase, step)]
        if kept != lines:
            write_text_atomically(self._path, "".join(kept))

    def write_steps(self, phase: str, first: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Reports consecutive training steps; TensorBoard gets their mean.

        Args:
          phase: what was trained.
          first: the first one's number, from 1.
          metrics: `[count]` arrays by name.
        """
        count = len(next(iter(metrics.values()), ()))
        rows = [{name: column[i] for name, column in metrics.items()} for i in range(count)]
        self._append([_line(phase, first + i, row) for i, row in enumerate(rows)])
        means = {name: np.mean(column, dtype=np.float64) for name, column in metrics.items()}
        self._show(phase, first + count - 1, means)

    def write_validation(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        """Reports one validation.

        Args:
          phase: what is being trained.
          step: steps done.
          metrics: numbers by name.
        """
        metrics = {f"validation/{name}": value for name, value in metrics.items()}
        self._append([_line(phase, step, metrics)])
        self._show(phase, step, metrics)

    def close(self) -> None:
        """Closes the event files."""
        for board in self._boards.values():
            board.close()
        self._boards.clear()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @staticmethod
    def _is_kept(line: str, phase: str, step: int) -> bool:
        try:
            row = json.loads(line) if line.endswith("\n") else None
        except json.JSONDecodeError:
            row = None
        return isinstance(row, dict) and (row.get("phase") != phase or row["step"] <= step)

    def _append(self, lines: list[str]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))

    def _show(self, phase: str, step: int, metrics: Mapping[str, float]) -> None:
        if self._events is None:
            return
        if phase not in self._boards:
            # Imported where it is needed: nothing else asks for TensorBoard.
            from tensorboardX import SummaryWriter

            # Events from before a kill stay in their file; this tells readers to pass over them.
            purge = self._from_step.get(phase)
            folder = str(self._events / phase)
            self._boards[phase] = SummaryWriter(folder, purge_step=purge)
        for name, value in metrics.items():
            self._boards[phase].add_scalar(name, float(value), step)
        self._boards[phase].flush()


def read_metrics(path: str | os.PathLike, phase: str | None = None) -> list[dict[str, Any]]:
    """Reads what was reported so far, for a report.

    Args:
      path: the JSON lines file.
      phase: only this phase.

    Returns:
      One dict a line in the file's order; empty if there is no file. A half-written last line is
      passed over.
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if phase in (None, row["phase"]):
            rows.append(row)
    return rows


def _line(phase: str, step: int, metrics: Mapping[str, Any]) -> str:
    row = {"phase": phase, "step": step} | plain(metrics)
    return json.dumps(row, allow_nan=False) + "\n"

"""A grid of runs: one for each combination of swept values and seeds, one after the other."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metabone.report.runs import sweep_table
from metabone.report.tables import to_text
from metabone.training.json_files import plain, read_json, write_json_atomically
from metabone.training.run import is_run_name
from metabone.workflows.setting_values import Cell


def carry_out_grid(
    cells: list[Cell], config: Any, folder: Path, base: str, start: Callable[[Cell, str], int]
) -> int:
    """Carries the runs out that are not complete, then keeps and prints what all have found.

    A run that fails, such as by diverging, is told, and the next one begins.

    Args:
      cells: made by `grid`.
      config: settings of all.
      folder: where their runs lie.
      base: how their names begin.
      start: carries out one, given its own settings and its name; returns an exit status.

    Returns:
      An exit status: 0 if all runs are complete, 1 if some failed, or that of the first that ended
      otherwise: on a wrong setting or an interruption the others would end as it did.
    """
    done: dict[str, tuple[Path, Cell]] = {}
    failed = []
    for number, cell in enumerate(cells, 1):
        said = ", ".join(f"{key}={value}" for key, value in cell.items())
        print(f"run {number} of {len(cells)}: {said}", file=sys.stderr, flush=True)
        name = run_name(base, cell)
        complete = _is_complete(folder / name, dataclasses.replace(config, **cell))
        status = 0 if complete else start(cell, name)
        if status == 0:
            done[said] = folder / name, cell
        elif status == 1:
            failed.append(name)
            print(f"run {folder / name} failed", file=sys.stderr, flush=True)
        else:
            return status
    if done:
        _summarise(folder / f"{base}+sweep.json", done, failed)
    return 1 if failed else 0


def run_name(base: str, cell: Mapping[str, Any]) -> str:
    """The name of a run of a sweep; a hash stands for what no name can hold, such as a path.

    >>> run_name("demo", {"inner_rate": 0.1, "seed": 0})
    'demo+inner_rate=0.1+seed=0'
    """
    name = "+".join([base, *(f"{key}={value}" for key, value in cell.items())])
    return name if is_run_name(name) else f"{base}+{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _is_complete(folder: Path, config: Any) -> bool:
    files = [folder / name for name in ("config.json", "result.json")]
    if not all(file.is_file() for file in files):
        return False
    record, result = map(read_json, files)
    # A command may have settings that its runs do not depend on.
    return record["config"].items() <= plain(config).items() and result.get("complete") is True


def _summarise(file: Path, done: Mapping[str, tuple[Path, Cell]], failed: list[str]) -> None:
    results = {said: read_json(folder / "result.json") for said, (folder, _) in done.items()}
    runs = [
        {"run": folder.name, "settings": cell, "rows": results[said]["rows"]}
        for said, (folder, cell) in done.items()
    ]
    write_json_atomically(file, {"runs": runs, "failed": failed})
    print(to_text(sweep_table(results)), f"\n\nsweep: {file}")

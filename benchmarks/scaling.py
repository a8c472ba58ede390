"""What a meta-step costs as its settings grow: seconds and memory, a plot for each setting.

    python -m benchmarks.scaling --json=scaling.json --plots=FOLDER

A small second-order MAML (32x32x3, 5 ways, 5 shots, 5 queries, 4 tasks, 5 inner steps, four pooled
blocks of 32 filters, inner steps recomputed) is changed in one setting at a time: inner steps,
ways, shots, tasks, image side, filters, or the number of devices that share one host's cores. Each
value runs in a process of its own, on the CPU; the values of a setting take turns, and a turn
begins with a step that is not timed. Memory is what the compiled program asks for beyond its
arguments and results, as XLA reports it.

Two figures are printed at the end: memory at 20 inner steps over that at 5, and the largest
deviation of the seconds from a straight line through all inner steps, relative to the line.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.alternation import Worker, alternate
from benchmarks.contenders import OURS
from benchmarks.settings import Setting, flops

BASE = Setting("base", 32, 3, 5, 5, 5, 4, 5, 0.05, filters=32)
VALUES = {
    "inner_steps": (1, 2, 5, 10, 20),
    "ways": (2, 5, 10, 20),
    "shots": (1, 5, 10, 20),
    "tasks": (2, 4, 8, 16),
    "side": (16, 32, 64, 96),
    "filters": (16, 32, 64, 128),
    "devices": (1, 2),
}
_LIMIT = 600.0


def workers_of(name: str) -> dict[str, Worker]:
    """The processes of one setting's values, compiling one after the other.

    Args:
      name: in `VALUES`.

    Returns:
      By value, each with its first step taken.
    """
    workers = {}
    for value in VALUES[name]:
        setting, variant = BASE, {"remat": True}
        if name != "devices":
            setting = replace(BASE, **{name: value})
        elif value > 1:
            variant |= {"mapping": "devices", "env": (f"devices_{value}",)}
        workers[str(value)] = worker = Worker(OURS, variant, setting, seed=0)
        worker.wait_for_first_step(_LIMIT)
    return workers


def measure(name: str, rounds: int) -> list[dict[str, Any]]:
    """Seconds and memory of each value of one setting.

    Args:
      name: in `VALUES`.
      rounds: turns that each value gets.

    Returns:
      One row a value: `value`, `seconds` (the median), `spread` (least and most), `program_mib`,
      `first_step_seconds` and `gflops`, 10^9 operations by the analytic count.
    """
    workers = workers_of(name)
    try:
        answers = alternate(workers, rounds=rounds, timed=1, seed=0, limit=_LIMIT)
        rows = []
        for value, worker in workers.items():
            seconds = [s for answer in answers[value] for s in answer["seconds"]]
            setting = BASE if name == "devices" else replace(BASE, **{name: int(value)})
            rows.append(
                {
                    "value": int(value),
                    "seconds": median(seconds),
                    "spread": [min(seconds), max(seconds)],
                    "program_mib": worker.first["program_bytes"] / 2**20,
                    "first_step_seconds": worker.first["first_step_seconds"],
                    "gflops": flops(setting) / 1e9,
                }
            )
        return rows
    finally:
        for worker in workers.values():
            worker.close()


def deviation_from_line(rows: list[dict[str, Any]]) -> float:
    """How far seconds lie from the line that fits them best, relative to the line.

    Args:
      rows: of `measure`.

    Returns:
      The largest relative deviation.
    """
    x = np.array([row["value"] for row in rows], float)
    y = np.array([row["seconds"] for row in rows])
    # Relative least squares: the short runs count as much as the long.
    slope, start = np.polyfit(x, y, 1, w=1 / y)
    return float(np.max(np.abs(y / (slope * x + start) - 1)))


def plot(name: str, rows: list[dict[str, Any]], path: Path) -> None:
    """Draws seconds and memory over the values.

    Args:
      name: of the setting.
      rows: of `measure`.
      path: of the SVG file to write.
    """
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    seconds, memory = figure.subplots(1, 2)
    x = [row["value"] for row in rows]
    low, high = zip(*(row["spread"] for row in rows), strict=True)
    seconds.fill_between(x, low, high, alpha=0.2)
    seconds.plot(x, [row["seconds"] for row in rows], marker="o")
    seconds.set_ylabel("seconds a meta-step")
    memory.plot(x, [row["program_mib"] for row in rows], marker="o", color="tab:orange")
    memory.set_ylabel("MiB of the program")
    for axes in (seconds, memory):
        axes.set_xlabel(name.replace("_", " "))
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(path)


def main() -> int:
    """Measures, writes and prints; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default=",".join(VALUES), help="which, by default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plots", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    names = arguments.settings.split(",")
    if unknown := [name for name in names if name not in VALUES]:
        parser.error(f"--settings: {unknown[0]!r} is none of {', '.join(VALUES)}")
    results = {}
    for name in names:
        results[name] = measure(name, arguments.rounds)
        for row in results[name]:
            print(
                f"{name} {row['value']:>4}: {row['seconds']:7.3f} s "
                f"({row['spread'][0]:.3f} to {row['spread'][1]:.3f}), "
                f"{row['program_mib']:7.1f} MiB, {row['gflops'] / row['seconds']:5.1f} GFLOP/s, "
                f"first step {row['first_step_seconds']:.1f} s",
                flush=True,
            )
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
        if arguments.plots:
            arguments.plots.mkdir(parents=True, exist_ok=True)
            plot(name, results[name], arguments.plots / f"{name}.svg")
    if "inner_steps" in results:
        rows = {row["value"]: row for row in results["inner_steps"]}
        ratio = rows[20]["program_mib"] / rows[5]["program_mib"]
        print(f"memory at 20 inner steps over that at 5: {ratio:.2f}")
        print(f"seconds off a line in inner steps: {deviation_from_line([*rows.values()]):.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Seconds per meta-step of second-order MAML: this library and its peers on the same episodes.

    python -m benchmarks.throughput --settings=omniglot_5w1s,mini_5w5s,smi --peers=all \
        --json=throughput.json

All compute in float32 on the CPU from the same first weights and episodes, arrays given beforehand,
and take Adam's step on the mean gradient over tasks. Each contender is a process of its own. At
first every variant of a contender (layout, threads, loop or vmap, ...) takes a few steps, and the
fastest goes on; then contenders take turns in a new order each round, one untimed step before the
timed one. The first query loss and the first mean gradient's norm must agree with ours (the first
contender's, if ours fails) to 1e-4 and 1e-3: what differs is reported as wrong, and the exit status
is 1. A peer that fails is a row with its reason and leaves the status 0; ours that fails does not.

The table has medians over rounds, GFLOP/s by the rule of `settings.flops`, their share of the
fastest product of large matrices measured in the same run, peak memory of the process and how much
of that came with the first step, and each median over ours. The ratio to the fastest peer is also
given paired: their times of the same round. The JSON file has everything.

Peers need packages that the project does not, see `benchmarks/requirements.txt`. Not to be run
beside other work. `--quick` shrinks settings to seconds, for tests of the benchmark itself.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.alternation import Check, alternate, best_variant
from benchmarks.contenders import CONTENDERS, CORES, OURS, name_of
from benchmarks.settings import SETTINGS, Setting, activation_bytes, flops, shrunk
from benchmarks.throughput_table import table

LOSS_LIMIT = 1e-4
GRADIENT_LIMIT = 1e-3

_ROUNDS, _QUICK_ROUNDS = 7, 2
# A turn is two steps or more of what took three within the limit.
_PATIENCE = 3


def compare(
    setting: Setting,
    peers: list[str],
    *,
    rounds: int,
    timed: int = 1,
    seed: int = 0,
    tune: bool = True,
    variant_limit: float = 180.0,
) -> dict[str, Any]:
    """Times ours and peers on one setting.

    Args:
      setting: what to compute.
      peers: names in `CONTENDERS` besides ours.
      rounds: turns of each contender.
      timed: steps timed in each turn; their mean is the turn's time.
      seed: of weights, episodes and orders.
      tune: whether variants are tried; else the first is taken.
      variant_limit: seconds that each may take in trying.

    Returns:
      What goes into the JSON file for this setting, `rows` among it; `share_of_peak` is for
      `add_share`.
    """
    found = {
        "setting": dataclasses.asdict(setting),
        "flops": flops(setting),
        "activation_bytes": activation_bytes(setting),
        "load_before": os.getloadavg(),
        "rows": [],
    }
    check = agreement()
    with contextlib.ExitStack() as stack:
        workers, rows = {}, found["rows"]
        for name in (OURS, *peers):
            worker, trials = best_variant(
                name, setting, seed, tune=tune, limit=variant_limit, check=check
            )
            row = {"contender": name, "trials": trials}
            rows.append(row)
            if worker is None:
                wrong = [trial for trial in trials if trial.get("wrong")]
                why = wrong[0]["wrong"] if wrong else trials[0]["error"]
                row.update(status="wrong" if wrong else "failed", reason=why)
                continue
            stack.callback(worker.close)
            workers[name] = worker
            row.update(worker.first, status="ok", variant=name_of(worker.variant))
        limit = _PATIENCE * variant_limit * timed
        turns = alternate(workers, rounds=rounds, timed=timed, seed=seed, limit=limit)
    for row in rows:
        if row["status"] == "ok":
            _add_turns(row, turns[row["contender"]], found["flops"])
    _add_ratios(found)
    return found


def add_share(found: dict[str, Any], sgemm_gflops: float) -> None:
    """Adds each row's share of the machine's peak.

    Args:
      found: from `compare`.
      sgemm_gflops: the peak.
    """
    for row in found["rows"]:
        if row["status"] == "ok":
            row["share_of_peak"] = row["gflops"] / sgemm_gflops


def is_right(found: dict[str, Any]) -> bool:
    """Whether ours could be timed and no variant of anyone computed something else."""
    trials = [trial for row in found["rows"] for trial in row["trials"]]
    return found["rows"][0]["status"] == "ok" and not any(t.get("wrong") for t in trials)


def agreement() -> Check:
    """Makes the comparison of first steps.

    Returns:
      A check to be given what each contender tells of its first step, ours first: that one is what
      the others must agree with.
    """
    reference: dict[str, float] = {}

    def check(first: dict[str, Any]) -> str:
        for key, limit in (("first_loss", LOSS_LIMIT), ("gradient_norm", GRADIENT_LIMIT)):
            expected = reference.setdefault(key, first[key])
            # Written so that a difference of NaN fails.
            if not abs(first[key] - expected) <= limit * abs(expected):
                return f"{key} (={first[key]:.7g}): expected {expected:.7g}"
        return ""

    return check


def _add_turns(row: dict[str, Any], turns: list[dict[str, Any]], work: int) -> None:
    if "error" in turns[-1]:
        row.update(status="failed", reason=turns[-1]["error"])
        row["trials"].append({"name": row["variant"], "error": turns[-1]["error"]})
        return
    seconds = [statistics.mean(turn["seconds"]) for turn in turns]
    median = statistics.median(seconds)
    row.update(
        seconds=seconds,
        losses=[turn["losses"] for turn in turns],
        median=median,
        min=min(seconds),
        max=max(seconds),
        gflops=work / median / 1e9,
        peak_mib=turns[-1]["peak_mib"],
        rise_mib=turns[-1]["peak_mib"] - row["memory_before_mib"],
        resident_mib=turns[-1]["resident_mib"],
    )


def _add_ratios(found: dict[str, Any]) -> None:
    ours, *others = found["rows"]
    peers = [row for row in others if row["status"] == "ok"]
    if ours["status"] != "ok":
        return
    for row in (ours, *peers):
        row["ratio_to_ours"] = row["median"] / ours["median"]
    if not peers:
        return
    fastest = min(peers, key=lambda row: row["median"])
    paired = [b / a for a, b in zip(ours["seconds"], fastest["seconds"], strict=True)]
    found["ratio_to_fastest_peer"] = {
        "peer": fastest["contender"],
        "of_medians": fastest["ratio_to_ours"],
        "paired": paired,
        "paired_median": statistics.median(paired),
        "paired_range": [min(paired), max(paired)],
    }


def _peak() -> dict[str, float]:
    environment = {"JAX_PLATFORMS": "cpu", **os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peak"],
        cwd=Path(__file__).parents[1],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _names(text: str, known: list[str]) -> list[str]:
    names = known if text == "all" else [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r}: expected some of {', '.join(known)}")
    return names


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    known_peers = [name for name in CONTENDERS if name != OURS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", type=lambda x: _names(x, list(SETTINGS)), default="all")
    parser.add_argument("--peers", type=lambda x: _names(x, known_peers), default="all")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, help=f"default {_ROUNDS}, quick {_QUICK_ROUNDS}")
    parser.add_argument("--timed", type=int, default=1, help="steps timed in each round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tune", choices=("true", "false"), default="true")
    parser.add_argument("--variant_limit", type=float, default=180.0, help="seconds")
    parser.add_argument("--quick", action="store_true", help="shrinks every setting")
    flags = parser.parse_args(arguments)
    rounds = flags.rounds or (_QUICK_ROUNDS if flags.quick else _ROUNDS)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "arguments": sys.argv[1:] if arguments is None else arguments,
        "seed": flags.seed,
        "quick": flags.quick,
        "cpu": _cpu(),
        "cores": CORES,
        "python": platform.python_version(),
        "peaks": [_peak()],
        "settings": {},
    }
    right = True
    for name in flags.settings:
        found = compare(
            shrunk(SETTINGS[name]) if flags.quick else SETTINGS[name],
            flags.peers,
            rounds=rounds,
            timed=flags.timed,
            seed=flags.seed,
            tune=flags.tune == "true",
            variant_limit=flags.variant_limit,
        )
        report["settings"][name] = found
        report["peaks"].append(_peak())
        for one in report["settings"].values():
            add_share(one, max(peak["sgemm_gflops"] for peak in report["peaks"]))
        right = right and is_right(found)
        print(f"\n{name}{' (shrunk)' if flags.quick else ''}", table(found), sep="\n", flush=True)
        if flags.json:
            # After every setting, so that an interrupted run keeps what it has.
            flags.json.write_text(json.dumps(report, indent=1) + "\n")
    best = {key: max(peak[key] for peak in report["peaks"]) for key in report["peaks"][0]}
    print(
        f"\n{report['cpu']}, {CORES} cores: {best['sgemm_gflops']:.0f} GFLOP/s in products of "
        f"matrices, {best['triad_gib_s']:.1f} GiB/s in passes over memory"
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())

"""Contenders in processes of their own that take turns, so that all meet the same machine."""

import contextlib
import dataclasses
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, ENVIRONMENTS, Variant, name_of
from benchmarks.settings import Setting

Check = Callable[[dict[str, Any]], str]

_ROOT = Path(__file__).parents[1]
_TRIES, _SHORT = 3, 5.0


class WorkerFailed(Exception):
    """A worker answered with an error, ended, or took too long; the message says which."""


class OutOfTime(WorkerFailed):
    """A worker took too long."""


class Worker:
    """A contender's process: builds it and takes its first step at once, then steps on demand.

    Attributes:
      variant: of the contender.
      first: what the process told of its first step; set by `wait_for_first_step`.
    """

    def __init__(self, contender: str, variant: Variant, setting: Setting, seed: int):
        self.variant = variant
        self.first: dict[str, Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="metabone_worker_")
        self._errors = Path(self._folder.name, "stderr")
        arguments = {key: value for key, value in variant.items() if key != "env"}
        spec = {
            "contender": contender,
            "variant": arguments,
            "setting": dataclasses.asdict(setting),
            "seed": seed,
        }
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=_ROOT,
                env=self._environment(),
                start_new_session=True,
            )
        self._received = b""

    def wait_for_first_step(self, limit: float) -> None:
        """Waits until the first step is done.

        Args:
          limit: seconds.

        Raises:
          WorkerFailed: see the class.
        """
        self.first = self._receive(limit)

    def go(self, warm: int, timed: int, limit: float) -> dict[str, Any]:
        """Has meta-steps taken.

        Args:
          warm: how many are not timed, because the first after idling is slower.
          timed: how many are.
          limit: seconds.

        Returns:
          `seconds` and `losses` of the timed steps; `peak_mib` and `resident_mib` of the process.

        Raises:
          WorkerFailed: see the class.
        """
        try:
            self._process.stdin.write(f"{warm} {timed}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerFailed(self._why_it_ended()) from error
        return self._receive(limit)

    def close(self) -> None:
        """Ends the process, and what it may have started to compile with."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._folder.cleanup()

    def _environment(self) -> dict[str, str]:
        environment = {"JAX_PLATFORMS": "cpu", **os.environ}
        # What an earlier process compiled is not to make this one's first step look short.
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        environment["TORCHINDUCTOR_CACHE_DIR"] = self._folder.name
        if "threads" in self.variant:
            for library in ("OMP", "MKL"):
                environment[f"{library}_NUM_THREADS"] = str(self.variant["threads"])
        for name in self.variant.get("env", ()):
            environment.update(ENVIRONMENTS[name])
        return environment

    def _receive(self, limit: float) -> dict[str, Any]:
        deadline = time.monotonic() + limit
        output = self._process.stdout.fileno()
        while b"\n" not in self._received:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([output], [], [], left)[0]:
                raise OutOfTime(f"took longer than {limit:.0f} s")
            part = os.read(output, 2**16)
            if not part:
                raise WorkerFailed(self._why_it_ended())
            self._received += part
        line, _, self._received = self._received.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _why_it_ended(self) -> str:
        status = self._process.wait()
        last = self._errors.read_text().strip().splitlines()[-1:]
        hint = " (killed: out of memory?)" if status == -9 else ""
        return f"ended with status {status}{hint}: {' '.join(last)[:300]}"


def best_variant(
    contender: str, setting: Setting, seed: int, *, tune: bool, limit: float, check: Check
) -> tuple[Worker | None, list[dict[str, Any]]]:
    """Tries a contender's variants and keeps the fastest one's process.

    Args:
      contender: a name in `CONTENDERS`.
      setting: what to compute.
      seed: of weights and episodes.
      tune: whether all variants are tried, by a step after the first; else the first is taken.
      limit: seconds that a variant may take for building, compiling and both steps.
      check: says what is wrong with what a process told of its first step, or returns an empty
        string. A wrong variant is not taken.

    Returns:
      The process, None if every variant failed or is wrong; and one trial a variant: `variant`,
      `name`, and either `error` or `seconds` (None without tuning), `wrong` and what the process
      told of its first step.
    """
    variants = CONTENDERS[contender].variants if tune else CONTENDERS[contender].variants[:1]
    best: Worker | None = None
    best_seconds = float("inf")
    trials = []
    for variant in variants:
        trial: dict[str, Any] = {"variant": variant, "name": name_of(variant), "seconds": None}
        trials.append(trial)
        start = time.monotonic()
        worker = Worker(contender, variant, setting, seed)
        taken = False
        try:
            worker.wait_for_first_step(limit)
            trial.update(worker.first, wrong=check(worker.first))
            seconds = 0.0
            if len(variants) > 1:
                left = limit - (time.monotonic() - start)
                trial["seconds"] = seconds = _quickest(worker, left)
            taken = not trial["wrong"] and seconds < best_seconds
        except OutOfTime:
            trial["error"] = f"took longer than {limit:.0f} s for its first steps"
        except WorkerFailed as failure:
            trial["error"] = str(failure)
        finally:
            if not taken:
                worker.close()
        if taken:
            if best is not None:
                best.close()
            best, best_seconds = worker, seconds
    return best, trials


def alternate(
    workers: dict[str, Worker], *, rounds: int, timed: int, seed: int, limit: float
) -> dict[str, list[dict[str, Any]]]:
    """Lets contenders take turns, in a new order each round.

    Each turn begins with one step that is not timed.

    Args:
      workers: by contender, their first steps taken.
      rounds: how many turns each gets.
      timed: steps that are timed in each turn.
      seed: of the orders.
      limit: seconds a turn may take.

    Returns:
      By contender the answers of its turns, see `Worker.go`; the last is `{"error": ...}` if it
      failed, and it got no further turn.
    """
    rng = random.Random(seed)
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    alive = list(workers)
    for _ in range(rounds):
        for name in rng.sample(alive, len(alive)):
            try:
                answers[name].append(workers[name].go(1, timed, limit))
            except WorkerFailed as failure:
                answers[name].append({"error": str(failure)})
                alive.remove(name)
    return answers


def _quickest(worker: Worker, limit: float) -> float:
    # One step decides, up to three if they are short: the machine may have stood still for one.
    seconds = worker.go(0, 1, limit)["seconds"]
    while len(seconds) < _TRIES and sum(seconds) < _SHORT:
        seconds += worker.go(0, 1, limit)["seconds"]
    return min(seconds)

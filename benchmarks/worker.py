"""One contender in a process of its own, taking meta-steps when told to.

    python -m benchmarks.worker '{"contender": "metabone", "variant": {}, "setting": {...}, ...}'

Builds the contender, takes the first step and writes one JSON line to standard output. Then it
sleeps until a line `WARM TIMED` arrives on standard input, takes that many meta-steps, the last
`TIMED` of them timed one by one, and answers with another line; the end of the input ends it. What
libraries print goes to standard error. A failure is an answer too: `{"error": ...}`.
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.settings import Setting


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_now() -> float:
    """What this process holds in memory, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    """Serves one contender; returns the exit status."""
    # Answers keep the real standard output to themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    with contextlib.suppress(OSError):
        # Should memory run out, this process is to go rather than anyone else's.
        Path("/proc/self/oom_score_adj").write_text("1000")

    def answer(**line: Any) -> None:
        answers.write(json.dumps(line) + "\n")

    try:
        _serve(json.loads(sys.argv[1]), answer)
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        answer(error=f"{type(error).__name__}: {first_line[:300]}")
        return 1
    return 0


def _serve(spec, answer):
    setting = Setting(**{**spec["setting"], "widths": tuple(spec["setting"]["widths"])})
    start = time.perf_counter()
    build = CONTENDERS[spec["contender"]].build()
    imported = time.perf_counter()
    running = build(setting, spec["seed"], **spec["variant"])
    before = peak_memory()
    built = time.perf_counter()
    loss = running.step()
    answer(
        first_loss=loss,
        import_seconds=imported - start,
        build_seconds=built - imported,
        first_step_seconds=time.perf_counter() - built,
        gradient_norm=running.gradient_norm(),
        memory_before_mib=before,
        program_bytes=running.program_bytes() if running.program_bytes else None,
        versions=running.versions,
    )
    for line in sys.stdin:
        warm, timed = (int(word) for word in line.split())
        for _ in range(warm):
            running.step()
        seconds, losses = [], []
        for _ in range(timed):
            start = time.perf_counter()
            losses.append(running.step())
            seconds.append(time.perf_counter() - start)
        answer(seconds=seconds, losses=losses, peak_mib=peak_memory(), resident_mib=memory_now())


if __name__ == "__main__":
    sys.exit(main())

"""Measures what the machine can do at most: products of matrices, and passes over memory.

    python -m benchmarks.peak

Prints one JSON line. Products are of 2048x2048 float32 matrices, by JAX and by NumPy (whose BLAS is
another), all cores; a pass is `a + 3 b` written over `a`, 256 MiB each, counted as two reads and a
write. Each figure is the best of several medians, because everything that disturbs makes it lower.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

_SIZE = 2048
_BYTES = 2**28
_MEDIANS, _EACH = 4, 5


def measure() -> dict[str, float]:
    """Measures for a few seconds.

    Returns:
      `jax_gflops`, `numpy_gflops` and the larger of both, `sgemm_gflops`, in 1e9 a second;
      `triad_gib_s`, in 2**30 bytes a second.
    """
    rng = np.random.default_rng(0)
    left, right = rng.random((2, _SIZE, _SIZE), np.float32)
    work = 2 * _SIZE**3 / 1e9
    on_device = [jnp.asarray(left), jnp.asarray(right)]
    product = jax.jit(jnp.dot)
    by_jax = work / _best(lambda: jax.block_until_ready(product(*on_device)))
    out = np.empty_like(left)
    by_numpy = work / _best(lambda: np.dot(left, right, out=out))

    @partial(jax.jit, donate_argnums=0)
    def triad(total, more):
        return total + 3.0 * more

    total, more = jnp.zeros(_BYTES // 4), jnp.ones(_BYTES // 4)

    def one_pass():
        nonlocal total
        total = jax.block_until_ready(triad(total, more))

    moved = 3 * _BYTES / 2**30 / _best(one_pass)
    return {
        "sgemm_gflops": max(by_jax, by_numpy),
        "jax_gflops": by_jax,
        "numpy_gflops": by_numpy,
        "triad_gib_s": moved,
    }


def _best(work: Callable[[], object]) -> float:
    work()
    medians = []
    for _ in range(_MEDIANS):
        seconds = []
        for _ in range(_EACH):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        medians.append(statistics.median(seconds))
    return min(medians)


def main() -> int:
    """Prints the measurement; returns the exit status."""
    print(json.dumps(measure()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

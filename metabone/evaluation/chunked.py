"""Many rows through a compiled function, a few at a time."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def chunked(function: Callable[..., Any], *arrays: np.ndarray, size: int) -> Any:
    """Calls a function on slices of arrays along their first axis, and puts the results together.

    All slices have one length, so that one program is compiled; the last is filled up by its last
    row, whose further results are dropped.

    Args:
      function: compiled by `jax.jit`, of slices `[k, ...]`, to a pytree of `[k, ...]`, each row by
        itself.
      *arrays: `[n, ...]` each, n at least 1.
      size: the most rows that are taken at once.

    Returns:
      The pytree with host arrays `[n, ...]`.

    Example:
      >>> chunked(jax.jit(lambda a: 2 * a), np.arange(5), size=2)
      array([0, 2, 4, 6, 8], dtype=int32)
    """
    count = len(arrays[0])
    length = -(-count // -(-count // size))
    found = []
    for first in range(0, count, length):
        rows = np.minimum(np.arange(first, first + length), count - 1)
        found.append(jax.device_get(function(*(array[rows] for array in arrays))))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)

"""Which films must stay on one side of a split."""

from collections.abc import Hashable, Sequence

import numpy as np


def kept_together(names: Sequence[str], *marks: Sequence[Hashable]) -> np.ndarray:
    """Groups films that have anything in common, such as the patient or all their pixels.

    Args:
      names: `N` films.
      marks: Each of `N` values; films of one value belong together, also by way of a third film.

    Returns:
      `[N]` str, the first film of each one's group.

    Example:
      >>> kept_together(["a", "b", "c", "d"], ["p", "q", "q", "r"], ["x", "x", "y", "z"]).tolist()
      ['a', 'a', 'a', 'd']
    """
    parent = list(range(len(names)))

    def first(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for values in marks:
        seen: dict[Hashable, int] = {}
        for row, value in enumerate(values):
            low, high = sorted((first(row), first(seen.setdefault(value, row))))
            parent[high] = low
    return np.asarray([names[first(row)] for row in range(len(names))])

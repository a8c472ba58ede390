"""Folds of labelled films for cross-validation: stratified, with what belongs together together."""

from collections.abc import Hashable, Sequence

import numpy as np

from metabone.errors import InputError

MOST_FOLDS = 5


def units_of(fingerprints: Sequence[str], groups: Sequence[Hashable] | None) -> np.ndarray:
    """Numbers films that must stay together alike: copies of one film, and films of one patient.

    Args:
      fingerprints: `n` content hashes.
      groups: `n` patients, or None.

    Returns:
      `[n]` int in `0 .. units - 1`.

    Example:
      >>> units_of(["a", "b", "a", "c"], ["x", "y", "z", "y"]).tolist()
      [0, 1, 0, 1]
    """
    parent = list(range(len(fingerprints)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for names in (fingerprints, groups if groups is not None else ()):
        first: dict[Hashable, int] = {}
        for row, name in enumerate(names):
            parent[root(row)] = root(first.setdefault(name, row))
    roots = [root(row) for row in range(len(parent))]
    _, units = np.unique(roots, return_inverse=True)
    return units


def deal_folds(
    labels: np.ndarray, units: np.ndarray, classes: Sequence[object], seed: int
) -> np.ndarray:
    """Deals films into folds of like size that hold each class in like shares.

    There are five folds, or as many as the smallest class has units.

    Args:
      labels: `[n]` int in `0 .. K - 1`.
      units: `[n]` int, see `units_of`.
      classes: the `K` classes, for messages.
      seed: of the order in which units are dealt.

    Returns:
      `[n]` int, the fold of each film. Each class is in two folds or more.

    Raises:
      InputError: a class cannot be parted, as all its films are one unit.
    """
    count = max(units) + 1
    held = np.zeros((count, len(classes)), np.int64)  # films of each class in each unit
    np.add.at(held, (units, labels), 1)
    spread = (held > 0).sum(0)
    if spread.min() < 2:
        name = classes[int(spread.argmin())]
        raise InputError(
            f"class {name!r}: all its films are copies or of one patient, and cannot be parted; "
            "expected films of two patients or more"
        )
    folds = int(min(MOST_FOLDS, spread.min()))
    order = np.random.default_rng(seed).permutation(count)
    # Large units first, while there is room for them; of those of one size class by class.
    order = sorted(order, key=lambda unit: (-held[unit].sum(), int(held[unit].argmax())))
    total = held.sum(0)
    dealt = np.zeros((folds, len(classes)), np.int64)
    fold_of = np.empty(count, np.int64)
    for unit in order:
        # Of the classes of this unit the fold that has least, then the fold that has least of all.
        share = ((dealt * (held[unit] > 0)) / total).sum(1)
        fold = min(range(folds), key=lambda f: (share[f], dealt[f].sum()))
        fold_of[unit] = fold
        dealt[fold] += held[unit]
    missing = np.argwhere((total - dealt) == 0)
    if len(missing):
        name = classes[int(missing[0, 1])]
        raise InputError(
            f"class {name!r}: its films cannot be parted between folds without parting a patient's"
        )
    return fold_of[units]

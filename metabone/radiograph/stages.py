"""Classes of skeletal maturity: stages merged by a table, or bone ages cut at months."""

import itertools
from collections.abc import Sequence

import numpy as np

from metabone.errors import InputError

STAGES = 11
"""Fishman's skeletal maturity indicators are numbered 1 to 11."""

MERGE_SMI = ((1, 2), (3, 4), (5, 6), (7, 8, 9), (10, 11))
"""The five groups in which stages are told apart where films of some stages are rare."""

MONTH_CUTS = (84, 114, 138, 162)
"""Bone ages in months that part a set of real films into five classes of like size."""

MergeTable = Sequence[Sequence[int]]


def parse_merge(text: str) -> tuple[tuple[int, ...], ...]:
    """Reads a merge table from a flag: stages joined by `,` and classes by `/`.

    Args:
      text: For example `'1,2/3,4/5,6/7,8,9/10,11'`.

    Returns:
      One tuple of stages a class, youngest class first.

    Raises:
      InputError: A stage is no number, or `check_merge` refuses the table.

    Example:
      >>> parse_merge("1,2/3,4/5,6/7,8,9/10,11") == MERGE_SMI
      True
    """
    table = []
    for group in text.split("/"):
        stages = []
        for word in group.split(","):
            if not word.strip().isascii() or not word.strip().isdigit():
                raise InputError(
                    f"merge table '{text}': '{word.strip()}' is no stage; "
                    "write stages joined by ',' and classes by '/', as in '1,2/3,4/5,6'"
                )
            stages.append(int(word))
        table.append(tuple(stages))
    check_merge(table)
    return tuple(table)


def format_merge(table: MergeTable) -> str:
    """Writes a merge table as `parse_merge` reads it.

    Example:
      >>> format_merge(MERGE_SMI)
      '1,2/3,4/5,6/7,8,9/10,11'
    """
    return "/".join(",".join(str(stage) for stage in group) for group in table)


def check_merge(table: MergeTable) -> None:
    """Checks that a table parts a run of consecutive stages into two or more classes.

    Stages before the first and after the last of the table may be missing: their films are left
    out. A stage missing in between is taken for a slip of the pen.

    Raises:
      InputError: Fewer than two classes, an empty class, a stage outside 1..11, in two classes,
        missing in between, or out of order.
    """
    shown = f"merge table '{format_merge(table)}'"
    if len(table) < 2:
        raise InputError(f"{shown}: needs at least two classes, joined by '/'")
    if not all(table):
        raise InputError(f"{shown}: class {[bool(g) for g in table].index(False) + 1} is empty")
    stages = list(itertools.chain.from_iterable(table))
    for stage in stages:
        if not 1 <= stage <= STAGES:
            raise InputError(f"{shown}: stage {stage} is not in 1..{STAGES}")
        if stages.count(stage) > 1:
            raise InputError(f"{shown}: stage {stage} stands twice")
    for earlier, later in itertools.pairwise(stages):
        if later < earlier:
            raise InputError(f"{shown}: stage {later} comes after {earlier}; order them by age")
        if later > earlier + 1:
            raise InputError(f"{shown}: stage {earlier + 1} is missing between its neighbours")


def merge_stages(stages: np.ndarray, table: MergeTable = MERGE_SMI) -> np.ndarray:
    """Maps stages to the classes of a merge table.

    Args:
      stages: `[N]` integers 1..11.
      table: Stages of each class, youngest class first.

    Returns:
      `[N]` int32 classes; -1 for a stage that the table leaves out.

    Raises:
      InputError: The table is refused by `check_merge`, or a stage is not in 1..11.

    Example:
      >>> merge_stages([1, 2, 3, 9, 11]).tolist()
      [0, 0, 1, 3, 4]
    """
    check_merge(table)
    stages = np.asarray(stages)
    if stages.size and not (1 <= stages.min() and stages.max() <= STAGES):
        worst = stages.min() if stages.min() < 1 else stages.max()
        raise InputError(f"stage {worst} is not in 1..{STAGES}")
    class_of = np.full(STAGES + 1, -1, np.int32)
    for index, group in enumerate(table):
        class_of[list(group)] = index
    return class_of[stages]


def merge_names(table: MergeTable = MERGE_SMI) -> tuple[str, ...]:
    """Names the classes of a merge table.

    Example:
      >>> merge_names()
      ('SMI 1-2', 'SMI 3-4', 'SMI 5-6', 'SMI 7-9', 'SMI 10-11')
    """
    return tuple(
        f"SMI {group[0]}-{group[-1]}" if len(group) > 1 else f"SMI {group[0]}" for group in table
    )


def check_cuts(cuts: Sequence[float]) -> None:
    """Checks that cuts are positive, finite and increasing.

    Raises:
      InputError: They are not, or there are none.
    """
    shown = f"cuts in months ({', '.join(f'{cut:g}' for cut in cuts)})"
    if not len(cuts):
        raise InputError(f"{shown}: at least one is needed")
    if not all(np.isfinite(cut) and cut > 0 for cut in cuts):
        raise InputError(f"{shown}: each must be a positive number of months")
    if any(later <= earlier for earlier, later in itertools.pairwise(cuts)):
        raise InputError(f"{shown}: each must be above the one before")


def stages_by_months(months: np.ndarray, cuts: Sequence[float] = MONTH_CUTS) -> np.ndarray:
    """Parts bone ages into `len(cuts) + 1` classes; an age equal to a cut is in the older class.

    Args:
      months: `[N]` bone ages in months.
      cuts: Where a new class begins, increasing.

    Returns:
      `[N]` int32 classes, youngest first.

    Raises:
      InputError: The cuts are refused by `check_cuts`.

    Example:
      >>> stages_by_months([83.5, 84, 161, 162]).tolist()
      [0, 1, 3, 4]
    """
    check_cuts(cuts)
    edges = np.asarray(cuts, np.float64)
    return np.searchsorted(edges, np.asarray(months, np.float64), side="right").astype(np.int32)


def month_names(cuts: Sequence[float] = MONTH_CUTS) -> tuple[str, ...]:
    """Names the classes of `stages_by_months`.

    Example:
      >>> month_names((84, 114))
      ('bone age < 84 months', 'bone age 84 to < 114 months', 'bone age >= 114 months')
    """
    check_cuts(cuts)
    between = (f"bone age {a:g} to < {b:g} months" for a, b in itertools.pairwise(cuts))
    return (
        f"bone age < {cuts[0]:g} months",
        *between,
        f"bone age >= {cuts[-1]:g} months",
    )

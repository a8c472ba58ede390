"""Images of a source that are the same, or nearly, and what is said of them."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from metabone.datasets.held import Held
from metabone.datasets.near_copies import MOST_PAIRS, copies_within
from metabone.workflows.source_looks import Looked
from metabone.workflows.source_sentences import EXAMPLES, examples, some


@dataclasses.dataclass(frozen=True)
class NearCopy:
    """Two images that are nearly the same.

    Attributes:
      files: their names.
      labels: their classes.
      parts: their parts; empty where the source has none.
      groups: their patients; empty where they are not told apart.
      alike: see `near_copies.CopyPair`.
      inverted: likewise.
    """

    files: tuple[str, str]
    labels: tuple[str, str]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    alike: float
    inverted: bool


def near_copies(
    held: Held, group_of: dict[int, str], seen: Looked
) -> tuple[tuple[NearCopy, ...], bool, int]:
    """Finds pairs of different images that are nearly the same.

    Args:
      held: the source.
      group_of: see `source_looks.groups_of`.
      seen: its images.

    Returns:
      The pairs, whether there are more, and how many images were compared.
    """
    first_of: dict[str, int] = {}
    for place, sha256 in enumerate(seen.hashes):
        first_of.setdefault(sha256, place)
    places = list(first_of.values())
    pairs, more = copies_within(seen.looks[places], [min(seen.sizes[place]) for place in places])
    near = tuple(
        _near_copy(held, group_of, [seen.rows[places[row]] for row in pair[:2]], *pair[2:])
        for pair in pairs
    )
    return near, more, len(places)


def exact_copies(held: Held, group_of: dict[int, str], seen: Looked) -> tuple[str, list[str]]:
    """What is said of copies within a class, and of those that contradict each other."""
    rows_of = defaultdict(list)
    for row, sha256 in zip(seen.rows, seen.hashes, strict=True):
        rows_of[sha256].append(row)
    sets = [rows for rows in rows_of.values() if len(rows) > 1]
    marks = [
        ("ages" if held.ages else "labels", held.ages or held.labels),
        ("patients", group_of),
        ("parts", held.parts),
    ]
    told = []
    for what, mark in marks:
        apart = [rows for rows in sets if mark and len({mark[row] for row in rows}) > 1]
        shown = [_equal(held, rows) for rows in apart]
        images = sum(map(len, apart))
        note = f"{{}} that stand under two {what}"
        if what in ("labels", "ages"):
            kept = images <= held.ambiguous * len(held.names)
            note += ", left out" if kept else ", for which the source is refused"
        told.append(some(shown, note, "sets of identical images", "set of identical images"))
    same = [rows for rows in sets if len({marks[0][1][row] for row in rows}) == 1]
    count = sum(len(rows) - 1 for rows in same)
    shown = [_equal(held, rows) for rows in same]
    note = f"{{}} of other images of their class, {held.copies}"
    return some(shown, note, "copies", "copy", count), told


def near_in_words(near: Sequence[NearCopy], more: bool) -> str:
    """How many near copies there are, and which do most harm; empty for none."""
    if not near:
        return ""
    across = {
        "between classes": [len(set(pair.labels)) > 1 for pair in near],
        "between parts": [len(set(pair.parts)) > 1 for pair in near],
        "between patients": [len(set(pair.groups)) > 1 for pair in near],
        "inverted": [pair.inverted for pair in near],
    }
    told = [f"{sum(each)} {name}" for name, each in across.items() if any(each)]
    # Those that do most harm first.
    order = sorted(range(len(near)), key=lambda n: [not each[n] for each in across.values()])
    shown = []
    for pair in (near[number] for number in order[:EXAMPLES]):
        apart = [" and ".join(side) for side in (pair.labels, pair.parts) if len(set(side)) > 1]
        shown.append(" ~ ".join(pair.files) + (f" ({'; '.join(apart)})" if apart else ""))
    count = f"more than {MOST_PAIRS:,}" if more else f"{len(near):,}"
    of = f", {', '.join(told)}" if told else ""
    noun = "pair of near copies" if len(near) == 1 else "pairs of near copies"
    return f"{count} {noun}{of}: {examples(shown, len(near))}"


def _near_copy(
    held: Held, group_of: dict[int, str], rows: Sequence[int], alike: float, inverted: bool
) -> NearCopy:
    return NearCopy(
        files=tuple(held.names[row] for row in rows),
        labels=tuple(held.labels[row] for row in rows),
        parts=tuple(held.parts[row] for row in rows) if held.parts else (),
        groups=tuple(group_of[row] for row in rows) if group_of else (),
        alike=round(alike, 3),
        inverted=inverted,
    )


def _equal(held: Held, rows: Sequence[int]) -> str:
    return " = ".join(held.names[row] for row in rows[:EXAMPLES])

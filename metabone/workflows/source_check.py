"""What a source holds, drops, converts, and what in it deserves a second look."""

import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from metabone.datasets import reading
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.held import Held, in_grey, open_held
from metabone.datasets.labelled import classes_in_words, depth_in_words
from metabone.datasets.near_copies import MOST_PAIRS, copies_within, look_of_image
from metabone.datasets.progress import progress
from metabone.errors import InputError

SHOTS, QUERIES = 5, 15
_EXAMPLES = 3
_FLAT = 2.0  # Standard deviation in grey levels below which nothing is to be seen.
_UNLIKE = 10  # Times that the largest class may be the smallest.


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


@dataclasses.dataclass(frozen=True)
class SourceCheck:
    """What was found in a source, in sentences of which each stands alone.

    Attributes:
      source: as given.
      images: how many can be read.
      classes: images of each class.
      holds: what it holds.
      drops: what is not among the images that a learner sees.
      converts: what is done to pixels.
      suspects: what deserves a second look.
      compared: what was compared to find copies.
      near_copies: pairs of images that are nearly the same, at most `near_copies.MOST_PAIRS`.
    """

    source: str
    images: int
    classes: dict[str, int]
    holds: tuple[str, ...]
    drops: tuple[str, ...]
    converts: tuple[str, ...]
    suspects: tuple[str, ...]
    compared: str
    near_copies: tuple[NearCopy, ...]

    @property
    def verdict(self) -> str:
        """The last line."""
        if not self.suspects:
            return "fine: nothing found that deserves a second look"
        things = "thing deserves" if len(self.suspects) == 1 else "things deserve"
        return f"look again: {len(self.suspects)} {things} a second look"


class _Looked(NamedTuple):
    """What is known of the images that can be read."""

    rows: list[int]
    hashes: list[str]
    looks: np.ndarray
    sizes: list[tuple[int, int]]
    stored: Counter[str]
    colours: int
    done: Counter[str]
    bits: list[int]
    flat: list[int]
    groups: list[str | None]
    unreadable: list[str]


def check_source(
    text: str,
    *,
    part: str = "",
    shots: int = SHOTS,
    queries: int = QUERIES,
    data_dir: str | None = None,
) -> SourceCheck:
    """Looks at every image of a source with the source's own reader, and writes nothing.

    Args:
      text: a source string, or a path as of `metabone adapt`; see `held.open_held`.
      part: of the source that alone is looked at; by default all.
      shots: labelled images a class that a task takes.
      queries: images a class that it asks for.
      data_dir: where what is downloaded lies.

    Returns:
      What was found.

    Raises:
      InputError: the source cannot be used at all, has no such part, or none of its images can be
        read.
    """
    if min(shots, queries) < 1:
        raise InputError(f"shots {shots} and queries {queries}: expected 1 or more")
    with open_held(text, data_dir) as held:
        known = sorted(set(held.parts))
        if part and part not in known:
            told = f"its parts are {', '.join(known)}" if known else "it has no parts"
            raise InputError(f"{text}: no part {part!r}; {told}")
        rows = [row for row in range(len(held.names)) if not part or held.parts[row] == part]
        seen = _look(held, rows)
    if not seen.rows:
        raise InputError(f"{text}: no image can be read; the first: {seen.unreadable[0]}")
    classes = Counter(held.labels[row] for row in seen.rows)
    group_of = _group_of(held, seen)
    began = time.monotonic()
    first_of: dict[str, int] = {}
    for place, sha256 in enumerate(seen.hashes):
        first_of.setdefault(sha256, place)
    places = list(first_of.values())
    pairs, more = copies_within(seen.looks[places], [min(seen.sizes[place]) for place in places])
    took = time.monotonic() - began
    near = tuple(
        _near_copy(held, group_of, [seen.rows[places[row]] for row in pair[:2]], *pair[2:])
        for pair in pairs
    )
    left, twice = _exact_copies(held, group_of, seen)
    count = len(places)
    suspects = [
        _some(seen.unreadable, "{} that cannot be read, for which the source is refused"),
        *twice,
        _near_in_words(near, more),
        _some([held.names[row] for row in seen.flat], "{} of one grey or nearly"),
        _crossing(held, group_of, seen.rows),
        _too_few(classes, shots + queries, f"{shots} shots and {queries} queries"),
        _unlike(classes),
    ]
    return SourceCheck(
        source=text,
        images=len(seen.rows),
        classes=dict(sorted(classes.items())),
        holds=tuple(_holds(held, seen, classes, group_of)),
        drops=(*held.notes, *([left] if left else [])),
        converts=tuple(_converts(seen)),
        suspects=tuple(filter(None, suspects)),
        compared=(
            f"all {count * (count - 1) // 2:,} pairs of {count:,} different images, for the same "
            f"picture recompressed, resized or inverted, in {took:.0f} seconds; not for "
            "mirrored, turned or cropped ones"
        ),
        near_copies=near,
    )


def check_in_words(found: SourceCheck) -> list[str]:
    """What was found, a screen of lines.

    Args:
      found: of `check_source`.
    """
    sections = (
        ("Holds", found.holds),
        ("Drops", found.drops or ("nothing",)),
        ("Converts", found.converts),
        ("Compared", (found.compared,)),
        ("Suspects", found.suspects or ("nothing",)),
    )
    lines = [found.source]
    for name, sentences in sections:
        heads = [f"{name}:", *[""] * (len(sentences) - 1)]
        lines += [f"  {head:<10}{text}" for head, text in zip(heads, sentences, strict=True)]
    return [*lines, f"  {'Verdict:':<10}{found.verdict}"]


def _look(held: Held, rows: Sequence[int]) -> _Looked:
    seen = _Looked([], [], np.zeros(0), [], Counter(), 0, Counter(), [], [], [], [])
    looks, colours = [], 0
    for row in progress(rows, "looking at images", len(rows)):
        try:
            image = held.read(row)
        except InputError as error:
            seen.unreadable.append(str(error))
            continue
        grey = in_grey(image.pixels)
        seen.rows.append(row)
        seen.hashes.append(_hash(image.pixels))
        looks.append(look_of_image(grey))
        seen.sizes.append(grey.size)
        seen.stored[image.stored] += 1
        seen.done.update(image.conversions)
        seen.groups.append(image.group)
        colours += image.pixels.ndim == 3
        seen.bits.extend([image.bits] * bool(image.bits))
        if np.asarray(grey).std() < _FLAT:
            seen.flat.append(row)
    return seen._replace(looks=np.asarray(looks, np.uint8), colours=colours)


def _hash(pixels: np.ndarray) -> str:
    """Of the image as RGB, as readers take it: a grey file may be a copy of one in colours."""
    rgb = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))
    return image_fingerprints(rgb[None])[0]


def _group_of(held: Held, seen: _Looked) -> dict[int, str]:
    """The patient of each image, as the source or else the files tell; empty for unknown."""
    if held.groups:
        return {row: held.groups[row] for row in seen.rows}
    if all(seen.groups):
        return {row: str(group) for row, group in zip(seen.rows, seen.groups, strict=True)}
    return {}


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


def _exact_copies(held: Held, group_of: dict[int, str], seen: _Looked) -> tuple[str, list[str]]:
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
        told.append(_some(shown, note, "sets of identical images", "set of identical images"))
    same = [rows for rows in sets if len({marks[0][1][row] for row in rows}) == 1]
    count = sum(len(rows) - 1 for rows in same)
    shown = [_equal(held, rows) for rows in same]
    note = f"{{}} of other images of their class, {held.copies}"
    return _some(shown, note, "copies", "copy", count), told


def _equal(held: Held, rows: Sequence[int]) -> str:
    return " = ".join(held.names[row] for row in rows[:_EXAMPLES])


def _near_in_words(near: Sequence[NearCopy], more: bool) -> str:
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
    for pair in (near[number] for number in order[:_EXAMPLES]):
        apart = [" and ".join(side) for side in (pair.labels, pair.parts) if len(set(side)) > 1]
        shown.append(" ~ ".join(pair.files) + (f" ({'; '.join(apart)})" if apart else ""))
    count = f"more than {MOST_PAIRS:,}" if more else f"{len(near):,}"
    of = f", {', '.join(told)}" if told else ""
    noun = "pair of near copies" if len(near) == 1 else "pairs of near copies"
    return f"{count} {noun}{of}: {_examples(shown, len(near))}"


def _crossing(held: Held, group_of: dict[int, str], rows: Sequence[int]) -> str:
    if not held.parts or not group_of:
        return ""
    parts_of = defaultdict(set)
    for row in rows:
        parts_of[group_of[row]].add(held.parts[row])
    crossing = sorted(group for group, parts in parts_of.items() if len(parts) > 1)
    return _some(crossing, "{} in several parts", "patients", "patient")


def _too_few(classes: Counter[str], needed: int, what: str) -> str:
    few = [f"{name} {count}" for name, count in sorted(classes.items()) if count < needed]
    return _some(few, f"{{}} with fewer than the {needed} images of {what}", "classes", "class")


def _unlike(classes: Counter[str]) -> str:
    ranked = classes.most_common()
    (most, largest), (least, smallest) = ranked[0], ranked[-1]
    if largest <= _UNLIKE * smallest:
        return ""
    return f"classes of unlike size: {most} {largest}, {least} {smallest}"


def _holds(
    held: Held, seen: _Looked, classes: Counter[str], group_of: dict[int, str]
) -> Iterable[str]:
    yield f"{held.what}: {classes_in_words(classes)}"
    if held.parts:
        counts = Counter(held.parts[row] for row in seen.rows)
        yield "parts: " + ", ".join(f"{part} {count}" for part, count in sorted(counts.items()))
    if group_of:
        each = Counter(group_of.values()).values()
        yield f"patients: {len(each)}, each with {_span(min(each), max(each))} images"
    else:
        yield "patients: not told apart"
    if held.ages:
        yield f"ages: {min(held.ages):g} to {max(held.ages):g} months"
    sizes = sorted(set(seen.sizes), key=lambda size: size[0] * size[1])
    small, large = (f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
    more = f" ({len(sizes)} sizes)" if len(sizes) > 2 else ""
    yield f"width and height: {_span(small, large)}{more}"
    stored = ", ".join(f"{kind} ({count})" for kind, count in seen.stored.most_common(_EXAMPLES))
    yield f"stored as {stored}{', ...' if len(seen.stored) > _EXAMPLES else ''}"


def _span(low: object, high: object) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def _converts(seen: _Looked) -> Iterable[str]:
    total = len(seen.rows)
    if seen.bits:
        yield depth_in_words(seen.bits)
    for note, count in sorted(seen.done.items()):
        if not (seen.bits and note.startswith("16 to 8 bits")):
            yield f"{note} ({count} of {total} images)"
    if seen.colours:
        yield f"colours to grey by luma where one channel is asked for ({seen.colours} of {total})"
    if seen.colours < total:
        grey = total - seen.colours
        yield f"{reading.GREY_REPEATED} where three channels are asked for ({grey} of {total})"
    yield f"padded with black to a square, {reading.FILTER} to the size that is asked for"


def _some(
    shown: Sequence[str],
    sentence: str,
    many: str = "images",
    one: str = "image",
    count: int | None = None,
) -> str:
    """A sentence with the count and the first examples; empty for none."""
    if not shown:
        return ""
    count = len(shown) if count is None else count
    head = sentence.format(f"{count} {one if count == 1 else many}")
    return f"{head}: {_examples(shown, len(shown))}"


def _examples(shown: Sequence[str], total: int) -> str:
    return ", ".join(shown[:_EXAMPLES]) + (", ..." if total > _EXAMPLES else "")

"""What a source holds, drops, converts, and what in it deserves a second look."""

import dataclasses
import time
from collections import Counter

from metabone.datasets.held import open_held
from metabone.errors import InputError
from metabone.workflows.source_copies import (
    NearCopy,
    exact_copies,
    near_copies,
    near_in_words,
)
from metabone.workflows.source_looks import groups_of, look_at
from metabone.workflows.source_sentences import converts, crossing, holds, some, too_few, unlike

SHOTS, QUERIES = 5, 15


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
        seen = look_at(held, rows)
    if not seen.rows:
        raise InputError(f"{text}: no image can be read; the first: {seen.unreadable[0]}")
    classes = Counter(held.labels[row] for row in seen.rows)
    group_of = groups_of(held, seen)
    began = time.monotonic()
    near, more, count = near_copies(held, group_of, seen)
    took = time.monotonic() - began
    left, twice = exact_copies(held, group_of, seen)
    suspects = [
        some(seen.unreadable, "{} that cannot be read, for which the source is refused"),
        *twice,
        near_in_words(near, more),
        some([held.names[row] for row in seen.flat], "{} of one grey or nearly"),
        crossing(held, group_of, seen.rows),
        too_few(classes, shots + queries, f"{shots} shots and {queries} queries"),
        unlike(classes),
    ]
    return SourceCheck(
        source=text,
        images=len(seen.rows),
        classes=dict(sorted(classes.items())),
        holds=tuple(holds(held, seen, classes, group_of)),
        drops=(*held.notes, *([left] if left else [])),
        converts=tuple(converts(seen)),
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

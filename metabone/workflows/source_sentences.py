"""What a source holds, converts and lacks, in sentences of which each stands alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from metabone.datasets import reading
from metabone.datasets.held import Held
from metabone.datasets.labelled import classes_in_words, depth_in_words
from metabone.workflows.source_looks import Looked

EXAMPLES = 3
"""How many are shown of what there is more of."""

_UNLIKE = 10  # Times that the largest class may be the smallest.


def holds(
    held: Held, seen: Looked, classes: Counter[str], group_of: dict[int, str]
) -> Iterable[str]:
    """What images there are: classes, parts, patients, ages, sizes and kinds of files."""
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
    stored = ", ".join(f"{kind} ({count})" for kind, count in seen.stored.most_common(EXAMPLES))
    yield f"stored as {stored}{', ...' if len(seen.stored) > EXAMPLES else ''}"


def converts(seen: Looked) -> Iterable[str]:
    """What readers do to pixels."""
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


def crossing(held: Held, group_of: dict[int, str], rows: Sequence[int]) -> str:
    """Patients in several parts; empty for none, or where parts or patients are not told."""
    if not held.parts or not group_of:
        return ""
    parts_of = defaultdict(set)
    for row in rows:
        parts_of[group_of[row]].add(held.parts[row])
    crossing = sorted(group for group, parts in parts_of.items() if len(parts) > 1)
    return some(crossing, "{} in several parts", "patients", "patient")


def too_few(classes: Counter[str], needed: int, what: str) -> str:
    """Classes with fewer images than a task takes; empty for none."""
    few = [f"{name} {count}" for name, count in sorted(classes.items()) if count < needed]
    return some(few, f"{{}} with fewer than the {needed} images of {what}", "classes", "class")


def unlike(classes: Counter[str]) -> str:
    """The largest and the smallest class, where one is many times the other; else empty."""
    ranked = classes.most_common()
    (most, largest), (least, smallest) = ranked[0], ranked[-1]
    if largest <= _UNLIKE * smallest:
        return ""
    return f"classes of unlike size: {most} {largest}, {least} {smallest}"


def some(
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
    return f"{head}: {examples(shown, len(shown))}"


def examples(shown: Sequence[str], total: int) -> str:
    """The first few, with dots if there are more in all."""
    return ", ".join(shown[:EXAMPLES]) + (", ..." if total > EXAMPLES else "")


def _span(low: object, high: object) -> str:
    return f"{low}" if low == high else f"{low} to {high}"

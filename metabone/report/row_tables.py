"""A table with one line a learner and model: what its columns, title and notes say of rows."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from metabone.report.published import Reference
from metabone.report.readings import Arm
from metabone.report.result import Result, Row, chance_of, data_label, distinct, scale_of, select
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed, shots_in_words

_MOST_NAMED = 4


class Column(NamedTuple):
    """A column of a table.

    Attributes:
      heading: its name.
      rows: what stands in it, at most one of a learner and model.
      cell: how a row is told.
    """

    heading: str
    rows: Sequence[Row]
    cell: Callable[[Row], Cell]


def table_of(
    columns: Sequence[Column], arms: Sequence[Arm], title: str, notes: Sequence[str] = ()
) -> Table:
    """Lays columns beside each other, one line a learner and model; what is missing is a dash."""
    lines = []
    for learning, model in arms:
        own = [select(c.rows, learning=learning, model=model) for c in columns]
        cells = (
            c.cell(rows[0]) if rows else Cell(ABSENT) for c, rows in zip(columns, own, strict=True)
        )
        lines.append((Cell(str(learning)), Cell(str(model)), *cells))
    headings = ("learning", "model", *(column.heading for column in columns))
    return Table(title=title, columns=headings, labels=2, rows=tuple(lines), notes=tuple(notes))


def mean_cell(row: Row, reference: Reference | None = None) -> Cell:
    """Mean and interval; the published figure aside if the row has one and it is asked for."""
    if row.get("mean") is None:
        return Cell(ABSENT)
    scale = scale_of(row["metric"])
    return Cell(scale.estimate(row["mean"], row.get("ci95")), _published(row) if reference else "")


def _published(row: Row) -> str:
    """A row's published figure; one that was not read at its source says so."""
    if row.get("paper") is None:
        return ""
    figure = scale_of(row["metric"]).figure(row["paper"])
    return f"{figure} unconfirmed" if row.get("paper_unconfirmed") else figure


def metric_cell(row: Row, metric: str) -> Cell:
    """Another figure of a row, with its interval."""
    if row.get(metric) is None:
        return Cell(ABSENT)
    return Cell(scale_of(metric).estimate(row[metric], row.get(f"{metric}_ci95")))


def title_of(
    result: Result, rows: Sequence[Row], noun: str, *, norm: str | None, shots: int | None = None
) -> str:
    """What was measured on what, over how many draws and how; whether the run has ended."""
    counts = sorted({r["n"] for r in rows if r.get("n") is not None})
    unit = rows[0].get("unit", "draws")
    parts = [scale_of(rows[0]["metric"]).heading + ", mean ± 95 % interval"]
    if counts:
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        covers = distinct([r for r in rows if r.get("covers")], "covers")
        parts[0] += f" for {covers[0]}" if len(covers) == 1 else ""
        parts[0] += f" over {span} {unit}"
    parts.append(data_label(result, noun))
    if shots is not None:
        parts.append(shots_in_words(shots))
    if norm:
        parts.append(f"{norm} batch norm")
    if result.get("seed") is not None:
        parts.append(f"seed {result['seed']}")
    if not result.get("complete", False):
        parts.append("INCOMPLETE")
    return "; ".join(parts)


def bracket_note(reference: Reference) -> str:
    """Whose figures stand in brackets."""
    return f"[In brackets] {reference.name}: {reference.caveat}."


def covers_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """What intervals cover, if rows tell, and how much narrower others would be."""
    covers = distinct([r for r in rows if r.get("covers")], "covers")
    if not covers:
        return ()
    scale = scale_of(rows[0]["metric"])
    widths = [r["ci95_draws"] for r in rows if r.get("ci95_draws") is not None]
    narrower = ""
    if widths:
        low, high = scale.figure(min(widths)), scale.figure(max(widths))
        span = low if low == high else f"{low} to {high}"
        narrower = f" Other draws of the very same: {scale.name.lower()} ± {span}."
    return (f"Intervals cover {' or '.join(covers)}.{narrower}",)


def trainings_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """What intervals say of other trainings; nothing where nothing was trained before."""
    counts = sorted({row.get("trainings", 1) for row in rows} - {0})
    if not counts:
        return ()
    if counts == [1]:
        return ("One training each: other trainings differ by more than the intervals say.",)
    span = str(counts[-1]) if len(counts) == 1 else f"up to {counts[-1]}"
    once = "; what was trained once is not known to that extent" if counts[0] == 1 else ""
    return (f"Means over {span} trainings, whose spread is in the intervals{once}.",)


def diverged_note(rows: Sequence[Row], *names: str) -> tuple[str, ...]:
    """Whose answers were not finite and count as wrong, each with its largest share.

    Args:
      rows: of which those with `not_finite` are told.
      *names: fields that say whose they are.
    """
    most: dict[str, float] = {}
    for row in rows:
        if row.get("not_finite"):
            who = " ".join(str(row.get(name)) for name in names)
            most[who] = max(most.get(who, 0.0), row["not_finite"])
    told = ", ".join(f"{who} up to {max(100 * share, 0.1):.1f} %" for who, share in most.items())
    return (f"Answers that are not finite count as wrong: {told}.",) if told else ()


def chance_note(result: Result, rows: Sequence[Row]) -> tuple[str, ...]:
    """What guessing comes to, where it is known."""
    levels = sorted({chance_of(result, row) for row in rows} - {None})
    scale = scale_of(rows[0]["metric"])
    figures = " or ".join(f"{scale.figure(level)} {scale.unit}" for level in levels)
    return (f"Chance: {figures}.",) if levels else ()


def draws_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """How many draws each learner had, where they differ, from the most on."""
    counts = sorted(distinct(rows, "n"), key=lambda n: -(n or 0))
    if len(counts) < 2:
        return ()
    told = []
    for count in counts:
        arms = distinct(select(rows, n=count), "learning", "model")
        names = [f"{learning} {model}" for learning, model in arms]
        few = len(names) <= _MOST_NAMED
        told.append(f"{count} for {listed(names) if few else f'{len(names)} of the lines'}")
    return (f"{str(rows[0].get('unit', 'draws')).capitalize()}: {'; '.join(told)}.",)


def conditions_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """How published figures were measured and where that was read, one note a learner."""
    found = {}
    for row in rows:
        if row.get("paper_conditions"):
            figure = f" [{_published(row)}]" if _published(row) else ""
            found[f"{row['learning']}{figure}"] = row["paper_conditions"]
    return tuple(f"Published: {name}: {how}." for name, how in found.items())

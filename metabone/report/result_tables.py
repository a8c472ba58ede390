"""Tables of what a result's rows say."""

from collections.abc import Callable, Sequence

from metabone.report.point_tables import points_table
from metabone.report.published import Reference
from metabone.report.ranked_tables import ranking_table
from metabone.report.result import (
    Presentation,
    Result,
    Row,
    chance_of,
    data_label,
    distinct,
    gains,
    main_rows,
    norms_of,
    presentation_of,
    region_rows,
    scale_of,
    select,
    shots_of,
)
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import shots_in_words


def all_tables(result: Result) -> list[Table]:
    """Every table that the result has data for, the headline first."""
    tables: list[Table | None] = []
    for norm in norms_of(result):
        tables.append(results_table(result, norm))
        if len(tables) == 1:
            tables.append(stages_table(result, norm))
            tables.append(gains_table(result, norm))
    for norm in norms_of(result)[:1]:
        tables.append(region_table(result, norm))
    tables += [ranking_table(result), points_table(result)]
    return [table for table in tables if table]


def results_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Every learner and model by shots, mean ± 95 % interval, the published figure beside.

    Args:
      result: as in result.json.
      norm: which rows, inductive or transductive; None for results without that choice.
      presentation: noun and reference; by default those of the result's experiment.

    Returns:
      The table, or None if the result has no such rows yet.
    """
    rows = main_rows(result, norm)
    if not rows:
        return None
    presentation = presentation or presentation_of(result)
    table = _by_shots(
        rows,
        cell=lambda r: _cell(r, presentation.reference),
        title=_title(result, rows, presentation.noun, norm=norm),
        reference=presentation.reference,
    )
    learners = result.get("learners")
    told = (str(learners),) if learners else ()
    notes = (
        *_chance_note(result, rows),
        *_draws_note(rows),
        *_covers_note(rows),
        *told,
        *table.notes,
        *_conditions_note(rows),
    )
    return table._replace(notes=notes)


def stages_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """How far off answers are in ordered classes: mean absolute error and kappa, by shots.

    Args:
      result: as in result.json.
      norm: which rows.
      presentation: its noun; by default that of the result's experiment.

    Returns:
      The table, or None if the result's rows do not tell.
    """
    rows = [r for r in main_rows(result, norm) if r.get("mae_stages") is not None]
    if not rows:
        return None
    noun = (presentation or presentation_of(result)).noun
    shots = shots_of(rows)
    metrics = {"mae_stages": "error", "kappa": "kappa"}
    lines = []
    for learning, model in distinct(rows, "learning", "model"):
        own = {r["shots"]: r for r in select(rows, learning=learning, model=model)}
        cells = (_metric_cell(own.get(s), metric) for metric in metrics for s in shots)
        lines.append((Cell(str(learning)), Cell(str(model)), *cells))
    columns = (f"{name}, {shots_in_words(s)}" for name in metrics.values() for s in shots)
    return Table(
        title=(
            "Mean absolute error in stages and quadratic weighted kappa, ± 95 % interval; "
            f"{data_label(result, noun)}"
        ),
        columns=("learning", "model", *columns),
        labels=2,
        rows=tuple(lines),
        notes=_covers_note(rows),
    )


def first_draws_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Means of the first five draws alone, as many as the reference repeated, if recorded."""
    rows = [r for r in main_rows(result, norm) if r.get("mean_of_first_5") is not None]
    if not rows:
        return None
    presentation = presentation or presentation_of(result)

    def cell(row):
        return _cell({**row, "mean": row["mean_of_first_5"], "ci95": None}, presentation.reference)

    title = (
        f"{scale_of(rows[0]['metric']).heading}, mean of the first 5 "
        f"{rows[0].get('unit', 'draws')} only; {data_label(result, presentation.noun)}"
    )
    return _by_shots(rows, cell=cell, title=title, reference=presentation.reference)


def gains_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Meta minus base by model and shots, with the sum of the two half widths."""
    found = gains(result, norm)
    if not found:
        return None
    scale = scale_of(found[0].metric)
    unit = ", points" if scale.unit == "%" else f", {scale.unit}" if scale.unit else ""
    noun = (presentation or presentation_of(result)).noun
    shots = sorted({g.shots for g in found})
    cells = {
        (g.model, g.shots): Cell(
            scale.signed(g.difference)
            + ("" if g.together is None else f" ({scale.figure(g.together)})")
        )
        for g in found
    }
    return Table(
        title=f"Meta minus base{unit}; {data_label(result, noun)}",
        columns=("model", *map(shots_in_words, shots)),
        labels=1,
        rows=tuple(
            (Cell(model), *(cells.get((model, s), Cell(ABSENT)) for s in shots))
            for model in dict.fromkeys(g.model for g in found)
        ),
        notes=(
            ("Positive: meta has the smaller error. " if not scale.higher_is_better else "")
            + "In brackets the sum of the two half widths: a difference beyond it is clear.",
        ),
    )


def region_table(
    result: Result,
    norm: str | None = "inductive",
    shots: int | None = None,
    presentation: Presentation | None = None,
) -> Table | None:
    """Accuracy of each region alone and of the vote, every arm a row.

    Args:
      result: as in result.json.
      norm: which rows.
      shots: support images a class; by default the most that the result has.
      presentation: noun and reference; by default those of the result's experiment.

    Returns:
      The table, with the reference's regions as its last row where it has as many; None if there
      are no regions.
    """
    rows = region_rows(result, norm)
    if not rows:
        return None
    presentation = presentation or presentation_of(result)
    shots = shots_of(rows)[-1] if shots is None else shots
    rows = select(rows, shots=shots)
    regions = sorted({r["region"] for r in rows} - {"vote"})
    lines = []
    for learning, model in distinct(rows, "learning", "model"):
        own = {r["region"]: r for r in select(rows, learning=learning, model=model)}
        cells = (_cell(own.get(region), None) for region in (*regions, "vote"))
        lines.append((Cell(str(learning)), Cell(str(model)), *cells))
    reference, notes = presentation.reference, [*_chance_note(result, rows)]
    if reference and len(reference.regions) == len(regions):
        scale = scale_of(rows[0]["metric"])
        figures = (Cell("", scale.figure(value)) for value in reference.regions)
        lines.append((Cell(reference.name), Cell(""), *figures, Cell(ABSENT)))
        notes.append(f"{_bracket_note(reference)} Of its regions {reference.regions_caveat}.")
    return Table(
        title=_title(result, rows, presentation.noun, norm=norm, shots=shots),
        columns=("learning", "model", *(f"region {r}" for r in regions), "vote"),
        labels=2,
        rows=tuple(lines),
        notes=(*notes, *_covers_note(rows)),
    )


def tie_table(result: Result, presentation: Presentation | None = None) -> Table | None:
    """How often the regions' vote needed a tie-break, in percent of the films asked."""
    norm = norms_of(result)[0] if result.get("rows") else None
    rows = [r for r in main_rows(result, norm) if r.get("tie_rate") is not None]
    if not rows:
        return None
    noun = (presentation or presentation_of(result)).noun
    return _by_shots(
        rows,
        cell=lambda r: Cell(f"{100 * r['tie_rate']:.1f}"),
        title=f"Votes that tied, % of {noun} asked; {data_label(result, noun)}",
        reference=None,
    )


def _by_shots(
    rows: Sequence[Row],
    cell: Callable[[Row], Cell],
    title: str,
    reference: Reference | None,
) -> Table:
    shots = shots_of(rows)
    lines = []
    for learning, model in distinct(rows, "learning", "model"):
        own = {r.get("shots"): cell(r) for r in select(rows, learning=learning, model=model)}
        cells = (own.get(s, Cell(ABSENT)) for s in shots)
        lines.append((Cell(str(learning)), Cell(str(model)), *cells))
    published = any(c.aside for line in lines for c in line)
    return Table(
        title=title,
        columns=("learning", "model", *map(shots_in_words, shots)),
        labels=2,
        rows=tuple(lines),
        notes=(_bracket_note(reference),) if published and reference else (),
    )


def _cell(row: Row | None, reference: Reference | None) -> Cell:
    if row is None or row.get("mean") is None:
        return Cell(ABSENT)
    scale = scale_of(row["metric"])
    aside = row.get("paper") if reference else None
    return Cell(
        scale.estimate(row["mean"], row.get("ci95")),
        "" if aside is None else scale.figure(aside),
    )


def _metric_cell(row: Row | None, metric: str) -> Cell:
    if row is None or row.get(metric) is None:
        return Cell(ABSENT)
    return Cell(scale_of(metric).estimate(row[metric], row.get(f"{metric}_ci95")))


def _covers_note(rows: Sequence[Row]) -> tuple[str, ...]:
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


def _chance_note(result: Result, rows: Sequence[Row]) -> tuple[str, ...]:
    levels = sorted({chance_of(result, row) for row in rows} - {None})
    scale = scale_of(rows[0]["metric"])
    figures = " or ".join(f"{scale.figure(level)} {scale.unit}" for level in levels)
    return (f"Chance: {figures}.",) if levels else ()


def _draws_note(rows: Sequence[Row]) -> tuple[str, ...]:
    if len(distinct(rows, "n")) < 2:
        return ()
    counts = []
    for learning, model in distinct(rows, "learning", "model"):
        own = distinct(select(rows, learning=learning, model=model), "n")
        counts.append(f"{learning} {model} {' or '.join(map(str, own))}")
    return (f"{str(rows[0].get('unit', 'draws')).capitalize()}: {', '.join(counts)}.",)


def _conditions_note(rows: Sequence[Row]) -> tuple[str, ...]:
    found = {
        f"{r['learning']} [{scale_of(r['metric']).figure(r['paper'])}]": r["paper_conditions"]
        for r in rows
        if r.get("paper_conditions")
    }
    if not found:
        return ()
    return ("Published: " + "; ".join(f"{name} {how}" for name, how in found.items()) + ".",)


def _bracket_note(reference: Reference) -> str:
    return f"[In brackets] {reference.name}: {reference.caveat}."


def _title(
    result: Result, rows: Sequence[Row], noun: str, *, norm: str | None, shots: int | None = None
) -> str:
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

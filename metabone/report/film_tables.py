"""Tables of films that are read by regions: single regions, ties, and stages off."""

from metabone.report.readings import READINGS, best_rows, leading_arms, readings_of
from metabone.report.result import (
    Presentation,
    Result,
    data_label,
    distinct,
    main_rows,
    norms_of,
    presentation_of,
    region_rows,
    scale_of,
    select,
    shots_of,
)
from metabone.report.row_tables import (
    Column,
    bracket_note,
    chance_note,
    covers_note,
    mean_cell,
    metric_cell,
    table_of,
    title_of,
)
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed, shots_in_words

MOST_ARMS = 5
"""Learners whose regions are shown: the four of Min and Kang (2018), and the best."""

_STAGES = {"mae_stages": "error", "kappa": "kappa"}


def stages_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """How far off answers are in ordered classes: mean absolute error and kappa, by shots.

    Args:
      result: as in result.json.
      norm: which rows.
      presentation: its noun; by default that of the result's experiment.

    Returns:
      The table, of the vote or whichever other reading is right most often; None if the result's
      rows do not tell.
    """
    readings = readings_of(result, norm)
    rows = [r for r in best_rows(readings) if any(r.get(name) is not None for name in _STAGES)]
    if not rows:
        return None
    noun = (presentation or presentation_of(result)).noun
    which = f", by {listed([READINGS[name] for name in readings], 'or')}, the more often right"
    return table_of(
        stage_columns(rows, shots_of(rows)),
        distinct(rows, "learning", "model"),
        "Mean absolute error in stages and quadratic weighted kappa, ± 95 % interval"
        f"{which if len(readings) > 1 else ''}; {data_label(result, noun)}",
        covers_note(rows),
    )


def stage_columns(rows: list, shots: list[int]) -> list[Column]:
    """Columns of errors in stages by shots, then of kappas; none where no row tells.

    Args:
      rows: at most one of a learner, model and number of shots.
      shots: those to show.
    """
    if all(row.get("mae_stages") is None for row in rows):
        return []
    return [
        Column(
            f"{name}, {shots_in_words(each)}",
            select(rows, shots=each),
            lambda row, metric=metric: metric_cell(row, metric),
        )
        for metric, name in _STAGES.items()
        for each in shots
    ]


def region_table(
    result: Result,
    norm: str | None = "inductive",
    shots: int | None = None,
    presentation: Presentation | None = None,
) -> Table | None:
    """Accuracy of each region alone and of all together, a learner and model a row.

    Args:
      result: as in result.json.
      norm: which rows.
      shots: support images a class; by default the most that the result has.
      presentation: noun and reference; by default those of the result's experiment.

    Returns:
      The table of at most `MOST_ARMS` learners, with the reference's regions as its last row where
      it has as many; None if there are no regions.
    """
    rows = region_rows(result, norm)
    if not rows:
        return None
    presentation = presentation or presentation_of(result)
    shots = shots_of(rows)[-1] if shots is None else shots
    rows = select(rows, shots=shots)
    together = [name for name in READINGS if select(rows, region=name)]
    regions = sorted({r["region"] for r in rows} - set(READINGS))
    arms = leading_arms([r for r in rows if r["region"] in READINGS], MOST_ARMS)
    columns = [
        Column(name if name in READINGS else f"region {name}", select(rows, region=name), mean_cell)
        for name in (*regions, *together)
    ]
    table = table_of(
        columns, arms, title_of(result, rows, presentation.noun, norm=norm, shots=shots)
    )
    lines, notes = table.rows, list(chance_note(result, rows))
    if len(arms) < len(distinct(rows, "learning", "model")):
        notes.append("Learners of the paper and the best others; all stand in the table above.")
    reference = presentation.reference
    if reference and len(reference.regions) == len(regions):
        scale = scale_of(rows[0]["metric"])
        figures = (Cell("", scale.figure(value)) for value in reference.regions)
        absent = (Cell(ABSENT) for _ in together)
        lines = (*lines, (Cell(reference.name), Cell(""), *figures, *absent))
        notes.append(f"{bracket_note(reference)} Of its regions {reference.regions_caveat}.")
    return table._replace(rows=lines, notes=(*notes, *covers_note(rows)))


def tie_table(result: Result, presentation: Presentation | None = None) -> Table | None:
    """How often the regions' vote needed a tie-break, in percent of the films asked."""
    norm = norms_of(result)[0] if result.get("rows") else None
    rows = [r for r in main_rows(result, norm) if r.get("tie_rate") is not None]
    voting = region_rows(result, norm)
    arms = leading_arms([r for r in voting if r["region"] in READINGS], MOST_ARMS)
    if not rows or not arms:
        return None
    noun = (presentation or presentation_of(result)).noun
    columns = [
        Column(
            shots_in_words(each),
            select(rows, shots=each),
            lambda row: Cell(f"{100 * row['tie_rate']:.1f}"),
        )
        for each in shots_of(rows)
    ]
    return table_of(
        columns, arms, f"Votes that tied, % of {noun} asked; {data_label(result, noun)}"
    )

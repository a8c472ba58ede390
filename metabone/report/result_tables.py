"""Tables of what a result's rows say."""

from collections.abc import Sequence

from metabone.report.age_tables import age_tables
from metabone.report.film_tables import region_table, stage_columns, stages_table
from metabone.report.point_tables import points_table
from metabone.report.ranked_tables import ranking_table
from metabone.report.readings import best_rows, readings_of
from metabone.report.result import (
    Presentation,
    Result,
    Row,
    beyond_means,
    data_label,
    distinct,
    gains,
    main_rows,
    norms_of,
    paired_by,
    presentation_of,
    scale_of,
    select,
    shots_of,
)
from metabone.report.row_tables import (
    Column,
    bracket_note,
    chance_note,
    conditions_note,
    covers_note,
    diverged_note,
    draws_note,
    mean_cell,
    table_of,
    title_of,
    trainings_note,
)
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.target_tables import target_tables, targets_of
from metabone.report.words import listed, shots_in_words


def all_tables(result: Result) -> list[Table]:
    """Every table that the result has data for, the headline first."""
    if targets_of(result):
        return target_tables(result)
    tables: list[Table | None] = []
    for norm in norms_of(result):
        tables.append(results_table(result, norm))
        if len(tables) == 1:
            # The table of several readings has stages at the most shots among its own columns.
            if len(readings_of(result, norm)) == 1:
                tables.append(stages_table(result, norm))
            tables.append(gains_table(result, norm))
    for norm in norms_of(result)[:1]:
        tables.append(region_table(result, norm))
    tables += [ranking_table(result), points_table(result), *age_tables(result)]
    return [table for table in tables if table]


def results_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Every learner and model by shots, mean ± 95 % interval, the published figure beside.

    Where regions are heard in several ways, each has its columns; the last ones are then the error
    in stages and kappa at the most shots.

    Args:
      result: as in result.json.
      norm: which rows, inductive or transductive; None for results without that choice.
      presentation: noun and reference; by default those of the result's experiment.

    Returns:
      The table, or None if the result has no such rows yet.
    """
    readings = readings_of(result, norm)
    rows = [row for own in readings.values() for row in own]
    if not rows:
        return None
    presentation = presentation or presentation_of(result)
    columns = [
        column
        for name, own in readings.items()
        for column in _by_shots(
            own, shots_of(rows), presentation, f"{name}, " if len(readings) > 1 else ""
        )
    ]
    told = []
    if len(readings) > 1:
        last = shots_of(rows)[-1:]
        stages = stage_columns(best_rows(readings), last)
        columns += stages
        told.append(_readings_note(readings, last if stages else []))
    learners = result.get("learners")
    told += [str(learners)] if learners else []
    notes = (
        *chance_note(result, rows),
        *diverged_note(rows, "learning", "model"),
        *draws_note(rows),
        *covers_note(rows),
        *trainings_note(rows),
        *told,
        *_published_note(rows, presentation),
        *conditions_note(rows),
    )
    title = title_of(result, rows, presentation.noun, norm=norm)
    return table_of(columns, distinct(rows, "learning", "model"), title, notes)


def first_draws_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Means of the first five draws alone, as many as the reference repeated, if recorded."""
    found = [r for r in main_rows(result, norm) if r.get("mean_of_first_5") is not None]
    if not found:
        return None
    presentation = presentation or presentation_of(result)
    rows = [{**row, "mean": row["mean_of_first_5"], "ci95": None} for row in found]
    title = (
        f"{scale_of(rows[0]['metric']).heading}, mean of the first 5 "
        f"{rows[0].get('unit', 'draws')} only; {data_label(result, presentation.noun)}"
    )
    columns = _by_shots(rows, shots_of(rows), presentation)
    notes = (*chance_note(result, rows), *_published_note(rows, presentation))
    return table_of(columns, distinct(rows, "learning", "model"), title, notes)


def gains_table(
    result: Result, norm: str | None = "inductive", presentation: Presentation | None = None
) -> Table | None:
    """Meta minus base by model and shots, with the half width of the difference."""
    readings = readings_of(result, norm)
    found = {name: gains(rows) for name, rows in readings.items()}
    every = [gain for own in found.values() for gain in own]
    if not every:
        return None
    scale = scale_of(every[0].metric)
    unit = ", points" if scale.unit == "%" else f", {scale.unit}" if scale.unit else ""
    noun = (presentation or presentation_of(result)).noun
    cells = {
        (name, gain.model, gain.shots): Cell(
            scale.signed(gain.difference)
            + ("" if gain.together is None else f" ({scale.figure(gain.together)})")
        )
        for name, own in found.items()
        for gain in own
    }
    columns = [(name, each) for name in found for each in sorted({g.shots for g in every})]
    headings = (
        f"{name}, {shots_in_words(each)}" if len(found) > 1 else shots_in_words(each)
        for name, each in columns
    )
    return Table(
        title=f"Meta minus base{unit}; {data_label(result, noun)}",
        columns=("model", *headings),
        labels=1,
        rows=tuple(
            (Cell(model), *(cells.get((name, model, s), Cell(ABSENT)) for name, s in columns))
            for model in dict.fromkeys(gain.model for gain in every)
        ),
        notes=(
            ("Positive: meta has the smaller error. " if not scale.higher_is_better else "")
            + "In brackets "
            + (
                f"half of its 95 % interval, paired by {paired_by(every)}"
                if all(gain.paired for gain in every)
                else "half of its 95 % interval, or where the two were asked different ones the "
                "sum of two half widths"
                if any(gain.paired for gain in every)
                else "the sum of the two half widths"
            )
            + f": {beyond_means(every)}.",
        ),
    )


def _by_shots(
    rows: Sequence[Row], shots: Sequence[int], presentation: Presentation, before: str = ""
) -> list[Column]:
    return [
        Column(
            before + shots_in_words(each),
            select(rows, shots=each),
            lambda row: mean_cell(row, presentation.reference),
        )
        for each in shots
    ]


def _published_note(rows: Sequence[Row], presentation: Presentation) -> tuple[str, ...]:
    published = any(r.get("paper") is not None and r.get("mean") is not None for r in rows)
    reference = presentation.reference
    return (bracket_note(reference),) if published and reference else ()


def _readings_note(readings: dict[str, list[Row]], last: Sequence[int]) -> str:
    said = {
        "vote": "vote: each region has one, and what reads all regions at once has one answer",
        "mean": "mean: of the regions' probabilities",
        "weighted": "weighted: the same with weights by region that were learned on other films",
    }
    text = "; ".join(said[name] for name in readings)
    text = f"{text[:1].upper()}{text[1:]}."
    if last:
        text += (
            f" Error, in stages, and quadratic weighted kappa at {shots_in_words(last[0])} are "
            f"those of {listed(list(readings), 'or')}, whichever is right more often there."
        )
    return text

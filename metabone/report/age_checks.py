"""Whether ages can be relied on: do intervals hold, and do answers stay when films change."""

from collections.abc import Mapping, Sequence
from typing import Any

from metabone.report.age_rows import (
    GROUPS,
    TOLD,
    age_rows,
    headings_of,
    labels_of,
    medians_of,
    name_of,
    of_most_films,
    title_of,
)
from metabone.report.result import Result, Row, distinct
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed


def conformal_table(result: Result) -> Table | None:
    """Coverage and width of conformal intervals, one line an arm; None without such rows."""
    rows = [row for row in of_most_films(age_rows(result)) if row.get("conformal")]
    if not rows:
        return None
    lines = [
        (
            *labels_of(rows, row),
            *(Cell(text) for group in GROUPS for text in _held(row["conformal"].get(group))),
        )
        for row in rows
    ]
    level = listed([f"{100 * each:g} %" for each in distinct(_conformal(rows), "level")])
    repeats = [each["repeats"] for each in _conformal(rows) if each.get("repeats")]
    notes = ["Held: share of films whose true age is in the interval."]
    if repeats:
        notes.append(
            f"In brackets: where 95 of 100 of {2 * max(repeats)} random halves of the test films "
            "lie, each of which was calibrated on the other. Halves of the same films are alike: "
            "that films from elsewhere are held as often is not shown."
        )
    else:
        notes.append("In brackets: exact 95 % interval of the share.")
    headings = headings_of(rows)
    return Table(
        title=title_of(result, rows, f"Conformal {level} intervals"),
        columns=(
            *headings,
            *(text for group in GROUPS for text in (f"{group}, held, %", "± months")),
        ),
        labels=len(headings),
        rows=tuple(lines),
        notes=tuple(notes),
    )


def robustness_tables(result: Result) -> list[Table]:
    """How far answers move when films are changed and bones are not, a table a row that tells."""
    rows = of_most_films(age_rows(result))
    medians = listed(
        [f"{row['arm']} {row['groups']['all']['mae']:.1f}" for row in medians_of(rows)]
    )
    beside = (f"Errors that no change moves: {medians}.",) if medians else ()
    return [
        Table(
            title=title_of(result, rows, f"Films changed, bones not: {name_of(row)}", *TOLD),
            columns=("change", "moved by over 12 months, %", "mean move, months", "MAE, months"),
            labels=1,
            rows=tuple(
                (
                    Cell(str(change["change"])),
                    Cell(f"{100 * change['moved_12']:.1f}"),
                    Cell(f"{change['mean_move']:.1f}"),
                    Cell(f"{change['mae']:.1f}"),
                )
                for change in row["robustness"]
            ),
            notes=("Moved: from the answer to the film as it is.", *beside),
        )
        for row in rows
        if row.get("robustness")
    ]


def _conformal(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    return [row["conformal"] for row in rows]


def _held(group: Mapping[str, Any] | None) -> tuple[str, str]:
    if not group:
        return ABSENT, ABSENT
    between = group.get("coverage_range") or group.get("coverage_ci95")
    inside = f" ({100 * between[0]:.0f} to {100 * between[1]:.0f})" if between else ""
    return f"{100 * group['coverage']:.1f}{inside}", f"{group['half_width']:.1f}"

"""How far ages are off in months, table by table."""

from collections.abc import Mapping, Sequence
from typing import Any

from metabone.report.age_checks import conformal_table, robustness_tables
from metabone.report.age_papers import chest_table, paced_table
from metabone.report.age_rows import (
    COVERS,
    GROUPS,
    TOLD,
    age_rows,
    band_name,
    best_of,
    error_of,
    figure_of,
    headings_of,
    labels_of,
    medians_of,
    name_of,
    notes_of,
    of_most_films,
    title_of,
    trained_of,
)
from metabone.report.result import Result, Row, distinct, select
from metabone.report.tables import ABSENT, Cell, Table


def age_tables(result: Result) -> list[Table]:
    """Every table that the rows have figures for, that of the errors first."""
    rows = age_rows(result)
    if not rows:
        return []
    found = [
        errors_table(result, of_most_films(rows)),
        films_table(result),
        paced_table(result),
        chest_table(result),
        spread_table(result),
        bands_table(result),
        conformal_table(result),
        *robustness_tables(result),
    ]
    return [table for table in found if table]


def errors_table(result: Result, rows: Sequence[Row]) -> Table:
    """Mean absolute errors of all, males and females, one line an arm.

    Args:
      result: as in result.json.
      rows: of it, in the order of the lines.

    Returns:
      The table. What is the same for all that was trained stands in its title.
    """
    lines = [
        (
            *labels_of(rows, row),
            *(Cell(error_of(row, group)) for group in GROUPS),
            Cell(f"{row['test_films']:,}"),
        )
        for row in rows
    ]
    return Table(
        title=title_of(result, rows, "Mean absolute error, months, ± 95 % interval"),
        columns=(*headings_of(rows), *GROUPS, "test films"),
        labels=len(headings_of(rows)),
        rows=tuple(lines),
        notes=notes_of(rows),
    )


def films_table(result: Result) -> Table | None:
    """Mean absolute errors by number of training films; None where there is but one number."""
    rows = age_rows(result)
    counts = sorted(distinct(trained_of(rows), "films"))
    if len(counts) < 2:
        return None
    fields = ("arm", "origin", "view", "sex")
    rows = [*medians_of(rows), *trained_of(rows)]
    lines = []
    for arm in distinct(rows, *fields):
        own = {row["films"]: row for row in select(rows, **dict(zip(fields, arm, strict=True)))}
        row = next(iter(own.values()))
        cells = (Cell(error_of(own[count], "all") if count in own else ABSENT) for count in counts)
        lines.append((*labels_of(rows, row, "films"), *cells))
    headings = headings_of(rows, "films")
    return Table(
        title=title_of(
            result, rows, "Mean absolute error, months, by number of training films", "films"
        ),
        columns=(*headings, *(f"{count:,}" for count in counts)),
        labels=len(headings),
        rows=tuple(lines),
        notes=notes_of(rows),
    )


def spread_table(result: Result) -> Table:
    """Root mean squared errors, bias, limits of agreement and shares within some months."""
    rows = of_most_films(age_rows(result))
    lines = []
    for row in rows:
        group = row["groups"]["all"]
        low, high = group["limits"]
        lines.append(
            (
                *labels_of(rows, row),
                Cell(f"{group['rmse']:.1f}"),
                Cell(figure_of(group["bias"], group.get("bias_ci95"), "+.1f")),
                Cell(ABSENT if None in (low, high) else f"{low:+.1f} to {high:+.1f}"),
                *(Cell(f"{100 * group[f'within_{most}']:.1f}") for most in (6, 12, 24)),
            )
        )
    headings = headings_of(rows)
    return Table(
        title=title_of(result, rows, "Errors of all films, months"),
        columns=(
            *headings,
            *("RMSE", "bias", "limits"),
            *(f"≤ {most}, %" for most in (6, 12, 24)),
        ),
        labels=len(headings),
        rows=tuple(lines),
        notes=(
            "Bias: mean of read minus true, ± 95 % interval. Limits of agreement: bias ± 1.96 "
            "standard deviations. ≤ 6, 12, 24: share of films off by so many months at most.",
        ),
    )


def bands_table(result: Result) -> Table | None:
    """Errors by age of the row that `best_of` chooses, and of the medians; None without bands."""
    rows = of_most_films(age_rows(result))
    best = best_of(rows)
    shown = [row for row in (*medians_of(rows), best) if row and row.get("bands")]
    if best is None or best not in shown:
        return None
    lines = []
    for low, high in distinct(best["bands"], "from", "to"):
        for row in shown:
            own = select(row["bands"], **{"from": low, "to": high})
            by_sex = {band["sex"]: band for band in own}
            if by_sex:
                lines.append((Cell(band_name(low, high)), Cell(str(row["arm"])), *_cells(by_sex)))
    return Table(
        title=title_of(
            result, rows, f"Mean absolute error by true age, months: {name_of(best)}", *TOLD
        ),
        columns=("months of age", "arm", *GROUPS, "bias, all", "films"),
        labels=2,
        rows=tuple(lines),
        notes=(COVERS, "Bias: mean of read minus true. A band holds its lower edge."),
    )


def _cells(by_sex: Mapping[str, Any]) -> list[Cell]:
    everyone = by_sex["all"]
    return [
        *(
            Cell(figure_of(by_sex[name]["mae"], by_sex[name].get("mae_ci95")))
            if name in by_sex
            else Cell(ABSENT)
            for name in GROUPS
        ),
        Cell(f"{everyone['bias']:+.1f}"),
        Cell(f"{everyone['n']:,}"),
    ]

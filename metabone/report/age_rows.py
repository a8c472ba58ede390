"""Rows of a run that tells bone age: which are shown, and how tables and sentences say them."""

from collections.abc import Sequence

from metabone.report.result import Result, Row, data_label, distinct
from metabone.report.row_tables import trainings_note
from metabone.report.tables import ABSENT, Cell
from metabone.report.words import listed

GROUPS = ("all", "male", "female")
"""Whom errors are told of."""

TOLD = {
    "origin": "begins with",
    "view": "sees films",
    "sex": "sex",
    "films": "training films",
}
"""Fields that tell rows apart, and what they are called."""

COVERS = (
    "Intervals of 95 % cover other patients and, where there are several trainings, other "
    "trainings."
)
"""What the intervals of errors say."""

_SEX = {"input": "an input", "separate": "a network each", "unknown": "unknown"}
_ORIGINS = {
    "random": "random weights",
    "simulated": "simulated hands",
    "images": "natural images",
    "published": "published weights",
}


def age_rows(result: Result) -> list[Row]:
    """Rows that tell errors of ages; none of another experiment."""
    return [row for row in result.get("rows", ()) if (row.get("groups") or {}).get("all")]


def is_median(row: Row) -> bool:
    """Whether a row looks at no film: the median of the training ages, or that by sex."""
    return str(row["arm"]).startswith("median")


def medians_of(rows: Sequence[Row]) -> list[Row]:
    """Rows that look at no film."""
    return [row for row in rows if is_median(row)]


def trained_of(rows: Sequence[Row]) -> list[Row]:
    """Rows of networks."""
    return [row for row in rows if not is_median(row)]


def of_most_films(rows: Sequence[Row]) -> list[Row]:
    """The medians first, and rows that learned from the most films of those that see alike."""
    kept = []
    for own in (medians_of(rows), trained_of(rows)):
        most = {key: 0 for key in distinct(own, "view", "sex")}
        for row in own:
            key = (row.get("view"), row.get("sex"))
            most[key] = max(most[key], row["films"])
        kept += [row for row in own if row["films"] == most[row.get("view"), row.get("sex")]]
    return kept


def best_of(rows: Sequence[Row]) -> Row | None:
    """The trained row that is chosen without a look at its test films; None without any.

    By the error on the films that steps were chosen on; where no row tells that, by the lowest
    error of all, which is then a choice by the very films that it is measured on.
    """
    trained = trained_of(rows)
    told = [row for row in trained if validation_error(row) is not None]
    return min(told or trained, key=_rank, default=None)


def validation_error(row: Row) -> float | None:
    """Mean over trainings of the error on the films that steps were chosen on, months."""
    errors = row.get("validation_mae") or [None]
    return None if None in errors else sum(errors) / len(errors)


def _rank(row: Row) -> float:
    found = validation_error(row)
    return row["groups"]["all"]["mae"] if found is None else found


def name_of(row: Row) -> str:
    """A row in words, as `paced, from random weights, aligned, sex an input`."""
    origin = str(row.get("origin") or "")
    origin = f"from {_ORIGINS.get(origin, origin)}" if origin else ""
    sex = _SEX.get(str(row.get("sex")), "")
    parts = (str(row["arm"]), origin, str(row.get("view") or ""), sex and f"sex {sex}")
    return ", ".join(part for part in parts if part)


def ages_in_words(result: Result) -> str:
    """The chosen row's error beside that of the median in two sentences; empty without rows."""
    rows = of_most_films(age_rows(result))
    best = best_of(rows)
    if best is None:
        return ""
    groups = {name: best["groups"].get(name) for name in GROUPS[1:]}
    by_sex = listed([f"{name} {group['mae']:.1f}" for name, group in groups.items() if group])
    chosen = validation_error(best) is not None
    how = "chosen by other films out" if chosen else "the lowest on these very films"
    text = (
        f"Bone age is read with a mean absolute error of {error_of(best)} months"
        f"{f' ({by_sex})' if by_sex else ''} on {best['test_films']:,} films, after learning "
        f"from {best['films']:,}: {name_of(best)}, {how} of {len(trained_of(rows))}."
    )
    medians = {row["arm"]: row["groups"]["all"]["mae"] for row in medians_of(rows)}
    if "median" in medians:
        text += f" The median of the training ages is off by {medians['median']:.1f} months"
        if "median by sex" in medians:
            text += f", that by sex by {medians['median by sex']:.1f}"
        text += "."
    return text


def band_name(low: float | None, high: float | None) -> str:
    """A band of months in words.

    Example:
      >>> band_name(60, 108), band_name(None, 60), band_name(240, None)
      ('60-108', 'under 60', '240 and over')
    """
    if low is None:
        return f"under {high:g}"
    return f"{low:g} and over" if high is None else f"{low:g}-{high:g}"


def headings_of(rows: Sequence[Row], *but: str) -> tuple[str, ...]:
    """Headings of the columns that tell rows apart, but of fields that need no column."""
    return ("arm", *(TOLD[name] for name in _differ(rows, but)))


def labels_of(rows: Sequence[Row], row: Row, *but: str) -> list[Cell]:
    """What stands under these headings for a row."""
    return [Cell(str(row["arm"])), *(Cell(_said(row, name)) for name in _differ(rows, but))]


def title_of(result: Result, rows: Sequence[Row], what: str, *but: str) -> str:
    """What is measured, on which films, and what all that was trained has in common.

    Args:
      result: as in result.json.
      rows: of the table.
      what: is measured.
      *but: fields that are not told.
    """
    trained = trained_of(rows)
    apart = _differ(rows, but)
    same = [
        f"{heading}: {_said(trained[0], name)}"
        for name, heading in TOLD.items()
        if trained and name not in apart and name not in but and trained[0].get(name)
    ]
    seed = [f"seed {result['seed']}"] if result.get("seed") is not None else []
    incomplete = [] if result.get("complete") else ["INCOMPLETE"]
    return "; ".join([what, data_label(result, "films"), *same, *seed, *incomplete])


def notes_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """What intervals cover, how often networks were trained, and what the medians are."""
    return (
        COVERS,
        *trainings_note(trained_of(rows)),
        "The median of the training ages, and that of the film's own sex, look at no film.",
    )


def error_of(row: Row, group: str = "all") -> str:
    """Mean absolute error of a group with its interval, as `7.1 ± 0.6`."""
    found = row["groups"].get(group)
    return ABSENT if found is None else figure_of(found["mae"], found.get("mae_ci95"))


def figure_of(value: float, ci95: float | None, form: str = ".1f") -> str:
    """Months with the half width of their interval, or alone."""
    return f"{value:{form}}" + ("" if ci95 is None else f" ± {ci95:.1f}")


def _differ(rows: Sequence[Row], but: Sequence[str]) -> list[str]:
    """Fields that tell trained rows apart."""
    trained = trained_of(rows)
    return [name for name in TOLD if name not in but and len(distinct(trained, name)) > 1]


def _said(row: Row, name: str) -> str:
    value = row.get(name)
    if name == "films":
        return f"{value:,}"
    return _SEX.get(str(value), str(value)) if value else ABSENT

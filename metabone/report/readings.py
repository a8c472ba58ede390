"""How the regions of a film answer together: by vote, by mean; and which learners lead by it."""

from collections.abc import Sequence

from metabone.report.published import MIN_KANG_2018_TABLE_3
from metabone.report.result import Result, Row, distinct, main_rows, scale_of, select, shots_of

READINGS = {
    "vote": "vote",
    "mean": "mean of probabilities",
    "weighted": "weighted mean of probabilities",
}
"""Names of rows' `region` that answer for the whole film, and what they are called in words."""

Arm = tuple[str, str]
"""Learning and model of a row."""


def readings_of(result: Result, norm: str | None) -> dict[str, list[Row]]:
    """Rows that answer for whole films, by how their regions are heard; the vote first.

    Args:
      result: as in result.json.
      norm: which rows.

    Returns:
      Those of `READINGS` that the result has; `vote` alone where there are no regions, then of
      whatever answers for the image; empty if there are no rows.
    """
    found = {"vote": main_rows(result, norm)}
    for reading in list(READINGS)[1:]:
        rows = (r for r in result.get("rows", ()) if norm is None or r.get("norm") == norm)
        found[reading] = select(rows, region=reading)
    return {reading: rows for reading, rows in found.items() if rows}


def best_rows(readings: dict[str, list[Row]]) -> list[Row]:
    """Of every learner, model and shots the row of the reading that is right most often."""
    rows = [r for own in readings.values() for r in own if r.get("mean") is not None]
    cells = distinct(rows, "learning", "model", "shots")
    names = ("learning", "model", "shots")
    return [
        max(select(rows, **dict(zip(names, cell, strict=True))), key=_goodness) for cell in cells
    ]


def leading_arms(rows: Sequence[Row], most: int) -> list[Arm]:
    """Which learners to show where there is no room for all.

    Args:
      rows: as of `best_rows`.
      most: how many.

    Returns:
      All if they are so few; otherwise those of Min and Kang (2018), then the best at the most
      shots, until there are so many. In the order in which they first appear in the rows.
    """
    arms = distinct(rows, "learning", "model")
    if len(arms) <= most:
        return arms
    measured = [row for row in rows if row.get("mean") is not None]
    last = select(measured, shots=max(shots_of(measured), default=None))
    ranked = distinct(sorted(last, key=_goodness, reverse=True), "learning", "model")
    # Stable, so that the paper's come first and each part stays from the best down.
    ranked = sorted(ranked + arms, key=lambda arm: arm not in MIN_KANG_2018_TABLE_3)
    kept = list(dict.fromkeys(ranked))[:most]
    return [arm for arm in arms if arm in kept]


def of_arms(rows: Sequence[Row], arms: Sequence[Arm]) -> list[Row]:
    """Rows of some learners alone."""
    return [row for row in rows if (row.get("learning"), row.get("model")) in arms]


def _goodness(row: Row) -> float:
    return row["mean"] if scale_of(row["metric"]).higher_is_better else -row["mean"]

"""How far the key points that a network finds are off: a table, and a sentence."""

from metabone.report.result import POINT_METRICS, Result, Row, distinct, scale_of, select
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed

_SETS = ("trained_on", "measured_on", "kind", "n")


def points_table(result: Result) -> Table | None:
    """Errors of key points, one line a set of films.

    Args:
      result: as in result.json.

    Returns:
      The table; the points that are worst stand below it. None if the result has no such rows.
    """
    rows = [row for row in result.get("rows", ()) if row.get("metric") in POINT_METRICS]
    if not rows:
        return None
    lines, notes = [], []
    for trained, measured, kind, count in distinct(rows, *_SETS):
        own = select(rows, trained_on=trained, measured_on=measured, kind=kind, n=count)
        by_metric = {row["metric"]: row for row in own}
        figures = (_figure(by_metric.get(metric)) for metric in POINT_METRICS)
        texts = (str(trained), f"{kind} films, {measured}", str(count), *figures)
        lines.append(tuple(map(Cell, texts)))
        worst = by_metric.get("point_error", {}).get("worst", {})
        if worst:
            scale = scale_of("point_error")
            told = [f"{name} {scale.figure(error)}" for name, error in worst.items()]
            notes.append(
                f"Largest median errors on {kind} films, {measured}, {scale.unit}: {listed(told)}."
            )
    unfinished = "" if result.get("complete") else "; INCOMPLETE"
    return Table(
        title=f"Key points, in brackets the 95 % interval for other hands{unfinished}",
        columns=(
            *("trained on", "measured on", "hands"),
            *(scale_of(metric).heading.lower() for metric in POINT_METRICS),
        ),
        labels=2,
        rows=tuple(lines),
        notes=tuple(notes),
    )


def points_in_words(result: Result) -> str:
    """The median error on each set of films in a sentence; empty if there is none."""
    scale = scale_of("point_error")
    told = [
        f"{scale.figure(row['mean'])} {scale.unit} on {row['n']} {row['kind']} films"
        for row in select(result.get("rows", ()), metric="point_error")
    ]
    return f"Points are off by a median of {listed(told)}." if told else ""


def _figure(row: Row | None) -> str:
    if row is None or row.get("mean") is None:
        return ABSENT
    scale = scale_of(row["metric"])
    between = (
        f" ({scale.figure(row['low'])} to {scale.figure(row['high'])})" if "low" in row else ""
    )
    return f"{scale.figure(row['mean'])}{between}"

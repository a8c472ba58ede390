"""Learners on several sets of images at once: a table a set, and where the probe stands."""

from metabone.report.result import (
    Result,
    chance_of,
    data_label,
    distinct,
    kinds_of,
    scale_of,
    select,
    shots_of,
)
from metabone.report.row_tables import (
    Column,
    chance_note,
    covers_note,
    draws_note,
    mean_cell,
    metric_cell,
    table_of,
    trainings_note,
)
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed, shots_in_words


def targets_of(result: Result) -> list[str]:
    """The sets that a result's rows are of; none where it has only one."""
    return [name for name in distinct(result.get("rows", ()), "target") if name is not None]


def target_tables(result: Result) -> list[Table]:
    """One table a set: accuracy by shots, the difference to the probe, AUROC and kappa."""
    return [_table(result, name) for name in targets_of(result)]


def targets_in_words(result: Result) -> str:
    """What was right most often on each set at the most shots; empty where there is no set."""
    scale, told = scale_of("accuracy"), []
    for name in targets_of(result):
        rows = select(result["rows"], target=name)
        shots = shots_of(rows)[-1]
        best = max(select(rows, shots=shots), key=lambda row: row["mean"])
        chance = chance_of(result, best)
        guessing = "" if chance is None else f", guessing {scale.figure(chance)}"
        told.append(
            f"{name} {scale.estimate(best['mean'], best['ci95'])} {scale.unit} by "
            f"{best['learning'].replace('_', ' ')} on {best['model']}{guessing}"
        )
    return f"Best at {shots_in_words(shots)}: {'; '.join(told)}." if told else ""


def _table(result: Result, name: str) -> Table:
    rows = [
        {**row, "learning": row["learning"].replace("_", " ")}
        for row in select(result["rows"], target=name)
    ]
    shots = shots_of(rows)
    columns = [Column(shots_in_words(each), select(rows, shots=each), mean_cell) for each in shots]
    last = select(rows, shots=shots[-1])
    if any(row.get("to_probe") is not None for row in rows):
        columns += [
            Column(f"minus probe, {each}", select(rows, shots=each), _to_probe) for each in shots
        ]
    columns.append(
        Column(f"AUROC, {shots_in_words(shots[-1])}", last, lambda row: metric_cell(row, "auroc"))
    )
    if any(row.get("kappa") is not None for row in rows):
        columns.append(Column("kappa", last, lambda row: metric_cell(row, "kappa")))
    scale = scale_of("accuracy")
    incomplete = "" if result.get("complete") else "; INCOMPLETE"
    label = f"seed {result['seed']}" if result.get("seed") is not None else ""
    title = "; ".join(
        part
        for part in (
            f"{name}: {scale.heading.lower()}, mean ± 95 % interval",
            f"{kind_of(result)} images",
            label,
        )
        if part
    )
    notes = (
        *chance_note(result, rows),
        *draws_note(rows),
        *covers_note(rows),
        *trainings_note(rows),
        "Minus probe: in points, paired by image, of the probe on the same features.",
    )
    arms = distinct(rows, "learning", "model")
    ordered = sorted(arms, key=lambda arm: -_mean(last, arm))
    return table_of(columns, ordered, title + incomplete, notes)


def kind_of(result: Result) -> str:
    """Whether images are real or simulated, or both."""
    return listed(list(kinds_of(result))) or data_label(result)


def _mean(rows: list, arm: tuple) -> float:
    found = select(rows, learning=arm[0], model=arm[1])
    return found[0]["mean"] if found else 0.0


def _to_probe(row: dict) -> Cell:
    if row.get("to_probe") is None:
        return Cell(ABSENT)
    scale = scale_of("accuracy")
    return Cell(f"{scale.signed(row['to_probe'])} ± {scale.figure(row['to_probe_ci95'])}")

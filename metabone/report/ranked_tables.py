"""Tables of what was ranked: learners on the same tasks, and settings that were searched."""

from collections.abc import Sequence

from metabone.report.result import Result, Row, data_label, scale_of
from metabone.report.row_tables import chance_note, diverged_note
from metabone.report.tables import ABSENT, Cell, Table


def ranking_table(result: Result) -> Table | None:
    """Learners from the best down, each with its paired difference to the best."""
    found = result.get("ranking", ())
    if not found:
        return None
    scale = scale_of("accuracy")
    rows = []
    for place, entry in enumerate(found, 1):
        behind = ABSENT
        if "to_best" in entry:
            behind = f"{scale.signed(entry['to_best'])} ± {scale.figure(entry['ci95'])}"
        figure = Cell(scale.figure(entry["mean"]))
        rows.append((Cell(str(place)), Cell(entry["learning"]), figure, Cell(behind)))
    return Table(
        title=f"Ranking on the same {found[0]['n']} tasks; {data_label(result, 'images')}",
        columns=("place", "learning", scale.heading.lower(), "to the best, points"),
        labels=2,
        rows=tuple(rows),
        notes=(
            *chance_note(result, [{"metric": "accuracy"}]),
            _what_holds(found),
            *diverged_note(result.get("rows", ()), "learning"),
        ),
    )


def _what_holds(ranking: Sequence[Row]) -> str:
    """What the intervals of a ranking cover, which is less in runs that are older."""
    paired = "Differences are paired by task, with 95 % intervals"
    corrected = [entry["interval"] for entry in ranking if "interval" in entry]
    several = ranking[0].get("trainings", 1) > 1
    if not corrected and len(ranking) > 2:
        return (
            f"{paired} that hold one by one: of many equal learners some seem behind the best. "
            "They are for these trainings."
        )
    if corrected:
        paired += f" that hold all at once ({corrected[0]})"
    if several:
        return (
            f"{paired}, for other tasks and other trainings, of which each learner had "
            f"{ranking[0]['trainings']}: one that does not cover 0 is clear. Of equal learners one "
            "ranking in 20 shows any."
        )
    return (
        f"{paired}: one that does not cover 0 is more than other tasks explain, for these "
        "trainings; of one training each, others may undo it."
    )


def search_table(result: Result) -> Table | None:
    """What base learning was offered and what it chose, by model and shots, best first."""
    found = result.get("search", ())
    if not found:
        return None
    scale = scale_of("accuracy")
    names = list(found[0]["options"])
    rows, told = [], set()
    for entry in found:
        cell = (entry["model"], entry["shots"])
        chosen = "chosen" if cell not in told else ""
        told.add(cell)
        options = (Cell(f"{entry['options'][name]:.3g}") for name in names)
        figure = Cell(scale.estimate(entry["mean"], entry["ci95"]))
        rows.append(
            (Cell(entry["model"]), Cell(str(entry["shots"])), *options, figure, Cell(chosen))
        )
    return Table(
        title=f"Base learning on {found[0]['n']} tasks of validation classes",
        columns=("model", "shots", *names, scale.heading.lower(), ""),
        labels=1,
        rows=tuple(rows),
        notes=(
            *chance_note(result, [{"metric": "accuracy"}]),
            *diverged_note(found, "model"),
        ),
    )

"""The first lines of a report: what was asked, on which data, and what came out."""

from collections.abc import Sequence
from html import escape

from metabone.report import page
from metabone.report.age_rows import ages_in_words
from metabone.report.point_tables import points_in_words
from metabone.report.published import MIN_KANG_2018_TABLE_3
from metabone.report.readings import READINGS, best_rows, readings_of
from metabone.report.result import (
    Presentation,
    Row,
    chance_of,
    data_label,
    distinct,
    gains,
    kinds_of,
    main_rows,
    near_chance,
    norms_of,
    paired_by,
    region_rows,
    scale_of,
    select,
    shots_of,
)
from metabone.report.run_folder import Run
from metabone.report.target_tables import targets_in_words
from metabone.report.words import listed, shots_in_words

_MOST_ARMS = 4
_MOST_EXCEPTIONS = 6


def warning(run: Run, show: Presentation) -> str:
    """Says, before anything else, that a run has not ended."""
    if run.result.get("complete"):
        return ""
    rows = len(run.result.get("rows", ()))
    text = f"Incomplete: this run has not finished. {rows} rows of its result are written so far."
    return f'<p class="warning" role="status"><strong>{escape(text)}</strong></p>'


def headline(run: Run, show: Presentation) -> str:
    """What was asked, on which data, and the answer in a sentence."""
    label = data_label(run.result, show.noun)
    caution = ""
    if "simulated" in kinds_of(run.result):
        caution = (
            f"The {show.noun} are drawn by a computer. The figures show how the methods compare "
            "on these drawings; they say nothing about how well patients' bones can be read."
        )
    return "\n".join(
        part
        for part in (
            page.paragraph(show.question, "lead"),
            f'<p class="answer">{page.badge(label)} {page.plain(answer(run, show))}</p>',
            page.paragraph(str(run.result.get("conclusion") or "")),
            page.paragraph(caution, "note"),
        )
        if part
    )


def answer(run: Run, show: Presentation) -> str:
    """The comparison that the experiment is about, and where its figures stand beside guessing."""
    if found := targets_in_words(run.result) or ages_in_words(run.result):
        return found
    norms = norms_of(run.result)
    rows = main_rows(run.result, norms[0]) if norms else []
    rows = [row for row in rows if row.get("mean") is not None]
    if not rows:
        return points_in_words(run.result) or "There is no figure yet."
    if run.result.get("ranking"):
        found = _first_place(run.result["ranking"])
    else:
        found = _meta_against_base(rows, show) or _figures(rows)
    every = [row for own in readings_of(run.result, norms[0]).values() for row in own]
    standing, near = _beside_guessing(run, [r for r in every if r.get("mean") is not None])
    parts = [standing, found] if near else [found, standing]
    return " ".join(part for part in (*parts, _best(run, norms[0])) if part)


def _beside_guessing(run: Run, rows: Sequence[Row]) -> tuple[str, bool]:
    """Where accuracies lie beside chance, and whether all of them are near it."""
    known = [
        (row["mean"], chance) for row in rows if (chance := chance_of(run.result, row)) is not None
    ]
    if not known:
        return "", False
    guessing = _span([chance for _, chance in known], "to")
    if all(near_chance(mean, chance) for mean, chance in known):
        said = (
            f"All {len(known)} accuracies are near chance, {_span([mean for mean, _ in known])}"
            if len(known) > 1
            else f"The accuracy is near chance, {_span([known[0][0]])}"
        )
        return f"{said}, where guessing is right in {guessing}: hardly anything was learned.", True
    return f"Accuracies are {_span([m for m, _ in known])}; guessing is right in {guessing}.", False


def _span(values: Sequence[float], joined: str = "and") -> str:
    scale = scale_of("accuracy")
    low, high = scale.figure(min(values)), scale.figure(max(values))
    if low == high:
        return f"{low} {scale.unit}"
    return f"{'between ' if joined == 'and' else ''}{low} {joined} {high} {scale.unit}"


def _meta_against_base(rows: Sequence[Row], show: Presentation) -> str:
    """In how many cells meta-learning is above: of the paper's models, or of others if none is."""
    paper = {model for _, model in MIN_KANG_2018_TABLE_3}
    every = gains(rows)
    found = [gain for gain in every if gain.model in paper] or every
    if not found:
        return ""
    above = sum(g.difference > 0 for g in found)
    beyond = sum(g.beyond for g in found)
    each = "cell" if len(found) == 1 else "cells"
    apart = "the two 95 % intervals together"
    if all(gain.paired for gain in found):
        apart = f"the 95 % interval of the difference, paired by {paired_by(found)}"
    if beyond and not all(gain.trainings > 1 for gain in found):
        apart += ", of one training each, which others may undo"
    below = [f"{g.model} at {shots_in_words(g.shots)}" for g in found if g.difference <= 0]
    few = len(below) <= _MOST_EXCEPTIONS
    exceptions = f" It is not in: {', '.join(below)}." if below and few else ""
    return (
        f"Meta-learning is above base learning in {above} of {len(found)} {each} (same network, "
        f"same number of {show.noun} a class), in {beyond} of them by more than "
        f"{apart}.{exceptions}"
    )


def _best(run: Run, norm: str | None) -> str:
    """The row that is right most often at the most shots, where regions are heard in many ways."""
    readings = readings_of(run.result, norm)
    if len(readings) < 2 and len(run.result.get("region_names", ())) < 2:
        return ""
    known = [row for row in best_rows(readings) if row.get("shots") is not None]
    if not known:
        return ""
    shots = shots_of(known)[-1]
    best = max(select(known, shots=shots), key=lambda row: row["mean"])
    count = sum(len(select(rows, shots=shots)) for rows in readings.values())
    scale = scale_of(best["metric"])
    figures = [f"{scale.estimate(best['mean'], best.get('ci95'))} {scale.unit}"]
    if best.get("kappa") is not None:
        figures.append(f"kappa {scale_of('kappa').figure(best['kappa'])}")
    covers = f"; the interval is for {best['covers']}" if best.get("covers") else ""
    name = f'{best["learning"]} "{best["model"]}"'
    # What reads all regions at once has one answer, and no rows of single regions.
    voting = region_rows(run.result, norm)
    if select(voting, learning=best["learning"], model=best["model"]):
        name += f" by {READINGS[best['region']]}"
    return f"Best of {count} at {shots_in_words(shots)}: {name}: {', '.join(figures)}{covers}."


def _first_place(ranking: Sequence[Row]) -> str:
    best, *others = ranking
    text = f"{best['learning']} answers best, {100 * best['mean']:.1f} % on {best['n']} tasks."
    if others:
        beyond = sum(-other["to_best"] > other["ci95"] for other in others)
        once = best.get("trainings", 1) == 1
        text += (
            " Behind it on the same tasks by more than the paired 95 % interval"
            f"{', all at once' if 'interval' in others[0] else ''}: {beyond} of {len(others)}"
            f"{'; of one training each, which others may undo' if beyond and once else ''}."
        )
    return text


def _figures(rows: Sequence[Row]) -> str:
    """What each arm came to, where nothing is compared; many arms are left to the table."""
    arms = distinct(rows, "learning", "model")
    if len(arms) > _MOST_ARMS:
        return ""
    scale = scale_of(rows[0]["metric"])
    told = []
    for learning, model in arms:
        own = sorted(select(rows, learning=learning, model=model), key=lambda r: r["shots"])
        figures = [
            f"{scale.figure(r['mean'])} {scale.unit}".strip() + f" at {shots_in_words(r['shots'])}"
            for r in own
        ]
        told.append(f"{learning} {model}".capitalize() + f": {listed(figures)}.")
    return " ".join(told)

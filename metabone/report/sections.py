"""Sections with the figures of any experiment; each is empty where the run has no data for it."""

from collections.abc import Sequence
from html import escape

from metabone.report import page, plots, tables
from metabone.report.result import (
    Presentation,
    Row,
    data_label,
    distinct,
    gains,
    kinds_of,
    main_rows,
    norms_of,
    scale_of,
    select,
    shots_of,
)
from metabone.report.run_folder import Run


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
    """Whether meta-learning was above base learning, or who ranks first, in a sentence or two."""
    if run.result.get("ranking"):
        return _first_place(run.result["ranking"])
    norms = norms_of(run.result)
    found = gains(run.result, norms[0]) if norms else []
    if not found:
        return "No cell has both meta-learning and base learning to compare yet."
    above = sum(g.difference > 0 for g in found)
    clear = sum(g.clear for g in found)
    each = "cell" if len(found) == 1 else "cells"
    below = [f"{g.model} at {g.shots}" for g in found if g.difference <= 0]
    exceptions = f" It is not in: {', '.join(below)} shots." if below else ""
    return (
        f"Meta-learning is above base learning in {above} of {len(found)} {each} (same network, "
        f"same number of {show.noun} a class), in {clear} of them by more than the two "
        f"95 % intervals together.{exceptions}"
    )


def _first_place(ranking: Sequence[Row]) -> str:
    best, *others = ranking
    text = f"{best['learning']} answers best, {100 * best['mean']:.1f} % on {best['n']} tasks."
    if others:
        clear = sum(-other["to_best"] > other["ci95"] for other in others)
        text += (
            " Behind it on the same tasks by more than the paired 95 % interval: "
            f"{clear} of {len(others)}."
        )
    return text


def results(run: Run, show: Presentation) -> str:
    """The table of the first batch-norm mode (inductive), what meta gains, and the plot."""
    norms = norms_of(run.result)
    if not norms:
        return ""
    label, norm = data_label(run.result, show.noun), norms[0]
    first = tables.first_draws_table(run.result, norm, show)
    return page.section(
        "Results",
        page.paragraph(_norm_sentence(norm)),
        page.table(tables.results_table(run.result, norm, show), label),
        page.details("The first five draws alone", page.table(first, label)),
        page.table(tables.gains_table(run.result, norm, show), label),
        _over_shots(run, show, norm),
    )


def ranking(run: Run, show: Presentation) -> str:
    """Learners on the same tasks from the best down, if the run ranks them."""
    table = tables.ranking_table(run.result)
    if table is None:
        return ""
    return page.section("Ranking", page.table(table, data_label(run.result, show.noun)))


def other_norms(run: Run, show: Presentation) -> str:
    """The same table in every other batch-norm mode."""
    label = data_label(run.result, show.noun)
    return "\n".join(
        page.section(
            f"Results, {norm}" if norm else "Results without batch norm",
            page.paragraph(_norm_sentence(norm)),
            page.table(tables.results_table(run.result, norm, show), label),
        )
        for norm in norms_of(run.result)[1:]
        if main_rows(run.result, norm)
    )


def confusions(run: Run, show: Presentation) -> str:
    """Which class was taken for which, every arm at its largest number of shots."""
    found = [c for c in run.result.get("confusions", ()) if c.get("matrix")]
    norm = "inductive" if any(c.get("norm") == "inductive" for c in found) else None
    found = [c for c in found if norm is None or c.get("norm") == norm]
    if not found:
        return ""
    largest = shots_of(found)[-1:] or [None]
    label = data_label(run.result, show.noun)
    names = [str(name) for name in run.result.get("class_names", ())]
    charts = []
    for arm in select(found, shots=largest[0]):
        caption = f"{arm.get('learning', '')} {arm.get('model', '')}".strip()
        if largest[0] is not None:
            caption += f", {largest[0]} shots"
        charts.append(page.figure(_matrix(arm["matrix"], names, caption), caption, label))
    explanation = (
        "A row is the true class, a column the answer. Each cell has its share of the row and, "
        "small, the count over all draws; the diagonal is right."
    )
    return page.section("Confusions", page.paragraph(explanation), page.grid(*charts))


def without_common_start(names: list[str]) -> list[str]:
    """Class names without the word that all of them begin with, for narrow places.

    Example:
      >>> without_common_start(["SMI 1-2", "SMI 3-4"])
      ['1-2', '3-4']
    """
    first, _, _ = names[0].rpartition(" ") if names else ("", "", "")
    common = f"{first} "
    if len(names) < 2 or not first or not all(name.startswith(common) for name in names):
        return names
    return [name.removeprefix(common) for name in names]


def colour_of(learning: str, rows: Sequence[Row]) -> int:
    """Index of a learner's colour: meta and base have theirs in every chart of every report."""
    others = [name for name in distinct(rows, "learning") if name not in ("meta", "base")]
    return ["meta", "base", *others].index(learning)


def chance_of(run: Run, metric: str) -> float | None:
    """Level of guessing on balanced classes, in the scale of the plots."""
    classes = run.result.get("ways") or len(run.result.get("class_names", ()))
    return 100 / classes if metric == "accuracy" and classes else None


def _over_shots(run: Run, show: Presentation, norm: str | None) -> str:
    rows = [r for r in main_rows(run.result, norm) if r.get("mean") is not None]
    if len(shots_of(rows)) < 2:
        return ""
    scale = scale_of(rows[0]["metric"])
    models = distinct(rows, "model")
    lines = []
    for learning, model in distinct(rows, "learning", "model"):
        own = sorted(select(rows, learning=learning, model=model), key=lambda r: r["shots"])
        lines.append(
            plots.Line(
                name=f"{learning} {model}",
                colour=colour_of(learning, rows),
                style=models.index(model),
                x=[r["shots"] for r in own],
                y=[r["mean"] * scale.factor for r in own],
                error=[(r.get("ci95") or 0.0) * scale.factor for r in own],
            )
        )
    described = "; ".join(
        f"{line.name}: "
        + ", ".join(f"{y:.{scale.decimals}f} at {x:g}" for x, y in zip(line.x, line.y, strict=True))
        for line in lines
    )
    chart = plots.over_shots(
        lines,
        scale.heading,
        alt=f"{scale.heading} by shots. {described}.",
        chance=chance_of(run, rows[0]["metric"]),
        percent=scale.unit == "%",
    )
    caption = f"{scale.name} over shots, with 95 % intervals; {norm or 'no'} batch norm."
    return page.figure(chart, caption, data_label(run.result, show.noun), css="wide")


def _matrix(matrix: list[list[int]], names: list[str], caption: str) -> str:
    names = names if len(names) == len(matrix) else [str(i + 1) for i in range(len(matrix))]
    names = without_common_start(names)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    lines = []
    for name, row in zip(names, matrix, strict=True):
        total = sum(row)
        cells = "".join(
            f'<td style="--share:{0.6 * count / total if total else 0:.3f}">'
            f"{f'{100 * count / total:.0f} %' if total else tables.ABSENT}"
            f"<small>{count:,}</small></td>"
            for count in row
        )
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<table class="matrix" aria-label="Confusion matrix, {escape(caption)}">'
        f'<thead><tr><th scope="col">true</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def _norm_sentence(norm: str | None) -> str:
    if norm == "inductive":
        return (
            "Inductive batch norm: statistics come from the labelled images alone, so what is "
            "answered for one image does not depend on which others are asked."
        )
    if norm == "transductive":
        return (
            "Transductive batch norm, as published MAML code has it: statistics come from the "
            "batch at hand, so the images asked together see each other."
        )
    return ""

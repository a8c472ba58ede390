"""Sections with the figures of any experiment; each is empty where the run has no data for it."""

from collections.abc import Sequence
from html import escape

from metabone.report import (
    film_tables,
    page,
    plots,
    ranked_tables,
    result_tables,
    tables,
    target_tables,
)
from metabone.report.conditions import RUNNING, WITH_SUPPORT
from metabone.report.readings import READINGS, Arm, best_rows, leading_arms, of_arms, readings_of
from metabone.report.result import (
    Presentation,
    Row,
    chance_of,
    data_label,
    distinct,
    main_rows,
    norms_of,
    scale_of,
    select,
    shots_of,
)
from metabone.report.run_folder import Run
from metabone.report.words import shots_in_words

_LONGEST_NAME = 9
_MOST_LINES = 8
_NORM_SENTENCES = {
    "inductive": (
        "Inductive batch norm: statistics come from the labelled images alone, so what is "
        "answered for one image does not depend on which others are asked."
    ),
    "transductive": (
        "Transductive batch norm, as published MAML code has it: statistics come from the "
        "batch at hand, so the images asked together see each other."
    ),
    RUNNING: (
        "Running batch norm, as ProtoNet and R2-D2 are published: statistics were kept while "
        "training, on other classes."
    ),
    WITH_SUPPORT: (
        "Batch norm of each query with the support, as Reptile is published: statistics come from "
        "the labelled images and the one that is asked."
    ),
}


def results(run: Run, show: Presentation) -> str:
    """The table of the first batch-norm mode (inductive), what meta gains, and the plot."""
    norms = norms_of(run.result)
    if not norms or target_tables.targets_of(run.result):
        return ""
    label, norm = data_label(run.result, show.noun), norms[0]
    first = result_tables.first_draws_table(run.result, norm, show)
    stages = page.table(film_tables.stages_table(run.result, norm, show), label)
    single = len(readings_of(run.result, norm)) == 1
    return page.section(
        "Results",
        page.paragraph(_NORM_SENTENCES.get(norm, "")),
        page.table(result_tables.results_table(run.result, norm, show), label),
        stages if single else page.details("Errors in stages and kappas by shots", stages),
        page.details("The first five draws alone", page.table(first, label)),
        page.table(result_tables.gains_table(run.result, norm, show), label),
        _all_over_shots(run, show, norm),
    )


def targets(run: Run, show: Presentation) -> str:
    """A table a set of images, where learners were measured on several."""
    label = data_label(run.result, show.noun)
    tables = target_tables.target_tables(run.result)
    return page.section("Results", *(page.table(table, label) for table in tables))


def ranking(run: Run, show: Presentation) -> str:
    """Learners on the same tasks from the best down, if the run ranks them."""
    table = ranked_tables.ranking_table(run.result)
    if table is None:
        return ""
    return page.section("Ranking", page.table(table, data_label(run.result, show.noun)))


def other_norms(run: Run, show: Presentation) -> str:
    """The same table in every other batch-norm mode."""
    label = data_label(run.result, show.noun)
    return "\n".join(
        page.section(
            f"Results, {norm}" if norm else "Results without batch norm",
            page.paragraph(_NORM_SENTENCES.get(norm, "")),
            page.table(result_tables.results_table(run.result, norm, show), label),
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
    largest = max(shots_of(found), default=None)
    every = distinct(found, "learning", "model")
    ranked = best_rows(readings_of(run.result, norm))
    shown = leading_arms(
        [r for r in ranked if (r["learning"], r["model"]) in every], film_tables.MOST_ARMS
    )
    if len(every) > film_tables.MOST_ARMS:
        found = of_arms(found, shown)
    label = data_label(run.result, show.noun)
    names = [str(name) for name in run.result.get("class_names", ())]
    charts = []
    for arm in select(found, shots=largest):
        caption = f"{arm.get('learning', '')} {arm.get('model', '')}".strip()
        if largest is not None:
            caption += f", {shots_in_words(largest)}"
        if arm.get("unanswered"):
            caption += f"; {arm['unanswered']:,} not answered"
        charts.append(page.figure(_matrix(arm["matrix"], names, caption), caption, label))
    explanation = (
        "A row is the true class, a column the answer. Each cell has its share of the row and, "
        "small, the count over all draws; the diagonal is right."
    )
    return page.section("Confusions", page.paragraph(explanation), page.grid(*charts))


def short_names(names: list[str]) -> list[str]:
    """Class names for narrow places: without the words that all share, or numbers if still long.

    Example:
      >>> short_names(["SMI 1-2", "SMI 3-4"])
      ['1-2', '3-4']
      >>> short_names(["bone age < 84 months", "bone age 84 to 114 months"])
      ['< 84', '84 to 114']
      >>> short_names(["scaphoid fracture", "lunate"])
      ['1', '2']
    """
    split = [name.split(" ") for name in names]
    for end in (0, -1):
        while (
            len(names) > 1
            and all(len(parts) > 1 for parts in split)
            and len({parts[end] for parts in split}) == 1
        ):
            for parts in split:
                del parts[end]
    short = [" ".join(parts) for parts in split]
    if max(map(len, short), default=0) > _LONGEST_NAME:
        return [str(number) for number in range(1, len(names) + 1)]
    return short


def colour_of(learning: str, rows: Sequence[Row]) -> int:
    """Index of a learner's colour: meta and base have theirs in every chart of every report."""
    others = [name for name in distinct(rows, "learning") if name not in ("meta", "base")]
    return ["meta", "base", *others].index(learning)


def chance_level(run: Run, row: Row) -> float | None:
    """Level of guessing in the scale of the plots, where it is known."""
    chance = chance_of(run.result, row)
    return None if chance is None else chance * scale_of(row["metric"]).factor


def looks_of(arms: Sequence[Arm], rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Colour and style of each line of a chart, by learner and by model, no two alike.

    Args:
      arms: at most as many as there are colours times styles.
      rows: whose learners have colours.

    Returns:
      One pair an arm; colours and styles repeat after `plots.COLOURS` and `plots.STYLES`.
    """
    models = distinct(rows, "model")
    taken: list[tuple[int, int]] = []
    for learning, model in arms:
        colour, style = colour_of(learning, rows) % plots.COLOURS, models.index(model)
        taken.append(
            next(
                look
                for step in range(plots.COLOURS * plots.STYLES)
                if (
                    look := (
                        (colour + step // plots.STYLES) % plots.COLOURS,
                        (style + step) % plots.STYLES,
                    )
                )
                not in taken
            )
        )
    return taken


def _all_over_shots(run: Run, show: Presentation, norm: str | None) -> str:
    """A chart of each way to hear regions, of the same learners with the same looks."""
    readings = readings_of(run.result, norm)
    every = best_rows(readings)
    if len(shots_of(every)) < 2:
        return ""
    arms = leading_arms(every, _MOST_LINES)
    chosen = ""
    if len(arms) < len(distinct(every, "learning", "model")):
        chosen = " Learners of the paper and the best others; the table has all."
    measured = {
        name: [row for row in of_arms(rows, arms) if row.get("mean") is not None]
        for name, rows in readings.items()
    }
    if len(measured) == 1:
        return _over_shots(run, show, norm, measured["vote"], arms, "", chosen)
    ends = [row["mean"] + (row.get("ci95") or 0.0) for rows in measured.values() for row in rows]
    charts = [
        _over_shots(run, show, norm, rows, arms, f" by {READINGS[name]}", chosen, max(ends))
        for name, rows in measured.items()
    ]
    return page.grid(*charts)


def _over_shots(
    run: Run,
    show: Presentation,
    norm: str | None,
    rows: Sequence[Row],
    arms: Sequence[Arm],
    by: str,
    chosen: str,
    top: float | None = None,
) -> str:
    if not rows:
        return ""
    scale = scale_of(rows[0]["metric"])
    looks = looks_of(arms, main_rows(run.result, norm))
    lines = []
    for (learning, model), (colour, style) in zip(arms, looks, strict=True):
        own = sorted(select(rows, learning=learning, model=model), key=lambda r: r["shots"])
        if not own:
            continue
        lines.append(
            plots.Line(
                name=f"{learning} {model}",
                colour=colour,
                style=style,
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
        alt=f"{scale.heading}{by}, over shots. {described}.",
        chance=chance_level(run, rows[0]),
        percent=scale.unit == "%",
        top=None if top is None else 1.04 * top * scale.factor,
    )
    caption = f"{scale.name}{by} over shots, with 95 % intervals; {norm or 'no'} batch norm."
    return page.figure(chart, caption + chosen, data_label(run.result, show.noun), css="wide")


def _matrix(matrix: list[list[int]], names: list[str], caption: str) -> str:
    names = names if len(names) == len(matrix) else [str(i + 1) for i in range(len(matrix))]
    headers = short_names(names)
    if headers[0] == "1" and headers != names:
        # Numbers keep the headers on one line; the rows say what is what.
        names = [f"{header} {name}" for header, name in zip(headers, names, strict=True)]
    else:
        names = headers
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
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
        '<div class="scroll">'
        f'<table class="matrix" aria-label="Confusion matrix, {escape(caption)}">'
        f'<thead><tr><th scope="col">true</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )

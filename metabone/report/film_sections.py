"""Sections about regions of a film: how well each is read, and what they voted."""

from html import escape

from metabone.report import film_tables, page, pictures, plots
from metabone.report.published import MIN_KANG_2018_TABLE_3
from metabone.report.readings import READINGS, leading_arms
from metabone.report.result import (
    Presentation,
    data_label,
    norms_of,
    region_rows,
    scale_of,
    select,
    shots_of,
)
from metabone.report.run_folder import Films, Run
from metabone.report.sections import chance_level, colour_of, short_names
from metabone.report.words import listed, shots_in_words

_MOST_FILMS = 12
_FILM_SIDE = 384
_RIGHT, _WRONG = "#35c2ff", "#ff8a1f"


def regions(run: Run, show: Presentation) -> str:
    """Every region alone and all together, as bars an arm and as a table."""
    norms = norms_of(run.result)
    rows = region_rows(run.result, norms[0]) if norms else []
    if not rows:
        return ""
    shots = shots_of(rows)[-1]
    label = data_label(run.result, show.noun)
    return page.section(
        f"Regions, {shots_in_words(shots)}",
        _bars(run, show, select(rows, shots=shots), label),
        page.paragraph(_region_list(run)),
        page.table(film_tables.region_table(run.result, norms[0], shots, show), label),
        page.table(film_tables.tie_table(run.result, show), label),
        page.paragraph(
            "A tie falls to the class with the larger probability summed over regions, then to "
            "the lower class.",
            "note",
        )
        if film_tables.tie_table(run.result, show)
        else "",
    )


def films(run: Run, show: Presentation) -> str:
    """Example films with the boxes that were read, coloured by whether each voted right."""
    if run.films is None or not len(run.films.films):
        return ""
    label = data_label(run.result, show.noun)
    shown = min(len(run.films.films), _MOST_FILMS)
    cards = [_card(run.films, i, run, label) for i in range(shown)]
    whole = run.films.boxes.shape[1] == 1
    explanation = (
        "The whole film is read as one region; the label is the class it was taken for."
        if whole
        else "Boxes are the regions that were read; the label on each is the class it voted for."
    )
    names = [str(name) for name in run.result.get("class_names", ())]
    numbers = short_names(names)
    if numbers[:1] == ["1"] and numbers != names:
        said = (f"{number} {name}" for number, name in zip(numbers, names, strict=True))
        explanation += f" Classes: {'; '.join(said)}."
    key = (
        '<p class="key note"><span><i class="right"></i>right (solid)</span>'
        '<span><i class="wrong"></i>wrong (dashed)</span></p>'
    )
    return page.section(
        "Example films" if show.noun == "films" else "Examples",
        page.paragraph(explanation),
        key,
        page.grid(*cards, small=True),
    )


def _region_list(run: Run) -> str:
    names = [str(name) for name in run.result.get("region_names", ())]
    numbered = "; ".join(f"{i}: {name}" for i, name in enumerate(names, 1))
    return f"Regions: {numbered}." if names else ""


def _region_names(run: Run, numbered: list[int]) -> list[str]:
    """What regions are called, their numbers where the run has no names for them."""
    names = [str(name) for name in run.result.get("region_names", ())]
    known = all(1 <= number <= len(names) for number in numbered)
    return [names[number - 1] if known else f"region {number}" for number in numbered]


def _bars(run: Run, show: Presentation, rows: list, label: str) -> str:
    scale = scale_of(rows[0]["metric"])
    chance = chance_level(run, rows[0])
    together = [name for name in READINGS if select(rows, region=name)]
    numbered = sorted({r["region"] for r in rows} - set(READINGS))
    reference = show.reference
    published = reference.regions if reference and len(reference.regions) == len(numbered) else ()
    highest = max(r["mean"] + (r.get("ci95") or 0.0) for r in rows if r.get("mean") is not None)
    top = scale.factor * max(highest, *published, 0.0) * 1.06
    names = [*_region_names(run, numbered), *together]
    paper = {model for _, model in MIN_KANG_2018_TABLE_3}
    own_order, charts = (*numbered, *together), []
    arms = leading_arms([r for r in rows if r["region"] in together], film_tables.MOST_ARMS)
    for learning, model in arms:
        own = {r["region"]: r for r in select(rows, learning=learning, model=model)}
        found = [own[r] for r in own_order if own.get(r, {}).get("mean") is not None]
        if len(found) != len(own_order):
            continue
        means = [r["mean"] * scale.factor for r in found]
        figures = ", ".join(f"{n} {m:.1f}" for n, m in zip(names, means, strict=True))
        chart = plots.region_bars(
            [name.replace(", ", ",\n", 1) for name in names],
            means,
            [(r.get("ci95") or 0.0) * scale.factor for r in found],
            [value * scale.factor for value in published if model in paper],
            scale.heading,
            alt=f"{scale.heading} of regions, {learning} {model}: {figures}.",
            colour=colour_of(learning, rows),
            chance=chance,
            top=top,
            apart=len(together),
        )
        charts.append(page.figure(chart, f"{learning} {model}", label))
    if not charts:
        return ""
    last = listed([READINGS[name] for name in together])
    legend = f"Bars: each region alone and, set apart, the {last}, with 95 % intervals."
    if chance is not None:
        legend += f" Dotted: chance, {chance:.{scale.decimals}f} {scale.unit}."
    if published and reference:
        legend += (
            f" Diamonds: {reference.name}, {reference.caveat}; {reference.regions_caveat}, so the "
            "same diamonds stand in every chart of its models."
        )
    return page.grid(*charts) + page.paragraph(legend, "note")


def _card(shown: Films, i: int, run: Run, label: str) -> str:
    names = [str(name) for name in run.result.get("class_names", ())]
    short = short_names(names)

    def name(which: int, names: list[str] = names) -> str:
        return names[which] if 0 <= which < len(names) else str(which)

    film, truth, answer = shown.films[i], int(shown.truth[i]), int(shown.votes[i])
    votes = [int(v) for v in shown.region_votes[i]]
    height, width = film.shape
    single = len(votes) == 1
    boxes = "".join(
        _box(box, name(v, short), v == truth, (width, height))
        for box, v in zip(shown.boxes[i].tolist(), votes, strict=True)
    )
    verdict = "right" if answer == truth else "wrong"
    caption = f"True {name(truth)}, read as {name(answer)}: {verdict}"
    if not single:
        caption += f"; {sum(v == truth for v in votes)} of {len(votes)} regions right"
    alt = f"Film {i + 1}. {caption}. Votes: {', '.join(name(v) for v in votes)}."
    html = (
        f'<svg class="film" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">'
        f'<image href="{pictures.jpeg_uri(film, _FILM_SIDE)}" width="{width}" height="{height}"/>'
        f"{boxes}</svg>"
    )
    mark = "\N{CHECK MARK}" if answer == truth else "\N{BALLOT X}"
    return page.figure(html, f"{mark} {caption}.", label)


def _box(box: list[int], name: str, right: bool, size: tuple[int, int]) -> str:
    """A rectangle with its vote above it, or inside where there is no room above."""
    unit = size[0] / 512  # so that lines and type look alike on films of any size
    inset = 3 * unit
    x0, y0 = max(box[0], inset), max(box[1], inset)
    x1, y1 = min(box[2], size[0] - inset), min(box[3], size[1] - inset)
    colour, dash = (_RIGHT, "") if right else (_WRONG, f' stroke-dasharray="{9 * unit:g}"')
    above = y0 - 7 * unit
    y = above if above > 22 * unit else y0 + 26 * unit
    return (
        f'<rect x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}" fill="none" '
        f'stroke="{colour}" stroke-width="{4 * unit:g}"{dash}/>'
        f'<text x="{x0 + (0 if y == above else 8 * unit):g}" y="{y:g}" fill="{colour}" '
        f'font-size="{24 * unit:g}" font-weight="600" stroke="#000" stroke-width="{5 * unit:g}" '
        f'paint-order="stroke">{escape(name)}</text>'
    )

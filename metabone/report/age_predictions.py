"""What bone age a model reads on new films, as one page that needs no other file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from metabone.report import page
from metabone.report.film_page import (
    CAUTION,
    FILM_SIDE,
    MAP_SIDE,
    MOST_IN_FULL,
    STYLE,
    clean,
    file_name,
    img,
    text,
)
from metabone.report.map_pictures import overlay
from metabone.report.pictures import jpeg_uri, overlay_uri

_STYLE = """
.ages { position: relative; height: 1.1rem; background: var(--wash); margin: .2rem 0 .2rem; }
.ages i { position: absolute; top: 0; bottom: 0; left: calc(var(--from) * 1%);
  width: calc(var(--wide) * 1%); background: var(--c0); opacity: .35;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.ages b { position: absolute; top: 0; bottom: 0; left: calc(var(--at) * 1% - 1px); width: 3px;
  background: var(--c0); -webkit-print-color-adjust: exact; print-color-adjust: exact; }
"""
_SEXES = {"F": "female", "M": "male", "": "not known"}


class AgePage(NamedTuple):
    """What there is to show about one film.

    Attributes:
      file: its name.
      image: `[H, W]` or `[H, W, 3]` uint8, the film as people see it.
      months: that were read; NaN for a film that was not.
      interval: (low, high) months; None where none is claimed.
      sex: `F`, `M`, or empty where it is not known.
      warning: why the answer should not be relied on; empty where nothing is wrong.
      seen: `[h, w]` uint8, as the model saw it, below the map; None without one.
      map: `[h, w]` months that each place adds to the answer or, below 0, takes from it.
      moves: region to by how many months the answer changes when it is covered, of a film that is
        read by regions.
    """

    file: str
    image: np.ndarray
    months: float
    interval: tuple[float, float] | None
    sex: str
    warning: str
    seen: np.ndarray | None = None
    map: np.ndarray | None = None
    moves: Mapping[str, float] = MappingProxyType({})


def write_age_predictions(
    path: str | os.PathLike[str],
    *,
    title: str,
    films: Sequence[AgePage],
    model: Mapping[str, str],
    level: float | None,
) -> None:
    """Writes a page with every film's bone age, and the first hundred films in full.

    Args:
      path: of the page; its folder exists.
      title: of the page.
      films: in the order in which they are shown.
      model: what it is and how good, heading to sentence.
      level: share of films whose intervals hold the true age; None where none are claimed.
    """
    shown = films[:MOST_IN_FULL]
    rest = ""
    if len(films) > len(shown):
        rest = (
            f"The first {len(shown)} of {len(films)} films are shown in full, so that the page "
            "stays small enough to mail; the table above has them all."
        )
    oldest = max((film.interval or (0, film.months))[1] for film in films) if films else 0.0
    # The axis ends at a full year that all answers are within.
    top = 12 * np.ceil(max(240.0, np.nan_to_num(oldest)) / 12)
    html = page.document(
        clean(title),
        page.paragraph(_summary(films), "answer"),
        page.paragraph(CAUTION, "caution"),
        page.section("The model", page.definitions({clean(k): clean(v) for k, v in model.items()})),
        page.section(
            "All films", _table(films, len(shown)), page.paragraph(_reading(level), "note")
        ),
        page.section(
            "Film by film",
            page.paragraph(rest),
            *(_film(i, film, top) for i, film in enumerate(shown, 1)),
        ),
        style=STYLE + _STYLE,
    )
    page.write(Path(path), html)


def in_years(months: float) -> str:
    """An age as people say it, one below birth as birth.

    >>> in_years(123.4), in_years(11.6), in_years(-5.0)
    ('10 years 3 months', '1 year', '0 months')
    """
    years, left = divmod(max(round(months), 0), 12)
    parts = [
        f"{count} {unit}{'s' * (count != 1)}"
        for count, unit in ((years, "year"), (left, "month"))
        if count
    ]
    return " ".join(parts) or "0 months"


def _summary(films: Sequence[AgePage]) -> str:
    marked = sum(bool(film.warning) for film in films)
    count = "1 film was read." if len(films) == 1 else f"{len(films)} films were read."
    if not marked:
        return f"{count} None had to be marked."
    return f"{count} {marked} of them {'is' if marked == 1 else 'are'} marked."


def _reading(level: float | None) -> str:
    if level is None:
        return "No interval is given: too few films were held out to say how far answers are off."
    return (
        f"Interval: holds the true bone age in {100 * level:g} of 100 films like those that "
        "half widths were calibrated on, of either sex; of a film whose sex is not known, in as "
        "many of both sexes together."
    )


def _table(films: Sequence[AgePage], shown: int) -> str:
    lines = []
    for i, film in enumerate(films, 1):
        name = file_name(film.file)
        if i <= shown:
            name = f'<a href="#film-{i}">{name}</a>'
        lines.append(
            f'<tr><th scope="row" class="label file">{name}</th><td>{film.months:.1f}</td>'
            f'<td class="words">{text(in_years(film.months))}</td>'
            f"<td>{_interval(film)}</td>"
            f'<td class="words">{_SEXES[film.sex]}</td>'
            f'<td class="words mark">{text(film.warning)}</td></tr>\n'
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All films"><table>'
        '<thead><tr><th scope="col" class="label">film</th><th scope="col">months</th>'
        '<th scope="col" class="words">that is</th><th scope="col">interval, months</th>'
        '<th scope="col" class="words">sex</th><th scope="col" class="words">marked</th></tr>'
        f"</thead>\n<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _interval(film: AgePage) -> str:
    return "" if film.interval is None else page.plain("{:.0f} to {:.0f}".format(*film.interval))


def _film(number: int, film: AgePage, top: float) -> str:
    warning = (
        f'<p class="warning"><strong>\N{WARNING SIGN}</strong> {text(film.warning)}</p>'
        if film.warning
        else ""
    )
    picture = page.figure(img(jpeg_uri(film.image, FILM_SIDE), f"Film {clean(film.file)}"), "")
    told = f", {_interval(film)} months" if film.interval else ""
    return (
        f'<article class="film-page" id="film-{number}">\n<h3>{file_name(film.file)}</h3>\n'
        f'<p class="read">Bone age <strong>{film.months:.1f} months</strong> '
        f"({text(in_years(film.months))}){told}; sex {_SEXES[film.sex]}</p>\n{warning}"
        f'<div class="film-parts">{picture}<div class="reading">{_axis(film, top)}</div>'
        f"{_map(film)}{_moves(film)}</div>\n</article>"
    )


def _axis(film: AgePage, top: float) -> str:
    low, high = film.interval or (film.months, film.months)
    start, wide, at = (100 * value / top for value in (low, high - low, film.months))
    return (
        f'<div class="ages" role="img" aria-label="{film.months:.0f} of {top:.0f} months">'
        f'<i style="--from:{start:.1f};--wide:{wide:.1f}"></i><b style="--at:{at:.1f}"></b></div>'
        f'<p class="note">0 to {top:.0f} months</p>'
    )


def _map(film: AgePage) -> str:
    """The film as the model saw it, under what made the answer older and what made it younger."""
    if film.map is None or film.seen is None:
        return ""
    strongest = float(np.abs(film.map).max())
    if not strongest > 0:
        return '<p class="note">No place of the film makes the answer older or younger.</p>'
    heat = img(overlay_uri(overlay(film.map / strongest)), "", "heat")
    under = img(jpeg_uri(film.seen, MAP_SIDE, 75), f"What {clean(film.file)} is read from")
    caption = "As the model sees it; orange makes the answer older, blue younger (Grad-CAM)."
    return page.figure(f'<div class="laid">{under}{heat}</div>', caption)


def _moves(film: AgePage) -> str:
    """What each region does to the answer, the one that matters most first."""
    if not film.moves:
        return ""
    lines = "".join(
        f'<tr><th scope="row" class="label">{text(name)}</th><td>{move:+.1f}</td></tr>\n'
        for name, move in sorted(film.moves.items(), key=lambda item: -abs(item[1]))
    )
    return (
        '<div><p class="note">What mattered: by how many months the answer changes when a region '
        'is covered by its mean grey.</p>\n<table class="without"><thead><tr>'
        '<th scope="col" class="label">without</th><th scope="col">months</th></tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )

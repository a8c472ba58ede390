"""What a model reads in new films, as one page that needs no other file."""

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
from metabone.report.pictures import heat_uri, jpeg_uri
from metabone.report.result import scale_of
from metabone.report.words import listed

_MOST_BARS = 10
_NEAREST_SIDE = 112
_LEAST_DROP = 0.02


class FilmPage(NamedTuple):
    """What there is to show about one film.

    Attributes:
      file: its name.
      image: [H, W] or [H, W, 3] uint8, the film as it was read.
      answer: the class that it was taken for.
      probabilities: one a class, in the order of the classes, summing to 1.
      conformal: classes of its 90 % set; may be empty.
      warning: why the answer should not be relied on, a sentence; empty where nothing is wrong.
      nearest: (image uint8, label, file name) of the labelled films most like it, nearest first.
      occlusion: [h, w] over the whole image, by how much the answer's probability falls where the
        film is covered; None where it was not asked for.
      drops: region to by how much the answer's probability falls without it, of a film that is read
        by regions.
    """

    file: str
    image: np.ndarray
    answer: str
    probabilities: Sequence[float]
    conformal: Sequence[str]
    warning: str
    nearest: Sequence[tuple[np.ndarray, str, str]]
    occlusion: np.ndarray | None
    drops: Mapping[str, float] = MappingProxyType({})


def write_predictions(
    path: str | os.PathLike[str],
    *,
    title: str,
    classes: Sequence[str],
    films: Sequence[FilmPage],
    model: Mapping[str, str],
) -> None:
    """Write a page with every film's answer, and the first hundred films in full.

    Args:
      path: of the page; its folder exists.
      title: of the page.
      classes: names, in the order of the probabilities.
      films: in the order in which they are shown.
      model: what was adapted to what, and how good it is beside chance, heading to sentence.

    Raises:
      ValueError: a film has not one probability a class, or an image or map of another shape.
    """
    for film in films:
        _check(film, classes)
    shown = films[:MOST_IN_FULL]
    rest = ""
    if len(films) > len(shown):
        rest = (
            f"The first {len(shown)} of {len(films)} films are shown in full, so that the page "
            "stays small enough to mail; the table above has them all."
        )
    html = page.document(
        clean(title),
        page.paragraph(_summary(films), "answer"),
        page.paragraph(CAUTION, "caution"),
        page.section("The model", page.definitions({clean(k): clean(v) for k, v in model.items()})),
        page.section("All films", _table(films, len(shown)), page.paragraph(_reading(), "note")),
        page.section(
            "Film by film",
            page.paragraph(rest),
            *(_film(i, film, classes) for i, film in enumerate(shown, 1)),
        ),
        style=STYLE,
    )
    page.write(Path(path), html)


def _check(film: FilmPage, classes: Sequence[str]) -> None:
    if len(film.probabilities) != len(classes):
        raise ValueError(
            f"{film.file}: {len(film.probabilities)} probabilities for {len(classes)} classes"
        )
    if film.occlusion is not None and film.occlusion.ndim != 2:
        raise ValueError(f"{film.file}: occlusion {film.occlusion.shape}, expected [h, w]")


def _summary(films: Sequence[FilmPage]) -> str:
    marked = sum(bool(film.warning) for film in films)
    count = "1 film was read." if len(films) == 1 else f"{len(films)} films were read."
    if not marked:
        return f"{count} None had to be marked."
    if len(films) == 1:
        return f"{count} It is marked: do not rely on its answer."
    if marked == 1:
        return f"{count} 1 of them is marked: do not rely on its answer."
    return f"{count} {marked} of them are marked: do not rely on their answers."


def _reading() -> str:
    return (
        "Probability: how sure the model is of its answer, as calibrated on the labelled films. "
        "In 9 of 10: the classes that hold the true one in 9 of 10 films like the labelled ones."
    )


def _table(films: Sequence[FilmPage], shown: int) -> str:
    lines = []
    for i, film in enumerate(films, 1):
        name = file_name(film.file)
        if i <= shown:
            name = f'<a href="#film-{i}">{name}</a>'
        lines.append(
            f'<tr><th scope="row" class="label file">{name}</th>'
            f'<td class="words">{_answer(film)}</td>'
            f"<td>{_percent(max(film.probabilities))}</td>"
            f'<td class="words">{text(listed(list(film.conformal), "or") or "none fits")}</td>'
            f'<td class="words mark">{text(film.warning)}</td></tr>\n'
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="All films"><table>'
        '<thead><tr><th scope="col" class="label">film</th><th scope="col" class="words">read as'
        '</th><th scope="col">probability</th><th scope="col" class="words">in 9 of 10</th>'
        f'<th scope="col" class="words">marked</th></tr></thead>\n<tbody>{"".join(lines)}</tbody>'
        "</table></div>"
    )


def _answer(film: FilmPage) -> str:
    mark = '<span class="mark">\N{WARNING SIGN}</span> ' if film.warning else ""
    return f"{mark}{text(film.answer)}"


def _film(number: int, film: FilmPage, classes: Sequence[str]) -> str:
    warning = (
        f'<p class="warning"><strong>\N{WARNING SIGN} Do not rely on this answer.</strong> '
        f"{text(film.warning)}</p>"
        if film.warning
        else ""
    )
    picture = page.figure(img(jpeg_uri(film.image, FILM_SIDE), f"Film {clean(film.file)}"), "")
    reading = f"{_bars(film, classes)}<p>{text(_set_in_words(film, classes))}</p>{_nearest(film)}"
    return (
        f'<article class="film-page" id="film-{number}">\n<h3>{file_name(film.file)}</h3>\n'
        f'<p class="read">Read as <strong>{text(film.answer)}</strong>, '
        f"{_percent(max(film.probabilities))}</p>\n{warning}"
        f'<div class="film-parts">{picture}<div class="reading">{reading}</div>'
        f"{_map(film)}{_without(film)}</div>"
        "\n</article>"
    )


def _bars(film: FilmPage, classes: Sequence[str]) -> str:
    """A bar a class in the order of the classes; of very many classes the likeliest."""
    likeliest = np.argsort(-np.asarray(film.probabilities, np.float64), kind="stable")
    kept = sorted(likeliest[:_MOST_BARS].tolist())
    lines = []
    for i in kept:
        share = 100 * float(film.probabilities[i])
        css = ' class="top"' if classes[i] == film.answer else ""
        lines.append(
            f"<dt{css}>{text(classes[i])}</dt>"
            f'<dd class="track{" top" if css else ""}"><i style="--p:{share:.1f}"></i></dd>'
            f'<dd class="percent">{_percent(film.probabilities[i])}</dd>'
        )
    rest = [film.probabilities[i] for i in likeliest[_MOST_BARS:]]
    more = (
        f'<p class="note">The other {len(rest)} classes together: {_percent(sum(rest))}</p>'
        if rest
        else ""
    )
    return f'<dl class="bars">{"".join(lines)}</dl>{more}'


def _set_in_words(film: FilmPage, classes: Sequence[str]) -> str:
    """The conformal set at 90 % as a sentence."""
    if not film.conformal:
        return "No class fits at 90 %: the film is unlike the labelled films of every class."
    if len(film.conformal) == len(classes):
        return "At 90 % every class is possible: the model cannot tell this film's class."
    if len(film.conformal) == 1:
        return f"At 90 % it is {film.conformal[0]} alone."
    return f"At 90 % it is one of {listed(list(film.conformal), 'or')}."


def _nearest(film: FilmPage) -> str:
    if not film.nearest:
        return ""
    cards = "".join(
        f"<figure>{img(jpeg_uri(image, _NEAREST_SIDE), f'Labelled film {clean(name)}')}"
        f"<figcaption><strong>{text(label)}</strong><br>{file_name(name)}</figcaption></figure>"
        for image, label, name in film.nearest
    )
    return (
        '<p class="note">The labelled films most like it, to the model, and their labels:</p>'
        f'<div class="nearest">{cards}</div>'
    )


def _map(film: FilmPage) -> str:
    """The film under what mattered, or a sentence where no place did."""
    if film.occlusion is None:
        return ""
    strongest = float(np.nanmax(film.occlusion))
    if not strongest >= _LEAST_DROP:
        return (
            '<p class="note">No single place mattered: wherever the film is covered, the '
            f"probability of the answer falls by less than {100 * _LEAST_DROP:.0f} points.</p>"
        )
    caption = (
        f"Where it mattered: covering the warmest place lowers the probability of {film.answer} "
        f"by {100 * strongest:.0f} points."
    )
    heat = img(heat_uri(film.occlusion / strongest), "", "heat")
    under = img(jpeg_uri(film.image, MAP_SIDE, 75), f"Where it mattered in {clean(film.file)}")
    return page.figure(f'<div class="laid">{under}{heat}</div>', clean(caption))


def _without(film: FilmPage) -> str:
    """What each region does to the answer, the one that matters most first."""
    if not film.drops:
        return ""
    lines = "".join(
        f'<tr><th scope="row" class="label">{text(name)}</th><td>{-100 * drop:+.0f}</td></tr>\n'
        for name, drop in sorted(film.drops.items(), key=lambda item: -item[1])
    )
    caption = (
        f"What mattered: by how many points the probability of {text(film.answer)} changes when "
        "one region is not looked at."
    )
    return (
        f'<div><p class="note">{caption}</p>\n<table class="without"><thead><tr>'
        '<th scope="col" class="label">without</th><th scope="col">points</th></tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _percent(probability: float) -> str:
    return f"{scale_of('accuracy').figure(float(probability))}&nbsp;%"

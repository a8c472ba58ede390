"""What a model reads in new films, as one page that needs no other file."""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from metabone.report import page
from metabone.report.pictures import heat_uri, jpeg_uri
from metabone.report.result import scale_of
from metabone.report.words import listed

_MOST_IN_FULL = 100
_MOST_BARS = 10
_FILM_SIDE, _MAP_SIDE, _NEAREST_SIDE = 320, 256, 112
_LEAST_DROP = 0.02
_TURNING = ("LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI")
_CAUTION = (
    "This is no medical device. It is made for research and teaching, was not tested on patients, "
    "and must not be used to diagnose or to treat anyone."
)

_STYLE = """
.caution { border: 1px solid var(--line); border-left: .3rem solid var(--soft);
  padding: .6rem 1rem; max-width: none; }
.film-page { border-top: 1px solid var(--line); padding: 1.4rem 0 1.6rem; break-inside: avoid; }
.film-page h3 { margin: 0 0 .2rem; overflow-wrap: anywhere; }
.film-page .read { font-size: 1.1rem; margin: 0 0 .9rem; }
.film-parts { display: grid; gap: 1.2rem 1.6rem;
  grid-template-columns: minmax(0, 15rem) minmax(0, 1fr) minmax(0, 12rem); align-items: start; }
.film-page img { display: block; width: 100%; height: auto; background: #000; }
.laid { position: relative; }
.film-page .laid .heat { position: absolute; inset: 0; width: 100%; height: 100%;
  background: none; }
.bars { display: grid; grid-template-columns: minmax(0, max-content) minmax(3rem, 1fr) 3.6rem;
  gap: .3rem .7rem; align-items: center; margin: 0 0 .8rem; font-size: .92rem; }
.bars dt { color: var(--ink); overflow-wrap: anywhere; }
.bars dd { font-variant-numeric: tabular-nums; }
.bars dd:last-of-type, .bars .percent { text-align: right; }
.bars .track { height: .95rem; background: var(--wash); }
.bars .track i { display: block; height: 100%; width: calc(var(--p) * 1%); background: var(--c0);
  opacity: .45; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.bars .top { font-weight: 600; } .bars .top i { opacity: 1; }
.nearest { display: grid; gap: .6rem; margin: .4rem 0 0;
  grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); max-width: 24rem; }
.nearest figcaption { font-size: .8rem; overflow-wrap: anywhere; }
.without { width: 100%; font-size: .85rem; }
.without th.label { white-space: normal; min-width: 0; }
.mark { color: var(--c1); }
td.words, th.words { text-align: left; white-space: normal; min-width: 9rem; }
th.file { min-width: 9rem; max-width: 18rem; white-space: normal; overflow-wrap: anywhere; }
@media (max-width: 48rem) { .film-parts { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
  .film-parts .reading { grid-column: 1 / -1; grid-row: 2; } }
@media print { table { break-inside: auto; } tr { break-inside: avoid; }
  .film-parts { grid-template-columns: 28% minmax(0, 1fr) 24%; }
  .film-parts .reading { grid-column: auto; grid-row: auto; } }
"""


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
    shown = films[:_MOST_IN_FULL]
    rest = ""
    if len(films) > len(shown):
        rest = (
            f"The first {len(shown)} of {len(films)} films are shown in full, so that the page "
            "stays small enough to mail; the table above has them all."
        )
    html = page.document(
        _clean(title),
        page.paragraph(_summary(films), "answer"),
        page.paragraph(_CAUTION, "caution"),
        page.section(
            "The model", page.definitions({_clean(k): _clean(v) for k, v in model.items()})
        ),
        page.section("All films", _table(films, len(shown)), page.paragraph(_reading(), "note")),
        page.section(
            "Film by film",
            page.paragraph(rest),
            *(_film(i, film, classes) for i, film in enumerate(shown, 1)),
        ),
        style=_STYLE,
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
        name = _file(film.file)
        if i <= shown:
            name = f'<a href="#film-{i}">{name}</a>'
        lines.append(
            f'<tr><th scope="row" class="label file">{name}</th>'
            f'<td class="words">{_answer(film)}</td>'
            f"<td>{_percent(max(film.probabilities))}</td>"
            f'<td class="words">{_text(listed(list(film.conformal), "or") or "none fits")}</td>'
            f'<td class="words mark">{_text(film.warning)}</td></tr>\n'
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
    return f"{mark}{_text(film.answer)}"


def _film(number: int, film: FilmPage, classes: Sequence[str]) -> str:
    warning = (
        f'<p class="warning"><strong>\N{WARNING SIGN} Do not rely on this answer.</strong> '
        f"{_text(film.warning)}</p>"
        if film.warning
        else ""
    )
    picture = page.figure(_img(jpeg_uri(film.image, _FILM_SIDE), f"Film {_clean(film.file)}"), "")
    reading = f"{_bars(film, classes)}<p>{_text(_set_in_words(film, classes))}</p>{_nearest(film)}"
    return (
        f'<article class="film-page" id="film-{number}">\n<h3>{_file(film.file)}</h3>\n'
        f'<p class="read">Read as <strong>{_text(film.answer)}</strong>, '
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
            f"<dt{css}>{_text(classes[i])}</dt>"
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
        f"<figure>{_img(jpeg_uri(image, _NEAREST_SIDE), f'Labelled film {_clean(name)}')}"
        f"<figcaption><strong>{_text(label)}</strong><br>{_file(name)}</figcaption></figure>"
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
    heat = _img(heat_uri(film.occlusion / strongest), "", "heat")
    under = _img(jpeg_uri(film.image, _MAP_SIDE, 75), f"Where it mattered in {_clean(film.file)}")
    return page.figure(f'<div class="laid">{under}{heat}</div>', _clean(caption))


def _without(film: FilmPage) -> str:
    """What each region does to the answer, the one that matters most first."""
    if not film.drops:
        return ""
    lines = "".join(
        f'<tr><th scope="row" class="label">{_text(name)}</th><td>{-100 * drop:+.0f}</td></tr>\n'
        for name, drop in sorted(film.drops.items(), key=lambda item: -item[1])
    )
    caption = (
        f"What mattered: by how many points the probability of {_text(film.answer)} changes when "
        "one region is not looked at."
    )
    return (
        f'<div><p class="note">{caption}</p>\n<table class="without"><thead><tr>'
        '<th scope="col" class="label">without</th><th scope="col">points</th></tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _img(uri: str, alt: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<img{kind} src="{uri}" alt="{escape(alt)}" loading="lazy" decoding="async">'


def _percent(probability: float) -> str:
    return f"{scale_of('accuracy').figure(float(probability))}&nbsp;%"


def _file(name: str) -> str:
    """A file's name, which may hold anything, apart from the text around it."""
    return f"<bdi>{escape(_clean(name))}</bdi>"


def _text(text: str) -> str:
    return page.plain(_clean(text))


def _clean(text: str) -> str:
    """Text without characters that no page can hold, or that turn the text after them around."""

    def bad(c: str) -> bool:
        return unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in _TURNING

    return "".join("\ufffd" if bad(c) else c for c in text)

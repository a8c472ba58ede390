"""All prepared hands small on one page, their points and regions drawn, to check them by eye."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.report import page
from metabone.report.pictures import jpeg_uri

_SIDE, _QUALITY = 168, 70

# No rule that a thousand films would make slow: those out of sight are not laid out.
_STYLE = """
main { max-width: none; }
.sheet { display: grid; gap: .8rem .6rem; align-items: end;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.sheet figure { content-visibility: auto; contain-intrinsic-size: 8.5rem 12rem; }
.sheet div { position: relative; background: #000; }
.sheet img, .sheet svg { display: block; width: 100%; height: auto; }
.sheet svg { position: absolute; inset: 0; height: 100%; fill: none; }
.sheet .points { stroke: #ffd400; stroke-width: 3; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.sheet .regions { stroke: #2ee6ff; stroke-width: 1; vector-effect: non-scaling-stroke; }
.sheet .by-hand .points { stroke: #ff5ad0; }
.sheet figcaption { font-size: .75rem; line-height: 1.3; overflow-wrap: anywhere; }
.sheet b { color: var(--ink); font-weight: 600; }
"""


class SheetFilm(NamedTuple):
    """A film as the page shows it.

    Attributes:
      name: of the film.
      image: `[H, W]` uint8.
      points: `[21, 2]` float `(x, y)` pixels.
      regions: `[R, 4, 2]` float `(x, y)` pixels, the corners of each region in turn.
      note: what to know of it, such as why it was refused.
      corrected: whether a person moved points.
    """

    name: str
    image: np.ndarray
    points: np.ndarray
    regions: np.ndarray
    note: str
    corrected: bool


def write_contact_sheet(
    path: Path,
    *,
    title: str,
    about: Mapping[str, str],
    usable: Iterable[SheetFilm],
    refused: Iterable[SheetFilm],
    unshown: Sequence[tuple[str, str]],
) -> None:
    """Writes the page, which needs no other file: about 10 kB a film.

    Args:
      path: of the page; its folder exists.
      title: of the page.
      about: heading to sentence, what was prepared by what.
      usable: films, taken one after the other, so that they need not be in memory at once.
      refused: those not to be used.
      unshown: name and reason of those that could not be read.
    """
    html = page.document(
        title,
        page.definitions(dict(about)),
        page.paragraph(
            "Look for yellow points beside their joints and for frames beside their growth plates; "
            "the least sure films come first. points.csv has the points, in pixels of "
            "films/NAME.png: change x and y there, and the same command draws this page anew, the "
            "points of changed films in pink.",
            "note",
        ),
        page.section("Not to be used", _sheet(refused), _listed(unshown)),
        page.section("Usable films", _sheet(usable)),
        style=_STYLE,
    )
    page.write(path, html)


def _sheet(films: Iterable[SheetFilm]) -> str:
    figures = "".join(map(_figure, films))
    return f'<div class="sheet">{figures}</div>' if figures else ""


def _figure(film: SheetFilm) -> str:
    height, width = film.image.shape
    points = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in film.points)
    regions = "".join(
        "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in corners) + "Z" for corners in film.regions
    )
    note = f"<br>{escape(film.note)}" if film.note else ""
    return (
        f"<figure{' class=by-hand' if film.corrected else ''}><div>"
        f'<img src="{jpeg_uri(film.image, _SIDE, _QUALITY)}" alt="">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        f'<path class="regions" d="{regions}"/><path class="points" d="{points}"/></svg></div>'
        f"<figcaption><b>{escape(film.name)}</b>{note}</figcaption></figure>\n"
    )


def _listed(films: Sequence[tuple[str, str]]) -> str:
    return page.definitions(dict(films)) if films else ""

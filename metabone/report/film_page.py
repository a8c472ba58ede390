"""Pieces of a page that shows films and what was read off them, one after the other."""

import unicodedata
from html import escape

from metabone.report import page

MOST_IN_FULL = 100
"""Films that a page shows in full."""

FILM_SIDE, MAP_SIDE = 320, 256
"""Longest sides of a film and of a map, in pixels."""

_TURNING = ("LRE", "RLE", "LRO", "RLO", "LRI", "RLI", "FSI")
CAUTION = (
    "This is no medical device. It is made for research and teaching, was not tested on patients, "
    "and must not be used to diagnose or to treat anyone."
)
"""Stands on every such page."""

STYLE = """
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
"""Rules of such a page, after those of all pages."""


def img(uri: str, alt: str, css: str = "") -> str:
    """A picture.

    Args:
      uri: its address.
      alt: it in words.
      css: its class.
    """
    kind = f' class="{css}"' if css else ""
    return f'<img{kind} src="{uri}" alt="{escape(alt)}" loading="lazy" decoding="async">'


def file_name(name: str) -> str:
    """A file's name, which may hold anything, apart from the text around it."""
    return f"<bdi>{escape(clean(name))}</bdi>"


def text(words: str) -> str:
    """Text from anywhere as HTML."""
    return page.plain(clean(words))


def clean(words: str) -> str:
    """Text without characters that no page can hold, or that turn the text after them around."""

    def bad(c: str) -> bool:
        return unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in _TURNING

    return "".join("\ufffd" if bad(c) else c for c in words)

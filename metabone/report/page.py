"""One self-contained HTML page: no script, no link, every picture inside.

Each function returns HTML and escapes what it is given; only arguments named `html` or `parts` are
taken as HTML already.
"""

import base64
from html import escape

from metabone.report.tables import Table

_STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --wash: #f4f6f8;
  --c0: #1d62c9; --c1: #b4530a; --c2: #1a7f53; --c3: #8250c4; --seed: #59636e;
  --badge: #7a4a00; --badge-wash: #fff3d6; --real: #0b5a3c; --real-wash: #dcf5e8;
  --heat: 29 98 201; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --wash: #1c2127;
  --c0: #74a9ff; --c1: #f0a060; --c2: #5ecf9b; --c3: #bd9bf0; --seed: #9aa4af;
  --badge: #ffd591; --badge-wash: #3d2f10; --real: #8fe3bd; --real-wash: #12382a;
  --heat: 96 150 240; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.015em; }
h2 { font-size: 1.2rem; margin: 3rem 0 .9rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }
.lead { color: var(--soft); font-size: 1.05rem; }
.answer { font-size: 1.2rem; line-height: 1.45; margin: 1.2rem 0 .6rem; }
.note, figcaption, caption { color: var(--soft); font-size: .88rem; line-height: 1.45; }
.badge { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .78rem;
  font-weight: 600; white-space: nowrap; color: var(--badge); background: var(--badge-wash);
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.badge.real { color: var(--real); background: var(--real-wash); }
.warning { border-left: .3rem solid var(--c1); background: var(--wash); padding: .7rem 1rem;
  margin: 1rem 0; max-width: none; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .5rem; position: sticky; left: 0;
  max-width: calc(100vw - 2rem); }
th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid var(--line);
  font-weight: 400; white-space: nowrap; vertical-align: top; }
thead th { color: var(--soft); font-size: .88rem; border-bottom-color: var(--soft);
  vertical-align: bottom; }
th.label { text-align: left; padding-left: 0; }
.many { font-size: .88rem; }
.many th, .many td { padding-left: .4rem; padding-right: .4rem; }
td .aside { display: block; color: var(--soft); font-size: .82rem; }
figcaption { margin-top: .35rem; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
.grid { display: grid; gap: 1.6rem 2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.grid.small { gap: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
.wide { max-width: 36rem; margin: 1rem 0; }
.matrix { width: 100%; table-layout: fixed; font-size: .85rem; }
.matrix th, .matrix td { padding: .3rem .2rem; text-align: center; white-space: normal; }
.matrix td { border: 1px solid var(--line); background: rgb(var(--heat) / var(--share));
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.matrix td small { display: block; color: var(--soft); font-size: .72rem; }
.key i { display: inline-block; width: 1.4rem; border-top: 3px solid; margin-right: .35rem;
  vertical-align: middle; }
.key .right { border-color: #0a86c2; } .key .wrong { border-color: #d9660a;
  border-top-style: dashed; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0 1.5rem;
  font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
details { margin: .6rem 0; } summary { cursor: pointer; }
code { font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media (max-width: 34rem) { main { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  body { font-size: 15px; } td, tbody th { font-size: .85rem; }
  thead th { font-size: .78rem; } th, td { padding: .35rem .22rem; }
  .many th, .many td { font-size: .8rem; } .answer { font-size: 1.1rem; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444;
    --line: #bbb; --wash: #f4f4f4; --c0: #1d62c9; --c1: #b4530a; --c2: #1a7f53; --c3: #8250c4;
    --seed: #444; --badge: #7a4a00; --badge-wash: #fff3d6; --real: #0b5a3c;
    --real-wash: #dcf5e8; --heat: 29 98 201; }
  main { max-width: none; padding: 0; } figure, table, .film { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .scroll { overflow: visible; } }
"""


def document(title: str, *parts: str) -> str:
    """A whole page under a title; empty parts vanish."""
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Parts under a heading, or nothing if there are none."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(text: str, css: str = "") -> str:
    """A paragraph of plain text, or nothing."""
    return f"<p{_class(css)}>{plain(text)}</p>" if text else ""


def badge(label: str) -> str:
    """What the figures beside it were measured on; real data alone looks reassuring."""
    real = label.startswith("real ")
    return f'<span class="badge{" real" if real else ""}">{escape(label)}</span>'


def grid(*parts: str, small: bool = False) -> str:
    """Parts side by side where the window is wide enough."""
    return f'<div class="grid{" small" if small else ""}">{"".join(parts)}</div>' if parts else ""


def figure(html: str, caption: str, label: str = "", css: str = "") -> str:
    """A picture or a table as HTML over its caption, with the badge of its data."""
    mark = badge(label) + " " if label else ""
    return f"<figure{_class(css)}>{html}<figcaption>{mark}{plain(caption)}</figcaption></figure>"


def jpeg_uri(data: bytes) -> str:
    """A JPEG file as the address of itself."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def table(content: Table | None, label: str = "") -> str:
    """A table with row and column headers, the published figure below ours in each cell."""
    if content is None:
        return ""
    head = "".join(
        f'<th scope="col"{_class("label" if i < content.labels else "")}>{escape(name)}</th>'
        for i, name in enumerate(content.columns)
    )
    lines = []
    for row in content.rows:
        cells = []
        for i, cell in enumerate(row):
            aside = f'<span class="aside">[{escape(cell.aside)}]</span>' if cell.aside else ""
            tag = 'th scope="row" class="label"' if i < content.labels else "td"
            cells.append(f"<{tag}>{plain(cell.text)}{aside}</{tag[:2]}>")
        lines.append(f"<tr>{''.join(cells)}</tr>\n")
    mark = badge(label) + " " if label else ""
    title = content.title.replace(f"; {label}", "", 1) if label else content.title
    notes = "".join(paragraph(note, "note") for note in content.notes)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(content.title)}">'
        f"<table{_class('many' if len(content.columns) > 6 else '')}>"
        f"<caption>{mark}{plain(title)}</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(lines)}</tbody></table></div>{notes}"
    )


def definitions(entries: dict[str, str]) -> str:
    """Names and values in two columns; empty values vanish."""
    lines = (
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in entries.items()
        if value
    )
    return f"<dl>{''.join(lines)}</dl>"


def details(summary: str, html: str) -> str:
    """HTML that opens on demand."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>" if html else ""


def plain(text: str) -> str:
    """Plain text as HTML: escaped, a number kept on one line with its sign or unit."""
    return escape(text).replace(" %", "&nbsp;%").replace(" ± ", "&nbsp;±&nbsp;")


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""

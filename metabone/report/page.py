"""One self-contained HTML page: no script, no link, every picture inside.

Each function returns HTML and escapes what it is given; only arguments named `html` or `parts` are
taken as HTML already.
"""

import os
import re
from html import escape
from pathlib import Path

from metabone.report.style import STYLE
from metabone.report.tables import Table

_FEWEST_FOR_CONTENTS = 3


def document(title: str, *parts: str, style: str = "") -> str:
    """A whole page under a title, its contents listed before the first section.

    Args:
      title: in words.
      *parts: HTML; empty parts vanish.
      style: rules of this page alone, after those of all pages.

    Returns:
      The page.
    """
    body = "\n".join(part for part in parts if part)
    contents = re.findall(r'<section id="([^"]+)">\n<h2>(.*?)</h2>', body)
    if len(contents) >= _FEWEST_FOR_CONTENTS:
        first = body.index("<section id=")
        body = f"{body[:first]}{_contents(contents)}\n{body[first:]}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write(path: Path, html: str) -> None:
    """Write a page so that its place never holds half of one."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(html, "utf-8")
    os.replace(unfinished, path)


def section(title: str, *parts: str) -> str:
    """Parts under a heading that can be linked to, or nothing if there are none."""
    body = "\n".join(part for part in parts if part)
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
    return f'<section id="{anchor}">\n<h2>{escape(title)}</h2>\n{body}\n</section>' if body else ""


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
    crowded = _crowding(len(content.columns))
    return (
        f'<div{_class(f"scroll {crowded}".strip())} tabindex="0" role="region" '
        f'aria-label="{escape(content.title)}"><table>'
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
    """Plain text as HTML: escaped, a number with its unit and a range on one line."""
    html = escape(text).replace(" %", "&nbsp;%").replace(" ± ", "&nbsp;±&nbsp;")
    return re.sub(r"\b\d+-\d+\b", r'<span class="whole">\g<0></span>', html)


def _crowding(columns: int) -> str:
    return "many crowded" if columns > 9 else "many" if columns > 6 else ""


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""


def _contents(entries: list[tuple[str, str]]) -> str:
    lines = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in entries)
    return f'<nav aria-label="Contents"><ul>{lines}</ul></nav>'

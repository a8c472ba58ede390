"""Tables of text, laid out for the terminal and for Markdown; the page lays out its own."""

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

ABSENT = "-"


class Cell(NamedTuple):
    """A figure of ours and, aside, the one published for another data set."""

    text: str
    aside: str = ""

    def __str__(self):
        return f"{self.text} [{self.aside}]" if self.aside else self.text


class Table(NamedTuple):
    """A table of text.

    Attributes:
      title: what the figures are, of which data, how many draws, which seed.
      columns: headings, those of the row labels first.
      labels: how many leading columns label the row.
      rows: each as long as `columns`.
      notes: below the table; says what a bracket is wherever there is one.
    """

    title: str
    columns: tuple[str, ...]
    labels: int
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def to_text(table: Table) -> str:
    """Lay a table out for a terminal, figures aligned right."""
    grid = [list(table.columns), *([str(c) for c in row] for row in table.rows)]
    widths = [max(len(line[i]) for line in grid) for i in range(len(table.columns))]
    lines = []
    for line in grid:
        padded = (
            text.ljust(width) if i < table.labels else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    notes = (textwrap.fill(note, max(80, len(rule))) for note in table.notes)
    return "\n".join([table.title, rule, lines[0], rule, *lines[1:], rule, *notes])


def to_markdown(table: Table) -> str:
    """Lay a table out in Markdown, as the documentation shows it."""

    def line(texts: Iterable[str]) -> str:
        return "| " + " | ".join(t.replace("|", "\\|") for t in texts) + " |"

    align = ["---" if i < table.labels else "---:" for i in range(len(table.columns))]
    body = [line(str(c) for c in row) for row in table.rows]
    notes = [part for note in table.notes for part in ("", note)]
    return "\n".join([table.title, "", line(table.columns), line(align), *body, *notes])

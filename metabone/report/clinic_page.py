"""How many films of a clinic a correction of bone ages needs, as a table, a chart and a page."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from metabone.report import page
from metabone.report.film_page import CAUTION, STYLE, clean
from metabone.report.plots import DASHES, MARKERS, PALETTE, chart
from metabone.report.tables import ABSENT, Cell, Table
from metabone.report.words import listed

_NOTES = (
    "Mean absolute error in months on films of other patients than the local ones, mean over "
    "draws; in brackets the range in which 95 of 100 draws lie.",
    "What costs more was drawn less often; the best of a line is the one that gains most over no "
    "correction on the same draws.",
)


class ClinicCurve(NamedTuple):
    """What was found at one clinic.

    Attributes:
      name: of the clinic.
      rows: of `workflows.clinic_curve.clinic_curve`.
      winners: of `workflows.clinic_curve.winners`.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    winners: Mapping[str, Any]


def clinic_table(curve: ClinicCurve) -> Table:
    """Errors of each correction, a line a number of local films."""
    methods = list(dict.fromkeys(row["method"] for row in curve.rows))
    found = {(row["films"], row["method"]): row for row in curve.rows}
    counts = sorted({row["films"] for row in curve.rows})
    lines = []
    for count in counts:
        cells = [Cell(f"{count}")]
        for method in methods:
            row = found.get((count, method))
            if row is None:
                cells.append(Cell(ABSENT))
                continue
            low, high = row["mae_range"]
            cells.append(Cell(f"{row['mae']:.2f}", f"{low:.1f}-{high:.1f}"))
        lines.append((*cells, Cell(curve.winners["best"][count])))
    draws = {row["method"]: row["draws"] for row in curve.rows}
    told = listed([f"{method} {draws[method]}" for method in methods])
    return Table(
        f"{curve.name}: errors by local films",
        ("local films", *methods, "best"),
        1,
        tuple(lines),
        (*_NOTES, f"Draws: {told}."),
    )


def winners_in_words(curve: ClinicCurve) -> list[str]:
    """From how many local films on each correction is better than none, a sentence each."""
    lines = []
    for method, films in curve.winners["better_from"].items():
        if method in {row["method"] for row in curve.rows}:
            when = "at no number of films" if films is None else f"from {films} local films on"
            lines.append(f"{method[:1].upper()}{method[1:]}: better than no correction {when}.")
    return lines


def clinic_chart(curve: ClinicCurve) -> str:
    """Errors over the number of local films, one line a correction, as an inline SVG."""
    methods = list(dict.fromkeys(row["method"] for row in curve.rows))
    counts = sorted({row["films"] for row in curve.rows})
    alt = f"{curve.name}: mean absolute error in months by the number of local films"
    with chart(4.9, 3.4, alt) as (axes, out):
        for at, method in enumerate(methods):
            own = [row for row in curve.rows if row["method"] == method]
            shift = 0.05 * (at - (len(methods) - 1) / 2)
            low = [row["mae"] - row["mae_range"][0] for row in own]
            high = [row["mae_range"][1] - row["mae"] for row in own]
            axes.errorbar(
                [counts.index(row["films"]) + shift for row in own],
                [row["mae"] for row in own],
                yerr=[[max(each, 0.0) for each in low], [max(each, 0.0) for each in high]],
                label=method,
                color=PALETTE[at % len(PALETTE)],
                linestyle=DASHES[(at // len(PALETTE) + at) % len(DASHES)],
                marker=MARKERS[at % len(MARKERS)],
                markersize=4.5,
                linewidth=1.5,
                capsize=2.5,
                elinewidth=0.9,
            )
        axes.set_xticks(range(len(counts)), [f"{count}" for count in counts])
        axes.set_xlabel("local films")
        axes.set_ylabel("mean absolute error, months")
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=3)
    return out[0]


def write_clinic_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    told: Mapping[str, str],
    curves: Sequence[ClinicCurve],
    label: str = "",
) -> None:
    """Writes a page of a table and a chart a clinic.

    Args:
      path: of the page; its folder exists.
      title: of the page.
      told: which model and films, heading to sentence.
      curves: a clinic each.
      label: what the films are, real or simulated.
    """
    sections = [
        page.section(
            clean(curve.name),
            *(page.paragraph(line) for line in winners_in_words(curve)),
            page.grid(
                page.figure(clinic_chart(curve), "Error by the number of local films.", label)
            ),
            page.table(clinic_table(curve), label),
        )
        for curve in curves
    ]
    html = page.document(
        clean(title),
        page.paragraph(CAUTION, "caution"),
        page.section("The model", page.definitions({clean(k): clean(v) for k, v in told.items()})),
        *sections,
        style=STYLE,
    )
    page.write(Path(path), html)

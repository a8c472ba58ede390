"""Charts as inline SVG that follow the colours and the type of the page around them."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Matplotlib writes these into the SVG; the page's style sheet then says what they look like, by
# day, by night and in print.
_VARIABLES = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#050505": "var(--paper)",
    "#100000": "var(--c0)",
    "#200000": "var(--c1)",
    "#300000": "var(--c2)",
    "#400000": "var(--c3)",
}
INK, SOFT, LINE, PAPER, *PALETTE = _VARIABLES
"""Colours of text, of what is less than text, of grids and of the ground; those of figures."""

DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")
COLOURS, STYLES = len(PALETTE), len(DASHES)
"""After so many, those of lines repeat."""

_LONGEST_BESIDE = 24
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "metabone",
    "font.size": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
}


class Line(NamedTuple):
    """One learner's figures over a number of shots.

    Attributes:
      name: in the legend.
      colour: index of its colour, shared by learners of a kind.
      style: index of its dashes and marker.
      x: [n] shots.
      y: [n] means.
      error: [n] half widths of the intervals.
    """

    name: str
    colour: int
    style: int
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float]


class Curve(NamedTuple):
    """A figure over training steps, as (steps, values); either may be empty."""

    training: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]


def draw_line(axes: Axes, line: Line, x: Sequence[float]) -> None:
    """Draws a learner's figures with their intervals.

    Args:
      axes: to draw on.
      line: what.
      x: [n] places of its figures on the horizontal axis.
    """
    axes.errorbar(
        x,
        line.y,
        yerr=line.error,
        label=line.name,
        color=PALETTE[line.colour % len(PALETTE)],
        linestyle=DASHES[line.style % len(DASHES)],
        marker=MARKERS[line.style % len(MARKERS)],
        markersize=5,
        linewidth=1.6,
        capsize=3,
        elinewidth=1.2,
    )


def over_shots(
    lines: Sequence[Line],
    ylabel: str,
    alt: str,
    chance: float | None = None,
    percent: bool = True,
    top: float | None = None,
) -> str:
    """Means with intervals over the number of shots, one line a learner.

    Args:
      lines: what to draw, of at most `COLOURS` colours and `STYLES` styles.
      ylabel: heading of the vertical axis.
      alt: the chart in words.
      chance: level of guessing, drawn as a thin line.
      percent: whether the vertical axis starts at 0.
      top: end of the vertical axis, so that charts side by side compare.

    Returns:
      An inline SVG.
    """
    columns = 1 if max(len(line.name) for line in lines) > _LONGEST_BESIDE else 2
    legend = -(-len(lines) // columns)
    with chart(4.9, 3.0 + 0.2 * legend, alt) as (axes, out):
        ticks = sorted({x for line in lines for x in line.x})
        place = {x: i for i, x in enumerate(ticks)}
        for i, line in enumerate(lines):
            # Side by side, so that intervals at the same number of shots do not cover each other.
            shift = 0.05 * (i - (len(lines) - 1) / 2)
            draw_line(axes, line, [place[x] + shift for x in line.x])
        if chance is not None:
            _chance(axes, chance)
        axes.set_xticks(range(len(ticks)), [f"{x:g}" for x in ticks])
        axes.set_xlim(-0.4, len(ticks) - 0.6)
        axes.set_xlabel("labelled images a class (shots)")
        axes.set_ylabel(ylabel)
        axes.set_ylim(bottom=0 if percent else None, top=top)
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, handlelength=3)
    return out[0]


def region_bars(
    names: Sequence[str],
    means: Sequence[float],
    errors: Sequence[float],
    references: Sequence[float],
    xlabel: str,
    alt: str,
    colour: int = 0,
    chance: float | None = None,
    top: float | None = None,
    apart: int = 1,
) -> str:
    """Bars of regions, those of all together last and apart, reference figures as diamonds.

    Args:
      names: [R + A] beside the bars, all regions together last.
      means: [R + A].
      errors: [R + A] half widths of the intervals.
      references: [R] published figures, or empty.
      xlabel: heading of the horizontal axis.
      alt: the chart in words.
      colour: index of the learner's colour; regions have it faint, the rest in full.
      chance: level of guessing, a dotted line.
      top: end of the horizontal axis, so that charts side by side compare.
      apart: A, how many bars are of all regions together.

    Returns:
      An inline SVG.
    """
    # From the top down, all regions together last and half a bar apart.
    places = -np.arange(len(names), dtype=float)
    places[-apart:] -= 0.4
    with chart(3.7, 0.9 + 0.3 * len(names), alt) as (axes, out):
        bars = axes.barh(places, means, 0.72, color=PALETTE[colour % len(PALETTE)], alpha=0.5)
        for bar in bars[-apart:]:
            bar.set_alpha(1.0)
        axes.errorbar(
            means, places, xerr=errors, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5
        )
        if len(references):
            axes.plot(
                references,
                places[: len(references)],
                linestyle="none",
                marker="D",
                markersize=5.5,
                markerfacecolor=PAPER,
                markeredgecolor=INK,
            )
        if chance is not None:
            axes.axvline(chance, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel(xlabel)
        axes.set_xlim(0, top)
        axes.grid(axis="x", linewidth=0.6)
    return out[0]


def learning_curve(curve: Curve, ylabel: str, alt: str) -> str:
    """Training as measured (faint) and smoothed, with validation as it was taken.

    Args:
      curve: what to draw; values that are not finite are left out.
      ylabel: heading of the vertical axis.
      alt: the chart in words.

    Returns:
      An inline SVG.
    """
    with chart(3.7, 2.4, alt) as (axes, out):
        steps, values = thin(*finite(*curve.training))
        if len(steps):
            axes.plot(steps, values, color=PALETTE[0], alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth(values), color=PALETTE[0], linewidth=1.6, label="training")
        steps, values = finite(*curve.validation)
        if len(steps):
            axes.plot(
                *thin(steps, values),
                color=PALETTE[1],
                marker="o",
                markersize=3.5 if len(steps) < 40 else 0,
                linewidth=1.3,
                label="validation",
            )
        axes.set_xlabel("step")
        axes.set_ylabel(ylabel)
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.6)
    return out[0]


def finite(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out values that are not finite, and their steps."""
    kept = np.isfinite(values)
    return steps[kept], values[kept]


def thin(steps: np.ndarray, values: np.ndarray, most: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Average neighbours until at most `most` points are left; the page stays small."""
    group = -(-len(steps) // most) if len(steps) else 1
    if group == 1:
        return steps, values
    starts = np.arange(0, len(steps), group)
    sizes = np.diff(np.append(starts, len(steps)))
    return np.add.reduceat(steps, starts) / sizes, np.add.reduceat(values, starts) / sizes


def smooth(values: np.ndarray) -> np.ndarray:
    """Centred running mean over a fifteenth of the points, one-sided at the ends.

    Args:
      values: [n] finite.

    Returns:
      [n], never outside the range of the values.
    """
    reach = len(values) // 30
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _chance(axes: Axes, level: float) -> None:
    axes.axhline(level, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(
        "chance",
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=SOFT,
    )


@contextmanager
def chart(width: float, height: float, alt: str) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on, in colours and type that the page around them sets.

    Args:
      width: inches.
      height: inches.
      alt: the chart in words.

    Yields:
      The axes, and a list that holds the SVG once the block has ended.
    """
    out: list[str] = []
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield axes, out
        stream = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    out.append(_embed(stream.getvalue().decode("utf-8"), alt))


def _embed(svg: str, alt: str) -> str:
    """Strip what belongs to a file of its own, and hand colour and type to the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"font-family:[^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1; font-family: inherit", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    # Several charts share a page: only ids that something refers to stay, and those are hashes of
    # what they name.
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    box = re.search(r'viewBox="[^"]+"', svg)[0]
    opening = (
        f'<svg {box} xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alt)}">'
    )
    return re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1).strip()

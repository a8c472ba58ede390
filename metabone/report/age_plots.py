"""Charts of errors of ages: by age read, by band of age, and over the number of training films."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabone.report.age_rows import GROUPS, band_name
from metabone.report.plots import INK, MARKERS, PALETTE, SOFT, Line, chart, draw_line

MOST_POINTS = 600
"""Of a chart of differences, so that the page stays small enough to mail."""

_SEXES = (("male", "M"), ("female", "F"), ("sex unknown", ""))
_SHIFT = 0.16


def bland_altman(
    months: np.ndarray,
    predicted: np.ndarray,
    sex: np.ndarray,
    *,
    bias: float,
    limits: tuple[float, float],
    alt: str,
) -> str:
    """Predicted minus true age over the mean of both, with bias and limits of agreement.

    Bland and Altman (1986). Over the mean of both, as they have it: over either alone the cloud
    would slope even where no reading is better than another.

    Args:
      months: `[N]` true ages.
      predicted: `[trainings, N]`; of more than 600 readings, 600 are drawn.
      sex: `[N]` str, `'F'`, `'M'`, or `''`.
      bias: mean of predicted minus true.
      limits: (low, high), within which 95 of 100 readings lie.
      alt: the chart in words.

    Returns:
      An inline SVG.
    """
    apart = (predicted - months).ravel()
    middle = ((predicted + months) / 2).ravel()
    sexes = np.broadcast_to(sex, predicted.shape).ravel()
    if apart.size > MOST_POINTS:
        # Drawn at random, since films may come in an order, but the same ones each time.
        shown = np.random.default_rng(0).choice(apart.size, MOST_POINTS, replace=False)
        apart, middle, sexes = apart[shown], middle[shown], sexes[shown]
    with chart(4.9, 3.6, alt) as (axes, out):
        for colour, (name, which) in enumerate(_SEXES):
            own = sexes == which
            if own.any():
                axes.plot(
                    middle[own],
                    apart[own],
                    linestyle="none",
                    marker=MARKERS[colour],
                    markersize=3.4,
                    markeredgewidth=0,
                    alpha=0.55,
                    color=PALETTE[colour],
                    label=name,
                )
        for level, dash, said in (
            (bias, "-", "bias"),
            (limits[0], "--", "-1.96 SD"),
            (limits[1], "--", "+1.96 SD"),
        ):
            axes.axhline(level, color=INK, linewidth=1.0, linestyle=dash)
            axes.annotate(
                f"{said}\n{level:+.1f}",
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
        axes.axhline(0, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_xlabel("mean of read and true age, months")
        axes.set_ylabel("read minus true, months")
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3)
    return out[0]


def errors_by_band(bands: Sequence[Mapping[str, Any]], alt: str, top: float | None = None) -> str:
    """Mean absolute errors by band of true age, all, males and females side by side.

    Args:
      bands: of a row, as in result.json.
      alt: the chart in words.
      top: end of the vertical axis, so that charts side by side compare.

    Returns:
      An inline SVG.
    """
    edges = list(dict.fromkeys((band["from"], band["to"]) for band in bands))
    with chart(4.9, 3.2, alt) as (axes, out):
        for at, name in enumerate(GROUPS):
            own = [band for band in bands if band["sex"] == name]
            if not own:
                continue
            axes.errorbar(
                [edges.index((b["from"], b["to"])) + _SHIFT * (at - 1) for b in own],
                [b["mae"] for b in own],
                yerr=[b.get("mae_ci95") or 0.0 for b in own],
                linestyle="none",
                # Everyone in ink, sexes in the colours that they have in the chart of differences.
                color=INK if name == "all" else PALETTE[at - 1],
                marker="D" if name == "all" else MARKERS[at - 1],
                markersize=5,
                capsize=2.5,
                elinewidth=1.2,
                label=name,
            )
        axes.set_xticks(range(len(edges)), [band_name(low, high) for low, high in edges])
        axes.set_xlabel("true age, months")
        axes.set_ylabel("mean absolute error, months")
        axes.set_ylim(bottom=0, top=top)
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    return out[0]


def errors_over_films(
    lines: Sequence[Line], alt: str, median: float | None = None, top: float | None = None
) -> str:
    """Mean absolute errors over the number of training films, one line an origin.

    Args:
      lines: x the numbers of films, on a logarithmic axis; y and error months.
      alt: the chart in words.
      median: error of the median of the training ages, drawn as a thin line.
      top: end of the vertical axis, so that charts side by side compare.

    Returns:
      An inline SVG.
    """
    ticks = sorted({x for line in lines for x in line.x})
    with chart(4.9, 3.2 + 0.2 * -(-len(lines) // 2), alt) as (axes, out):
        axes.set_xscale("log")
        for at, line in enumerate(lines):
            # A little apart, so that intervals at the same number of films do not hide others.
            shift = 1.025 ** (at - (len(lines) - 1) / 2)
            draw_line(axes, line, [x * shift for x in line.x])
        if median is not None:
            axes.axhline(median, color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
            axes.annotate(
                "median of the training ages",
                (0, median),
                xycoords=("axes fraction", "data"),
                xytext=(3, 2),
                textcoords="offset points",
                fontsize=8,
                color=SOFT,
            )
        axes.set_xticks(ticks, [f"{x:,}" for x in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training films")
        axes.set_ylabel("mean absolute error, months")
        axes.set_ylim(bottom=0, top=top)
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, handlelength=3)
    return out[0]

"""Sections about the run itself: how it learned, from which data, under which settings."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from metabone.report import page, plots, ranked_tables
from metabone.report.result import Presentation, Scale, data_label, scale_of
from metabone.report.run_folder import Run
from metabone.report.words import duration, said, words

_PLOTTED = ("loss", "accuracy", "error", "mae", "kappa", "dice")
_HEADINGS = {"conversions": "Preparation"}
_NOTHING = (np.zeros(0), np.zeros(0))


def learning_curves(run: Run, show: Presentation) -> str:
    """Loss and accuracy of every phase of training, with validation where it was measured."""
    del show
    meta = data_label(run.result, "images", role="meta")
    parts = []
    for phase, metrics in run.curves.items():
        names = list(dict.fromkeys(name.removeprefix("validation/") for name in metrics))
        names = [n for n in names if any(word in n.lower() for word in _PLOTTED)]
        charts = []
        for name in sorted(names, key=lambda n: "loss" not in n.lower())[:4]:
            scale = scale_of(name)
            curve = plots.Curve(
                *(
                    (steps, values * scale.factor)
                    for steps, values in (
                        metrics.get(name, _NOTHING),
                        metrics.get(f"validation/{name}", _NOTHING),
                    )
                )
            )
            alt, caption = _describe(phase, scale, curve)
            charts.append(
                page.figure(plots.learning_curve(curve, scale.heading, alt), caption, meta)
            )
        if charts:
            parts += [f"<h3>{escape(words(phase))}</h3>", page.grid(*charts)]
    explanation = parts and (
        "Faint: as logged. Strong: running mean over a fifteenth of the points. Training and "
        "validation are measured on the images of that phase, not on the target."
    )
    return page.section("Learning curves", page.paragraph(explanation or ""), *parts)


def provenance(run: Run, show: Presentation) -> str:
    """Where every image came from."""
    del show
    parts = []
    for data in run.result.get("data", ()):
        role, kind = str(data.get("role", "data")), str(data.get("kind") or "kind unstated")
        extra = {
            _HEADINGS.get(name, words(name).capitalize()): said(value)
            for name, value in data.items()
            if name not in ("role", "kind", "source", "count", "sha256")
        }
        entries = {
            "Source": said(data.get("source", "")),
            "Images": f"{data['count']:,}" if isinstance(data.get("count"), int) else "",
            "SHA-256": said(data.get("sha256", "")),
        } | extra
        parts.append(f"<h3>{escape(words(role).capitalize())} {page.badge(kind + ' images')}</h3>")
        parts.append(page.definitions(entries))
    return page.section("Data", *parts)


def search(run: Run, show: Presentation) -> str:
    """How base learning's settings were chosen, if they were searched."""
    del show
    table = page.table(ranked_tables.search_table(run.result), data_label(run.result, role="meta"))
    return (
        page.section(
            "What base learning was offered",
            page.paragraph(
                "Each choice was tried on the same tasks of classes neither trained on nor tested "
                "on; the best of each model and number of images a class was then measured."
            ),
            page.details("All choices", table),
        )
        if table
        else ""
    )


def reference(run: Run, show: Presentation) -> str:
    """The publication that our figures stand beside, if any row has a figure of it."""
    if not show.reference or all(r.get("paper") is None for r in run.result.get("rows", ())):
        return ""
    text = f"{show.reference.citation} Its figures were {show.reference.caveat}."
    return page.section("Published figures", page.paragraph(text))


def colophon(run: Run, show: Presentation) -> str:
    """When, where and how it was run; versions and every setting behind a fold."""
    del show
    config = {
        name: value
        for name, value in run.config.items()
        if name not in ("experiment", "name", "seed", "data")
    }
    versions = config.pop("versions", {})
    seconds = run.result.get("seconds")
    facts = {
        "Date": said(config.pop("date", "")),
        "Command": said(config.pop("command", "")),
        "Host": said(config.pop("host", "")),
        "Devices": said(config.pop("devices", "")),
        "Time": duration(seconds) if isinstance(seconds, int | float) else "",
        "Seed": said(run.result.get("seed", "")),
        "Revision": said(config.pop("git_revision", config.pop("revision", ""))),
    }
    timings = run.result.get("timings", {})
    if isinstance(timings, Mapping):
        facts |= {f"Time, {words(str(k))}": duration(v) for k, v in timings.items()}
    listing = versions if isinstance(versions, Mapping) else {"versions": versions}
    inner = config.pop("config", {})
    flat = flatten(inner if isinstance(inner, Mapping) else {}) | flatten(config)
    settings = {name: said(value) or "none" for name, value in flat.items()}
    return page.section(
        "How it was run",
        page.definitions(facts) if any(facts.values()) else "",
        page.details(
            "Versions",
            page.definitions({k: said(v) for k, v in listing.items()}) if listing else "",
        ),
        page.details(f"All {len(settings)} settings", page.definitions(settings))
        if settings
        else "",
    )


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names.

    Example:
      >>> flatten({"meta": {"rate": 0.001, "shots": [5, 10]}})
      {'meta.rate': 0.001, 'meta.shots': [5, 10]}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _describe(phase: str, scale: Scale, curve: plots.Curve) -> tuple[str, str]:
    ends = []
    for which, (steps, values) in zip(curve._fields, curve, strict=True):
        steps, values = plots.finite(steps, values)
        if len(steps):
            tail = (
                values[-max(1, len(values) // 15) :].mean() if which == "training" else values[-1]
            )
            figure = f"{tail:.{scale.decimals}f} %" if scale.unit == "%" else f"{tail:.3g}"
            ends.append(f"{which} {figure} at step {steps[-1]:,}")
    caption = f"{scale.name}: {', '.join(ends) or 'no finite figure'}."
    return f"{words(phase)}, {caption}", caption

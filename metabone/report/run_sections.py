"""Sections about the run itself: how it learned, from which data, under which settings."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from metabone.report import page, plots, tables
from metabone.report.result import Presentation, data_label
from metabone.report.run_folder import Run

_PLOTTED = ("loss", "accuracy", "error", "mae", "kappa", "dice")
_LONGEST_VALUE = 300
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
            curve = plots.Curve(
                metrics.get(name, _NOTHING), metrics.get(f"validation/{name}", _NOTHING)
            )
            alt, caption = _describe(phase, name, curve)
            charts.append(
                page.figure(plots.learning_curve(curve, _words(name), alt), caption, meta)
            )
        if charts:
            parts += [f"<h3>{escape(_words(phase))}</h3>", page.grid(*charts)]
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
            _words(name).capitalize(): _plain(value)
            for name, value in data.items()
            if name not in ("role", "kind", "source", "count", "sha256")
        }
        entries = {
            "Source": _plain(data.get("source", "")),
            "Images": f"{data['count']:,}" if isinstance(data.get("count"), int) else "",
            "SHA-256": _plain(data.get("sha256", "")),
        } | extra
        parts.append(f"<h3>{escape(_words(role).capitalize())} {page.badge(kind + ' images')}</h3>")
        parts.append(page.definitions(entries))
    return page.section("Data", *parts)


def search(run: Run, show: Presentation) -> str:
    """How base learning's settings were chosen, if they were searched."""
    del show
    table = page.table(tables.search_table(run.result), data_label(run.result, role="meta"))
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
    """Time, seed, revision, versions, and every setting behind a fold."""
    del show
    config = dict(run.config)
    versions = config.pop("versions", {})
    seconds = run.result.get("seconds")
    facts = {
        "Time": duration(seconds) if isinstance(seconds, int | float) else "",
        "Seed": _plain(run.result.get("seed", "")),
        "Revision": _plain(config.pop("git_revision", config.pop("revision", ""))),
    }
    timings = run.result.get("timings", {})
    if isinstance(timings, Mapping):
        facts |= {f"Time, {_words(str(k))}": duration(v) for k, v in timings.items()}
    listing = versions if isinstance(versions, Mapping) else {"versions": versions}
    settings = {name: _plain(value) for name, value in flatten(config).items()}
    return page.section(
        "How it was run",
        page.definitions(facts) if any(facts.values()) else "",
        page.details(
            "Versions",
            page.definitions({k: _plain(v) for k, v in listing.items()}) if listing else "",
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


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    Example:
      >>> duration(9.26), duration(93), duration(7384)
      ('9.3 s', '1 min 33 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _describe(phase: str, name: str, curve: plots.Curve) -> tuple[str, str]:
    ends = []
    for which, (steps, values) in zip(curve._fields, curve, strict=True):
        steps, values = plots.finite(steps, values)
        if len(steps):
            tail = (
                values[-max(1, len(values) // 15) :].mean() if which == "training" else values[-1]
            )
            ends.append(f"{which} {tail:.3g} at step {steps[-1]:,}")
    caption = f"{_words(name).capitalize()}: {', '.join(ends) or 'no finite figure'}."
    return f"{_words(phase)}, {caption}", caption


def _words(name: str) -> str:
    return name.replace("_", " ").replace("/", ", ")


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]} ... ({len(text):,} characters)"

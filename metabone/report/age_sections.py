"""Sections of the page of a run that tells bone age; each is empty for any other run."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from metabone.report import age_plots, age_tables, page, pictures, plots
from metabone.report.age_checks import conformal_table, robustness_tables
from metabone.report.age_papers import chest_table, paced_table
from metabone.report.age_rows import (
    age_rows,
    band_name,
    best_of,
    error_of,
    medians_of,
    name_of,
    of_most_films,
    trained_of,
)
from metabone.report.result import Presentation, Row, data_label, distinct, select
from metabone.report.run_folder import AgeReadings, Run

_MOST_LINES = plots.COLOURS * plots.STYLES
_MAP_SIDE, _MAP_QUALITY = 1100, 75


def ages(run: Run, show: Presentation) -> str:
    """Errors arm by arm beside the medians, over the number of films, and published ones."""
    rows = age_rows(run.result)
    if not rows:
        return ""
    label = data_label(run.result, show.noun)
    most = of_most_films(rows)
    every = [*medians_of(rows), *trained_of(rows)]
    return page.section(
        "Bone age",
        page.table(age_tables.errors_table(run.result, most), label),
        page.table(age_tables.films_table(run.result), label),
        _over_films(run, label),
        page.details(
            "All numbers of training films, males and females",
            page.table(age_tables.errors_table(run.result, every), label),
        )
        if len(every) > len(most)
        else "",
    ) + page.section(
        "Published errors",
        page.table(paced_table(run.result), label),
        page.table(chest_table(run.result), label),
    )


def age_errors(run: Run, show: Presentation) -> str:
    """Bias, limits of agreement and errors by age, of the row that is chosen of each view."""
    rows = age_rows(run.result)
    if not rows:
        return ""
    label = data_label(run.result, show.noun)
    shown = _best_of_views(rows)
    bands = age_tables.bands_table(run.result)
    return page.section(
        "Errors by film and by age",
        page.table(age_tables.spread_table(run.result), label),
        page.paragraph(
            "Shown is the row of each way to see films that is chosen by other films."
            if shown
            else ""
        ),
        page.grid(*(_differences(run, row, label) for row in shown if _readings_of(run, row))),
        page.grid(*_by_band(shown, label)),
        page.details("Errors by age as a table", page.table(bands, label)) if bands else "",
    )


def age_intervals(run: Run, show: Presentation) -> str:
    """Whether conformal intervals hold, and how wide they are."""
    label = data_label(run.result, show.noun)
    return page.section("Intervals", page.table(conformal_table(run.result), label))


def age_robustness(run: Run, show: Presentation) -> str:
    """How far answers move when films are changed and bones are not."""
    label = data_label(run.result, show.noun)
    return page.section(
        "Changed films", *(page.table(table, label) for table in robustness_tables(run.result))
    )


def activation_maps(run: Run, show: Presentation) -> str:
    """What the network looked at, on the films that rows name, with their captions."""
    label = data_label(run.result, show.noun)
    parts = []
    for row in age_rows(run.result):
        cards = [_map(run, entry, label) for entry in row.get("maps") or ()]
        if cards:
            parts += [page.paragraph(f"Maps of: {name_of(row)}."), *cards]
    return page.section("Activation maps", *parts)


def _map(run: Run, entry: dict[str, str], label: str) -> str:
    # A name out of a file leads nowhere but into the folder of maps.
    picture = run.maps.get(entry["file"].rsplit("/", 1)[-1])
    if picture is None:
        return page.figure("", f"{entry['caption']} The picture is not in the run's folder.", label)
    uri = pictures.jpeg_uri(picture, _MAP_SIDE, _MAP_QUALITY)
    height, width = picture.shape[:2]
    html = f'<img src="{uri}" alt="{escape(entry["caption"])}" width="{width}" '
    html += f'height="{height}" style="max-width: 100%; height: auto">'
    return page.figure(html, entry["caption"], label)


def _best_of_views(rows: Sequence[Row]) -> list[Row]:
    """The row that `best_of` chooses of each view, the lowest error first."""
    most = trained_of(of_most_films(rows))
    found = [best_of(select(most, view=view)) for view in distinct(most, "view")]
    return sorted(found, key=lambda row: row["groups"]["all"]["mae"])


def _readings_of(run: Run, row: Row) -> AgeReadings | None:
    """The ages whose errors a row tells, which its figures are known by."""
    means = row["groups"]["all"]["training_means"]
    for ages in run.ages:
        if ages.predicted.shape == (len(means), row["groups"]["all"]["n"]):
            off = np.abs(ages.predicted.astype(np.float64) - ages.months).mean(1)
            if np.allclose(off, means, rtol=0, atol=1e-6):
                return ages
    return None


def _differences(run: Run, row: Row, label: str) -> str:
    group, readings = row["groups"]["all"], _readings_of(run, row)
    low, high = group["limits"]
    if readings is None or None in (low, high):
        return ""
    caption = (
        f"Bland-Altman plot, {name_of(row)}: bias {group['bias']:+.1f} months, limits of "
        f"agreement {low:+.1f} to {high:+.1f}."
    )
    if readings.predicted.size > age_plots.MOST_POINTS:
        caption += f" {age_plots.MOST_POINTS} of {readings.predicted.size:,} readings are drawn."
    chart = age_plots.bland_altman(
        readings.months,
        readings.predicted,
        readings.sex,
        bias=group["bias"],
        limits=(low, high),
        alt=caption,
    )
    return page.figure(chart, caption, label)


def _by_band(rows: Sequence[Row], label: str) -> list[str]:
    shown = [row for row in rows if row.get("bands")]
    top = 1.04 * max((_highest(row["bands"]) for row in shown), default=0.0)
    charts = []
    for row in shown:
        told = "; ".join(
            f"{band_name(band['from'], band['to'])}: {band['mae']:.1f}"
            for band in select(row["bands"], sex="all")
        )
        caption = f"Mean absolute error by age with 95 % intervals, {name_of(row)}."
        chart = age_plots.errors_by_band(row["bands"], f"{caption} All, months: {told}.", top)
        charts.append(page.figure(chart, caption, label))
    return charts


def _highest(bands: Sequence[dict[str, Any]]) -> float:
    return max(band["mae"] + (band.get("mae_ci95") or 0.0) for band in bands)


def _over_films(run: Run, label: str) -> str:
    """A chart a view and use of sex, of the arm that is chosen at the most films."""
    rows = age_rows(run.result)
    trained, charts = trained_of(rows), []
    several = []
    for view, sex in distinct(trained, "view", "sex"):
        alike = select(trained, view=view, sex=sex)
        arms = [
            arm
            for arm in distinct(alike, "arm")
            if len(distinct(select(alike, arm=arm), "films")) > 1
        ]
        best = best_of(of_most_films([row for row in alike if row["arm"] in arms]))
        if best is not None:
            several.append((best["arm"], view, sex))
    medians = select(medians_of(of_most_films(rows)), arm="median")
    median = medians[0]["groups"]["all"]["mae"] if medians else None
    origins = distinct(trained, "origin")[:_MOST_LINES]
    for arm, view, sex in several:
        own = select(trained, arm=arm, view=view, sex=sex)
        lines = []
        for at, origin in enumerate(origins):
            points = sorted(select(own, origin=origin), key=lambda row: row["films"])
            if points:
                groups = [row["groups"]["all"] for row in points]
                lines.append(
                    plots.Line(
                        name=str(origin or arm),
                        colour=at % plots.COLOURS,
                        style=(at + at // plots.COLOURS) % plots.STYLES,
                        x=[row["films"] for row in points],
                        y=[group["mae"] for group in groups],
                        error=[group.get("mae_ci95") or 0.0 for group in groups],
                    )
                )
        named = name_of({"arm": arm, "view": view, "sex": sex})
        told = "; ".join(f"{row['origin']} at {row['films']:,}: {error_of(row)}" for row in own)
        caption = f"Error over training films with 95 % intervals, {named}."
        chart = age_plots.errors_over_films(lines, f"{caption} {told}.", median)
        charts.append(page.figure(chart, caption, label))
    return page.grid(*charts)

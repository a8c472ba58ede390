"""A run as one page that can be mailed, printed and read on a phone."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from metabone.report import (
    age_sections,
    film_sections,
    headline,
    page,
    point_sections,
    run_sections,
    sections,
)
from metabone.report.result import Presentation, presentation_of
from metabone.report.run_folder import Run, read_run

Section = Callable[[Run, Presentation], str]

SECTIONS: tuple[Section, ...] = (
    headline.warning,
    headline.headline,
    sections.results,
    sections.targets,
    sections.ranking,
    point_sections.points,
    age_sections.ages,
    age_sections.age_errors,
    age_sections.age_intervals,
    age_sections.age_robustness,
    age_sections.activation_maps,
    sections.other_norms,
    film_sections.regions,
    sections.confusions,
    film_sections.films,
    run_sections.search,
    run_sections.learning_curves,
    run_sections.provenance,
    run_sections.reference,
    run_sections.colophon,
)


def write_report(
    run_dir: str | os.PathLike[str],
    *,
    presentation: Presentation | None = None,
    sections: Sequence[Section] = SECTIONS,
) -> Path:
    """Write report.html beside the files of a run; the same files give the same page.

    Args:
      run_dir: holds config.json, result.json and, where there are any, metrics.jsonl, examples,
        predictions and maps.
      presentation: title, question, noun and reference; by default those of the experiment that
        result.json names.
      sections: what the page has, in order. Each is a function from the run and its presentation
        to HTML, empty where the run has no data for it; another experiment adds its own.

    Returns:
      Path of the page.

    Raises:
      InputError: the folder holds no run, or a file of it cannot be read.
    """
    run = read_run(run_dir)
    presentation = presentation or presentation_of(run.result)
    html = page.document(presentation.title, *(part(run, presentation) for part in sections))
    path = Path(run_dir) / "report.html"
    page.write(path, html)
    return path

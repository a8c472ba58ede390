"""Key points of hands: how far they are off, and where on some films."""

import numpy as np

from metabone.report import page, pictures, point_tables
from metabone.report.result import Presentation
from metabone.report.run_folder import PointedFilms, Run

_FILM_SIDE = 384
_IS, _READ = "#35c2ff", "#ff8a1f"


def points(run: Run, show: Presentation) -> str:
    """The table of errors, and some films from the worst read to the best."""
    del show
    table = point_tables.points_table(run.result)
    if table is None:
        return ""
    shown = run.pointed
    cards = [] if shown is None else [_card(shown, k) for k in range(len(shown.films))]
    explanation = (
        "Blue rings are where points are, orange dots where they were read, a line between them. "
        "The films are chosen by their median error, from the largest to the smallest."
    )
    return page.section(
        "Key points",
        page.table(table),
        page.paragraph(explanation) if cards else "",
        page.grid(*cards, small=True),
    )


def _card(shown: PointedFilms, index: int) -> str:
    film, points, read = shown.films[index], shown.points[index], shown.read[index]
    height, width = film.shape
    unit = max(height, width) / 512
    drawn = []
    for (x, y), (u, v) in zip((points + 0.5).tolist(), (read + 0.5).tolist(), strict=True):
        drawn.append(
            f'<path d="M{x:.1f} {y:.1f}L{u:.1f} {v:.1f}" stroke="{_READ}" '
            f'stroke-width="{3 * unit:.2f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 * unit:.2f}" fill="none" stroke="{_IS}" '
            f'stroke-width="{2 * unit:.2f}"/>'
            f'<circle cx="{u:.1f}" cy="{v:.1f}" r="{3 * unit:.2f}" fill="{_READ}"/>'
        )
    furthest = float(np.linalg.norm(points - read, axis=-1).max() / max(height, width))
    caption = f"Furthest point off by {100 * furthest:.1f} % of the film's longer side."
    html = (
        f'<svg class="film" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Film {index + 1}. {caption}">'
        f'<image href="{pictures.jpeg_uri(film, _FILM_SIDE)}" width="{width}" height="{height}"/>'
        f"{''.join(drawn)}</svg>"
    )
    return page.figure(html, caption)

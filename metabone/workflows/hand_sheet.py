"""The contact sheet of prepared hands."""

from collections.abc import Iterator

import numpy as np

from metabone.datasets.prepared_hands import UNREADABLE, PreparedHands
from metabone.datasets.progress import progress
from metabone.radiograph.hand_views import Square
from metabone.radiograph.region_sets import region_set, region_squares
from metabone.report.contact_sheet import SheetFilm, write_contact_sheet

SHEET = "contact_sheet.html"

_CORNERS = 0.5 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])


def draw_sheet(prepared: PreparedHands) -> None:
    """Writes `contact_sheet.html` beside the films.

    Args:
      prepared: hands, corrections included.

    Raises:
      InputError: a film is unreadable.
    """
    # The eye is freshest at the top: there stand those whose least sure point is least sure.
    doubtful = np.argsort(-prepared.uncertainty.max(axis=1, initial=0.0), kind="stable")
    unread = [(row.name, row.reason) for row in prepared.rows if row.status == UNREADABLE]
    corrected = int(prepared.corrected.sum())
    with progress(None, "drawing the contact sheet", len(prepared.names)) as shown:

        def films(usable: bool) -> Iterator[SheetFilm]:
            for index in doubtful[prepared.usable[doubtful] == usable]:
                shown.update(1)
                yield _film(prepared, index)

        write_contact_sheet(
            prepared.path / SHEET,
            title="Prepared hands",
            about={
                "Files": f"{len(prepared.rows)}, of which {int(prepared.usable.sum())} are usable",
                "Corrected": f"points of {corrected} films" if corrected else "",
                "Regions": prepared.about["regions"],
                "Key points": prepared.about["key_points"]["name"],
            },
            refused=films(False),
            usable=films(True),
            unshown=unread,
        )


def _film(prepared: PreparedHands, index: int) -> SheetFilm:
    name, points = prepared.names[index], prepared.points[index]
    squares = region_squares(points, region_set(prepared.about["regions"]))
    corrected = bool(prepared.corrected[index])
    note = prepared.refusals.get(name, "points corrected by hand" if corrected else "")
    return SheetFilm(
        name=name,
        image=prepared.read_film(name),
        points=points,
        regions=np.stack([_corners(square) for square in squares]),
        note=note,
        corrected=corrected,
    )


def _corners(square: Square) -> np.ndarray:
    """`[4, 2]` `(x, y)` pixels, in turn around the square."""
    cosine, sine = np.cos(square.direction), np.sin(square.direction)
    return square.centre + square.side * _CORNERS @ np.array([[cosine, sine], [-sine, cosine]])

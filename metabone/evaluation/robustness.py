"""Whether answers stay when a film is taken, turned, exposed or stored in another way.

None of these changes alters a bone. A published winner of the challenge on bone age changed its
answer under every one of them (Santomartino et al. 2024).
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from metabone.errors import InputError

Change = Callable[[np.ndarray], np.ndarray]
"""`[N, H, W, 1]` uint8 to as many, of the same size."""

FAR = 12
"""Months by which an answer that moved further would change what is done."""


def _film_by_film(change: Callable[[Image.Image], Image.Image]) -> Change:
    def all_films(images: np.ndarray) -> np.ndarray:
        return np.stack(
            [np.asarray(change(Image.fromarray(image[..., 0])))[..., None] for image in images]
        )

    return all_films


def rotated(degrees: float) -> Change:
    """Turns films counter-clockwise about their middle, bilinear, black where nothing was."""
    return _film_by_film(lambda film: film.rotate(degrees, Image.Resampling.BILINEAR))


def mirrored(images: np.ndarray) -> np.ndarray:
    """Swaps left and right."""
    return images[:, :, ::-1]


def brightened(factor: float) -> Change:
    """Multiplies greys, white at most."""
    return lambda images: _greys(images * np.float32(factor))


def contrasted(factor: float) -> Change:
    """Multiplies the distance of greys to the film's mean grey."""

    def change(images: np.ndarray) -> np.ndarray:
        middle = images.mean((1, 2, 3), np.float32, keepdims=True)
        return _greys(middle + np.float32(factor) * (images - middle))

    return change


def inverted(images: np.ndarray) -> np.ndarray:
    """Makes black white."""
    return 255 - images


def halved(images: np.ndarray) -> np.ndarray:
    """Keeps half the pixels in each direction, and brings films back to their size."""

    def change(film: Image.Image) -> Image.Image:
        half = max(film.width // 2, 1), max(film.height // 2, 1)
        return film.resize(half, Image.Resampling.BOX).resize(film.size, Image.Resampling.BILINEAR)

    return _film_by_film(change)(images)


def stored_as_jpeg(quality: int) -> Change:
    """Writes films as JPEG and reads them back; quality as Pillow counts it."""

    def change(film: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        film.save(stream, "jpeg", quality=quality)
        return Image.open(stream)

    return _film_by_film(change)


CHANGES: tuple[tuple[str, Change], ...] = (
    ("rotation +10 degrees", rotated(10)),
    ("rotation -10 degrees", rotated(-10)),
    ("rotation +20 degrees", rotated(20)),
    ("rotation -20 degrees", rotated(-20)),
    ("mirror", mirrored),
    ("brightness +20 %", brightened(1.2)),
    ("brightness -20 %", brightened(0.8)),
    ("contrast 1.4", contrasted(1.4)),
    ("contrast 0.7", contrasted(0.7)),
    ("inversion", inverted),
    ("half resolution", halved),
    ("JPEG quality 30", stored_as_jpeg(30)),
)
"""Name and function of each change, none of which alters a bone."""


def robustness(
    read: Callable[[np.ndarray], ArrayLike],
    images: np.ndarray,
    months: ArrayLike,
    changes: tuple[tuple[str, Change], ...] = CHANGES,
) -> list[dict[str, Any]]:
    """How far answers move under each change, and what errors become.

    Args:
      read: films `[N, H, W, 1]` uint8 to `[N]` months.
      images: `[N, H, W, 1]` uint8, without a row for sex.
      months: `[N]` months that are true.
      changes: name and function of each.

    Returns:
      A dictionary for the films as they are, called "none", and one a change:

      change: its name.
      moved_12: share of answers more than 12 months from that to the film as it is.
      mean_move: mean distance to those answers, months.
      mae: mean absolute error, months.

    Raises:
      InputError: an answer that is not finite.
      ValueError: no film, images of another shape, another number of answers.
    """
    months = np.asarray(months, np.float64)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 1 or not len(images):
        raise ValueError(f"images {images.dtype} {images.shape}: expected uint8 [N, H, W, 1]")
    if months.shape != images.shape[:1]:
        raise ValueError(f"months {months.shape} for {len(images)} films: expected [N]")
    first = _read(read, images, "none")
    rows = [_row("none", first, first, months)]
    for name, change in changes:
        rows.append(_row(name, _read(read, change(images), name), first, months))
    return rows


def _row(name: str, found: np.ndarray, first: np.ndarray, months: np.ndarray) -> dict[str, Any]:
    moved = np.abs(found - first)
    return {
        "change": name,
        "moved_12": float(np.mean(moved > FAR)),
        "mean_move": float(moved.mean()),
        "mae": float(np.abs(found - months).mean()),
    }


def _read(read: Callable[[np.ndarray], ArrayLike], images: np.ndarray, change: str) -> np.ndarray:
    found = np.asarray(read(images), np.float64)
    if found.shape != images.shape[:1]:
        raise ValueError(f"answers {found.shape} for {len(images)} films: expected one a film")
    if not np.isfinite(found).all():
        raise InputError(
            f"{np.sum(~np.isfinite(found))} of {len(found)} answers to films under change "
            f"{change!r} are not finite, expected months"
        )
    return found


def _greys(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)

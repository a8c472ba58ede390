"""Films as a learner takes them: one size, one or three channels, uint8."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.reading import Picture
from metabone.errors import InputError

THUMBNAIL = 96
"""Side in pixels of what is kept of labelled films to show."""


class FilmArrays(NamedTuple):
    """Films at one size.

    Attributes:
      images: `[n, size, size, C]` uint8, as the learner takes them.
      thumbnails: `[n, THUMBNAIL, THUMBNAIL, C]` uint8, to show.
      notes: what was done to the pixels, one sentence each.
    """

    images: np.ndarray
    thumbnails: np.ndarray
    notes: tuple[str, ...]


def to_arrays(pictures: Iterable[Picture], count: int, shape: tuple[int, int, int]) -> FilmArrays:
    """Pads and resizes films by the project's one way.

    Args:
      pictures: `count` decoded films, of the channels of `shape`.
      count: films.
      shape: `(size, size, C)` of the learner.
    """
    images = np.empty((count, *shape), np.uint8)
    thumbnails = np.empty((count, THUMBNAIL, THUMBNAIL, shape[-1]), np.uint8)
    notes: Counter[str] = Counter()
    for row, picture in enumerate(pictures):
        images[row] = reading.resize(picture.image, shape[0])
        thumbnails[row] = reading.resize(picture.image, THUMBNAIL)
        notes.update(picture.conversions)
        if picture.image.size != (shape[1], shape[0]):
            notes[reading.resize_note(shape[0])] += 1
    counted = (f"{note} ({n} of {count} films)" for note, n in sorted(notes.items()))
    return FilmArrays(images, thumbnails, tuple(counted))


def pictures_of(images: np.ndarray | Sequence[np.ndarray], channels: int) -> Iterator[Picture]:
    """Takes arrays for decoded films.

    Args:
      images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes, each
        `[H, W]`, `[H, W, 1]` (grey) or `[H, W, 3]` (RGB).
      channels: 1 or 3, of the result.

    Raises:
      InputError: one of another dtype or shape.
    """
    for row, image in enumerate(images):
        yield Picture(*reading.in_channels(_picture_of(image, f"image {row}"), channels))


def _picture_of(image: np.ndarray, where: str) -> Image.Image:
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise InputError(f"{where}: of dtype {image.dtype}, expected uint8, 0 to 255")
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if 0 in image.shape or not (image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)):
        raise InputError(
            f"{where}: of shape {image.shape}, expected [H, W], [H, W, 1] or [H, W, 3]"
        )
    return Image.fromarray(np.ascontiguousarray(image))

"""Films as a learner takes them: one size, one or three channels, uint8; whole or by regions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.film_bytes import OwnFilm
from metabone.errors import InputError
from metabone.radiograph.sex import with_sex_row
from metabone.workflows.hand_regions import HandRegions

THUMBNAIL = 96
"""Side in pixels of what is kept of labelled films to show."""

SEX_UNKNOWN = 128
"""Of the row that tells sex, where it is not known."""

_LOT = 8  # Films of any size that are in memory at once.


class Seen(NamedTuple):
    """A film as a learner sees it.

    Attributes:
      image: `[..., H, W, C]` uint8, as the learner takes it; None for a film that is refused.
      shown: `[h, w]` or `[h, w, 3]` uint8, the film as people see it, of its own size.
      notes: what was done to the pixels, one sentence each.
      refusal: why it is not read; empty for a film that is.
    """

    image: np.ndarray | None
    shown: np.ndarray
    notes: tuple[str, ...]
    refusal: str = ""


class FilmView(NamedTuple):
    """How films become what a learner takes.

    Attributes:
      shape: `(size, size, C)` of the learner's images, without the row that tells sex.
      hands: which regions of a hand are read; None for films as a whole.
      sex: whether a row that tells sex is below each image, see `sex.with_sex_row`.
    """

    shape: tuple[int, int, int]
    hands: HandRegions | None = None
    sex: bool = False

    @property
    def channels(self) -> int:
        """Of films that are seen: hands are found in grey ones alone."""
        return self.shape[-1] if self.hands is None else 1

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """`[..., H, W, C]` as the learner takes them to the same without the row that tells sex."""
        return images[..., : self.shape[0], :, :]

    def see(self, films: Iterable[OwnFilm]) -> Iterator[Seen]:
        """Sees films, each by itself.

        Args:
          films: of `channels`.
        """
        films = iter(films)
        while lot := list(islice(films, _LOT)):
            for film, seen in zip(lot, self._look(lot), strict=True):
                if self.sex and seen.image is not None:
                    told = with_sex_row(seen.image[None], np.array([film.sex]))
                    seen = seen._replace(image=told[0])
                yield seen._replace(notes=(*film.conversions, *seen.notes))

    def _look(self, films: Sequence[OwnFilm]) -> Iterator[Seen]:
        size, _, channels = self.shape
        if self.hands is None:
            for film in films:
                image = reading.resize(Image.fromarray(film.pixels), size)
                whole = film.pixels.shape[:2] == (size, size)
                yield Seen(image, film.pixels, () if whole else (reading.resize_note(size),))
            return
        for cut in self.hands.cut([film.pixels for film in films]):
            if cut.regions is None:
                yield Seen(None, cut.film, (), cut.refusal)
                continue
            regions = [reading.resize(Image.fromarray(each), size) for each in cut.regions]
            image, _ = reading.to_channels(np.stack(regions), channels)
            yield Seen(image, cut.film, cut.notes)


class FilmArrays(NamedTuple):
    """Films at one size, without those that are refused.

    Attributes:
      images: `[n, ..., H, W, C]` uint8, as the learner takes them.
      thumbnails: `[n, THUMBNAIL, THUMBNAIL, 1 or 3]` uint8, to show.
      rows: `[n]` int, which of the films that were given they are.
      refusals: of the others: row to reason.
      notes: what was done to the pixels, one sentence each.
    """

    images: np.ndarray
    thumbnails: np.ndarray
    rows: np.ndarray
    refusals: dict[int, str]
    notes: tuple[str, ...]


def to_arrays(view: FilmView, films: Iterable[OwnFilm]) -> FilmArrays:
    """Sees films and keeps them.

    Args:
      view: how.
      films: one or more, of the view's channels.

    Returns:
      The films; arrays of none where all are refused.
    """
    images: dict[int, np.ndarray] = {}
    thumbnails, refusals = [], {}
    notes: Counter[str] = Counter()
    count = 0
    for row, seen in enumerate(view.see(films)):
        count += 1
        if seen.image is None:
            refusals[row] = seen.refusal
            continue
        images[row] = seen.image
        thumbnails.append(reading.resize(Image.fromarray(seen.shown), THUMBNAIL))
        notes.update(seen.notes)
    counted = (f"{note} ({n} of {count} films)" for note, n in sorted(notes.items()))
    return FilmArrays(
        np.stack(list(images.values())) if images else np.empty((0,), np.uint8),
        np.stack(thumbnails) if images else np.empty((0,), np.uint8),
        np.array(list(images), int),
        refusals,
        tuple(counted),
    )


def films_of_arrays(
    images: np.ndarray | Sequence[np.ndarray], channels: int, sex: Sequence[str] | None = None
) -> Iterator[OwnFilm]:
    """Takes arrays for films that have been read.

    Args:
      images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes, each
        `[H, W]`, `[H, W, 1]` (grey) or `[H, W, 3]` (RGB).
      channels: 1 or 3, of the result.
      sex: `n` of `"F"`, `"M"`, or `""` where it is not known.

    Raises:
      InputError: one of another dtype or shape.
    """
    for row, image in enumerate(images):
        picture, done = reading.in_channels(_picture_of(image, f"image {row}"), channels)
        yield OwnFilm(np.asarray(picture), done, "" if sex is None else sex[row])


def _picture_of(image: np.ndarray, where: str) -> Image.Image:
    image = np.asarray(image)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError(f"{where}: has values that are not finite; expected uint8, 0 to 255")
    if image.dtype != np.uint8:
        raise InputError(f"{where}: of dtype {image.dtype}, expected uint8, 0 to 255")
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if 0 in image.shape or not (image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 3)):
        raise InputError(
            f"{where}: of shape {image.shape}, expected [H, W], [H, W, 1] or [H, W, 3]"
        )
    return Image.fromarray(np.ascontiguousarray(image))

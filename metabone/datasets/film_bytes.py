"""A film of one's own from its bytes, in the channels that a learner takes."""

from typing import NamedTuple

import numpy as np

from metabone.datasets import reading
from metabone.imaging.elements import looks_like_dicom
from metabone.imaging.film import to_eight_bits
from metabone.imaging.pictures import looks_like_picture
from metabone.imaging.reading import read_film

_SHOWN = "DICOM, shown as the file's tables and windows ask for"


class OwnFilm(NamedTuple):
    """A film that has been read.

    Attributes:
      pixels: `[H, W]` or `[H, W, 3]` uint8.
      conversions: what was done to them, and of DICOM what a careful reader should know, one
        sentence each.
      sex: `"F"`, `"M"`, or `""` where the file does not say.
      group: see `imaging.film.Film.group`.
      stored: how the file holds it: format, and bits of a pixel.
    """

    pixels: np.ndarray
    conversions: tuple[str, ...]
    sex: str = ""
    group: str | None = None
    stored: tuple[str, int] = ("", 8)


def film_of_bytes(data: bytes, where: str, channels: int, salt: bytes | None = None) -> OwnFilm:
    """Reads a film, by `read_film`; a picture in three channels keeps its colours.

    Args:
      data: the file's bytes.
      where: name of the file, for the message.
      channels: 1 or 3.
      salt: as of `read_film`.

    Returns:
      The film, in colours or greys of 8 bits.

    Raises:
      InputError: it is no film: one line.
    """
    if channels == 3 and looks_like_picture(data) and not looks_like_dicom(data):
        picture = reading.decode(data, where, channels)
        stored = picture.stored[0], 16 if picture.bits else 8
        return OwnFilm(np.asarray(picture.image), picture.conversions, stored=stored)
    film = read_film(data, where, salt=salt, luma=True)
    pixels, repeated = reading.to_channels(to_eight_bits(film.pixels)[..., None], channels)
    pixels = pixels[..., 0] if channels == 1 else pixels
    done = film.conversions
    if film.format.startswith("DICOM"):
        # The numbers of windows differ from film to film; `metabone inspect` tells them.
        done = (_SHOWN, *film.warnings)
    stored = film.format, film.bits
    return OwnFilm(pixels, (*done, *repeated), film.sex or "", film.group, stored)

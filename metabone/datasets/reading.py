"""Images of labelled sets from bytes that nobody vouches for, converted on the record."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.errors import InputError
from metabone.imaging.colour import LUMA
from metabone.imaging.elements import looks_like_dicom
from metabone.imaging.film import Refused, to_eight_bits
from metabone.imaging.pictures import (
    INVERTED,
    NAMES,
    decode_picture,
    looks_like_picture,
    spread_greys,
)

FILTER = "LANCZOS"
"""Pillow's name of the resampling filter, antialiased when shrinking."""

GREY_REPEATED = "grey repeated to RGB"
"""What is said of a grey image in three channels."""

_SIXTEEN = "16 to 8 bits by value / 257"


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
      image: A Pillow image of mode `'L'` or `'RGB'`.
      conversions: What was done to its pixels, one sentence each.
      stored: How the file holds it: format, Pillow's mode, and width and height.
      bits: That a grey of 16 bits uses, of 8 to 16; 0 of any other image.
    """

    image: Image.Image
    conversions: tuple[str, ...]
    stored: tuple[str, str, tuple[int, int]] = ("", "", (0, 0))
    bits: int = 0


def decode(data: bytes, where: str, channels: int, *, bits: int = 0, page: int = 255) -> Picture:
    """Decodes a picture to 8 bits and one or three channels; see `imaging.pictures`.

    Greys of 16 bits are scaled by as many bits as they use; 16-bit colours keep their upper 8 bits.

    Args:
      data: The file's bytes.
      where: Name of the file for the message.
      channels: 1 or 3.
      bits: That greys of 16 bits use in the set that the image is of; 0 where that is not known,
        and the image is scaled by its own.
      page: What transparency is laid over: 255, a white page, or 0, a black one.

    Returns:
      The picture, of mode `'L'` for one channel and `'RGB'` for three.

    Raises:
      InputError: Not of a format that is read, truncated or damaged, or too large.
    """
    problem = None
    try:
        if not looks_like_picture(data):
            film = ", but a DICOM file; prepare-hands and adapt read these"
            raise Refused(f"not a {NAMES} image{film if looks_like_dicom(data) else ''}")
        found = decode_picture(data, page=page)
    except Refused as refusal:
        problem = str(refusal)
    except MemoryError:
        problem = "too large for the memory of this machine"
    if problem:
        raise InputError(f"{where}: {problem}")
    image, notes, used = found.image, list(found.conversions), 0
    if image.mode not in ("L", "RGB"):
        used, bits = found.used, max(bits, found.used)
        image = Image.fromarray(to_eight_bits(spread_greys(found, bits)))
        notes.append(_SIXTEEN if bits == 16 else f"16 to 8 bits, of which {bits} are used")
        if found.inverted:
            notes.append(INVERTED)
    stored = found.format, found.mode, found.image.size
    image, converted = in_channels(image, channels)
    return Picture(image, (*notes, *converted), stored, used)


def pad_to_square(image: Image.Image) -> Image.Image:
    """Adds black on both sides of the shorter edge; black is a film's unexposed border."""
    edge = max(image.size)
    if image.width == image.height:
        return image
    square = Image.new(image.mode, (edge, edge), 0)
    square.paste(image, ((edge - image.width) // 2, (edge - image.height) // 2))
    return square


def resize(image: Image.Image, size: int) -> np.ndarray:
    """Pads an image to a square and resizes it with `FILTER`.

    Args:
      image: Of mode `'L'` or `'RGB'`.
      size: Height and width of the result.

    Returns:
      `[size, size, C]` uint8.
    """
    square = pad_to_square(image)
    if square.width != size:
        square = square.resize((size, size), Image.Resampling[FILTER])
    return np.asarray(square, np.uint8).reshape(size, size, -1)


def in_channels(image: Image.Image, channels: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Turns RGB to grey, or repeats grey, where that is asked for.

    Args:
      image: Of mode `'L'` or `'RGB'`.
      channels: 1 or 3.

    Returns:
      The image of mode `'L'` or `'RGB'`, and what was done, one sentence each.
    """
    if channels == 1 and image.mode == "RGB":
        return image.convert("L"), (LUMA,)
    if channels == 3 and image.mode == "L":
        return image.convert("RGB"), (GREY_REPEATED,)
    return image, ()


def to_channels(images: np.ndarray, channels: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Repeats grey arrays to RGB where three channels are asked for.

    Args:
      images: `[..., 1]` uint8.
      channels: 1 or 3.

    Returns:
      `[..., channels]` uint8, and what was done, one sentence each.
    """
    if channels == 1:
        return images, ()
    return np.repeat(images, 3, axis=-1), (GREY_REPEATED,)


def resize_note(size: int) -> str:
    """Says for the record what `resize` does."""
    return f"padded with black to a square, {FILTER} to {size}x{size}"


def check_size(size: int) -> None:
    """Checks the edge length of an image that is asked for.

    Raises:
      InputError: It is not in 4..4096.
    """
    if not 4 <= size <= 4096:
        raise InputError(f"image size {size} is not in 4..4096 pixels")

"""Images from bytes that nobody vouches for: bounded, decoded whole, converted on the record."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.errors import InputError
from metabone.imaging.colour import LUMA
from metabone.imaging.film import to_eight_bits
from metabone.imaging.pictures import ORIENTATION_TAG, TURNS, spread_bits

MAX_PIXELS = 64_000_000
"""Above any radiograph, and below what a header alone may make a decoder allocate."""

FORMATS = ("JPEG", "PNG")
"""What is decoded; each further format is a further parser open to hostile bytes."""

FILTER = "LANCZOS"
"""Pillow's name of the resampling filter, antialiased when shrinking."""

_REPEATED = "grey repeated to RGB"
_SIXTEEN = "16 to 8 bits by value / 257"
_ALPHA = "transparency laid over black"
_TURNED = "turned as its EXIF orientation says"
_CMYK = "CMYK or YCbCr to RGB"


class Picture(NamedTuple):
    """A decoded image.

    Attributes:
      image: A Pillow image of mode `'L'` or `'RGB'`.
      conversions: What was done to its pixels, one sentence each.
      stored: How the file holds it: format, Pillow's mode, and width and height.
    """

    image: Image.Image
    conversions: tuple[str, ...]
    stored: tuple[str, str, tuple[int, int]] = ("", "", (0, 0))


def decode(data: bytes, where: str, channels: int, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a PNG or JPEG file to 8 bits and one or three channels.

    16-bit grey is scaled by as many bits as it uses, see `spread_bits`; 16-bit colour keeps its
    high byte. Transparency is laid over black. The orientation that a camera wrote is applied, so
    that what is stored is what a viewer shows.

    Args:
      data: The file's bytes.
      where: Name of the file for the message.
      channels: 1 or 3.
      max_pixels: Largest width x height that is decoded; read from the header beforehand.

    Returns:
      The picture, of mode `'L'` for one channel and `'RGB'` for three.

    Raises:
      InputError: Not a PNG or JPEG, truncated or damaged, or too large.
    """
    try:
        with warnings.catch_warnings():
            # A decoder's advice is no use to a reader of images; its bomb warning is our limit.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_pixels(image.size, where, max_pixels)
                stored = str(image.format), image.mode, image.size
                image.load()
                return _convert(image, channels)._replace(stored=stored)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = max_pixels / 1e6
        raise InputError(
            f"{where}: its header asks for more than {limit:g} megapixels (a decompression bomb?)"
        ) from None
    except Image.UnidentifiedImageError:
        raise InputError(f"{where}: not a PNG or JPEG image") from None
    except Exception as error:
        # Decoders fed hostile bytes raise nearly any type; all mean the same to the user.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where}: unreadable image ({reason})") from None


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
        return image.convert("RGB"), (_REPEATED,)
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
    return np.repeat(images, 3, axis=-1), (_REPEATED,)


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


def _check_pixels(size: tuple[int, int], where: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{where}: {width} x {height} pixels, above the limit of "
            f"{max_pixels / 1e6:g} megapixels"
        )


def _convert(image: Image.Image, channels: int) -> Picture:
    notes = []
    turn = TURNS.get(_orientation(image))
    if image.mode.startswith("I"):
        spread, bits = spread_bits(np.asarray(image).astype(np.uint16))
        image = Image.fromarray(to_eight_bits(spread))
        notes.append(_SIXTEEN if bits == 16 else f"16 to 8 bits, of which {bits} are used")
    elif image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), layers)
        image = image.convert("RGB")
        notes.append(_ALPHA)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
        notes.append(_CMYK)
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    image, converted = in_channels(image, channels)
    notes += converted
    if turn is not None:
        image = image.transpose(turn)
        notes.append(_TURNED)
    return Picture(image.copy(), tuple(notes))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:
        return 1  # A damaged EXIF block says nothing about the pixels.

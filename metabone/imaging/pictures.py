"""A film from a PNG, JPEG or TIFF file."""

import io
import warnings

import numpy as np
from PIL import Image

from metabone.imaging.colour import grey_of_colours
from metabone.imaging.film import MAX_PIXELS, WHITE, Film, Refused

FORMATS = ("JPEG", "PNG", "TIFF")
"""What is decoded; each further format is a further parser open to hostile bytes."""

ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What the eight EXIF orientations ask for; 1 is upright."""

_PHOTOMETRIC, _BITS, _TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT = 262, 258, 322, 323, 339
_WHITE_IS_ZERO = 0


def looks_like_picture(data: bytes) -> bool:
    """Tells whether bytes start as one of `FORMATS` does."""
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*"))


def read_picture(data: bytes, *, luma: bool = False) -> Film:
    """Reads a film.

    Args:
      data: the file's bytes.
      luma: whether colours become grey; else they are refused.

    Returns:
      The film, with nothing known of it but its pixels.

    Raises:
      Refused: damaged, too large, of several pages, in colours, or of more than 16 bits.
    """
    problem = None
    try:
        with warnings.catch_warnings():
            # A decoder's advice may quote the file; its bomb warning is our limit.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check(image)
                turned = _orientation(image) in TURNS
                image.load()
                return _film(image, turned, luma)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"its header asks for more than {MAX_PIXELS / 1e6:g} megapixels"
    except (Refused, MemoryError):
        raise
    except Exception:
        # Decoders fed hostile bytes raise nearly any type; all mean the same to the user.
        problem = "damaged or cut off"
    raise Refused(problem)


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Refused(
            f"{width} x {height} pixels, above the limit of {MAX_PIXELS / 1e6:g} megapixels"
        )
    # A JPEG of a telephone has previews behind it, as further frames.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise Refused("more than one page or frame; a film has one")
    if image.format == "TIFF":
        tags = image.tag_v2
        if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) > MAX_PIXELS:
            raise Refused("its tiles are larger than any film (a decompression bomb?)")
        if image.mode in ("I", "F") or tags.get(_SAMPLE_FORMAT, (1,)) not in (1, (1,), (1, 1, 1)):
            raise Refused("its pixels have a sign, a point, or more than 16 bits")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:
        return 1  # A damaged EXIF block says nothing about the pixels.


def spread_bits(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Spreads greys of 16 bits over all of these, by as many bits as they use.

    A film of 10, 12 or 14 bits is often written into 16. All greys of a film are scaled alike, and
    films of one device too, but for those whose brightest grey is below half of the others'.

    Args:
      values: uint16 of any shape.

    Returns:
      uint16, the greatest value of the bits that are used becoming 65535; how many bits these are,
      at least 8.

    Example:
      >>> spread_bits(np.array([0, 2048, 4095], np.uint16))
      (array([    0, 32776, 65535], dtype=uint16), 12)
    """
    bits = max(8, int(values.max()).bit_length())
    return (values if bits == 16 else _spread(values, 2**bits - 1)), bits


def _film(image: Image.Image, turned: bool, luma: bool) -> Film:
    # Pillow turns a TIFF while it loads it, and leaves other formats as they are.
    turn = TURNS.get(_orientation(image))
    kind, tags = image.format, getattr(image, "tag_v2", {})
    conversions: list[str] = []
    notes: list[str] = []
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        stored = int(values.min()), int(values.max())
        bits = 12 if tags.get(_BITS, 16) in (12, (12,)) else 16
        pixels, used = (_spread(values, 4095), 12) if bits == 12 else spread_bits(values)
        if used < bits:
            conversions.append(f"{used} of 16 bits are used, and were spread over all greys")
        if kind == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            # Pillow turns 8 bits round by itself and leaves 16 as they are.
            pixels = WHITE - pixels
            conversions.append("inverted, since its lowest value is white")
    else:
        bits = 8
        if image.has_transparency_data:
            layers = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), layers)
            conversions.append("transparency laid over black")
        if image.mode in ("1", "L"):
            values = np.asarray(image.convert("L"))
            stored = int(values.min()), int(values.max())
            pixels = _spread(values, 255)
        else:
            pixels, stored, done = grey_of_colours(np.asarray(image.convert("RGB")), luma=luma)
            conversions += done
    if turn is not None:
        pixels = np.ascontiguousarray(np.asarray(Image.fromarray(pixels).transpose(turn)))
    if turned:
        conversions.append("turned as its EXIF orientation says")
    kind = "JPEG" if kind == "MPO" else kind
    if kind == "JPEG":
        notes.append("compressed with loss at some time")
    if stored[0] == stored[1]:
        notes.append("all pixels have one grey; nothing is to be seen")
    return Film(pixels, kind, bits, stored, tuple(conversions), tuple(notes))


def _spread(values: np.ndarray, top: int) -> np.ndarray:
    table = np.floor(np.arange(top + 1) * (WHITE / top) + 0.5).astype(np.uint16)
    return table[np.minimum(values, top)]

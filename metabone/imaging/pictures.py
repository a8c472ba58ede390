"""Pictures from files that nobody vouches for, and a film from a picture."""

import io
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.imaging.colour import grey_of_colours
from metabone.imaging.film import MAX_PIXELS, WHITE, Film, Refused

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
"""What is decoded; each further format is a further parser open to hostile bytes."""

NAMES = "PNG, JPEG, TIFF, BMP, WebP or GIF"
"""The same in words."""

INVERTED = "inverted, since its lowest value is white"
"""What is said of such a picture's conversion."""

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"GIF87a", b"GIF89a")
_ORIENTATION = 0x0112
# What the eight EXIF orientations ask for; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PHOTOMETRIC, _BITS, _TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT = 262, 258, 322, 323, 339
_WHITE_IS_ZERO = 0
_PAGES = {0: "black", 255: "white"}


class Decoded(NamedTuple):
    """A picture as its file holds it, upright.

    Attributes:
      image: a Pillow image of mode `'L'` or `'RGB'`, or of `'I;16'` for greys of more than 8 bits.
      format: the file's format.
      mode: Pillow's name of how the file holds a pixel.
      bits: that the file keeps of a sample.
      used: of the bits of a grey of more than 8, as many as the greatest takes, at least 8.
      inverted: whether the lowest of such greys is white; of other greys Pillow sees to it.
      conversions: what was done to its pixels, one sentence each.
    """

    image: Image.Image
    format: str
    mode: str
    bits: int
    used: int
    inverted: bool
    conversions: tuple[str, ...]


def looks_like_picture(data: bytes) -> bool:
    """Tells whether bytes start as one of `FORMATS` does."""
    return data.startswith(_STARTS) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


def decode_picture(data: bytes, *, page: int = 255) -> Decoded:
    """Decodes a picture whole, within `MAX_PIXELS`, which its header is asked for beforehand.

    Of moving pictures the first frame is taken. The orientation that a camera wrote is applied, so
    that what is decoded is what a viewer shows.

    Args:
      data: the file's bytes.
      page: what transparency is laid over: 255, a white page, or 0, a black one.

    Returns:
      The picture.

    Raises:
      Refused: damaged, too large, of several pages, or of more than 16 bits.
    """
    problem = None
    try:
        with warnings.catch_warnings():
            # A decoder's advice may quote the file; its bomb warning is our limit.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check(image)
                return _decoded(image, page)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = MAX_PIXELS / 1e6
        problem = f"its header asks for more than {limit:g} megapixels (a decompression bomb?)"
    except (Refused, MemoryError):
        raise
    except Exception:
        # Decoders fed hostile bytes raise nearly any type; all mean the same to the user.
        problem = "damaged or cut off"
    raise Refused(problem)


def spread_greys(picture: Decoded, bits: int) -> np.ndarray:
    """Spreads greys of more than 8 bits over 0..65535, white the greatest.

    A film of 10, 12 or 14 bits is often written into 16. Films are to be compared, so those of one
    set are spread by as many bits as the set uses.

    Args:
      picture: of mode `'I;16'`.
      bits: that are used, at least `picture.used`.

    Returns:
      `[height, width]` uint16, the greatest value of that many bits becoming 65535.
    """
    pixels = spread_bits(np.asarray(picture.image), bits)
    return WHITE - pixels if picture.inverted else pixels


def spread_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Spreads values of some bits over 0..65535.

    Args:
      values: uint8 or uint16 of any shape.
      bits: of them, 8 to 16.

    Returns:
      uint16 of the same shape.

    Example:
      >>> spread_bits(np.array([0, 2048, 4095], np.uint16), 12)
      array([    0, 32776, 65535], dtype=uint16)
    """
    if bits == 16:
        return values
    top = 2**bits - 1
    table = np.floor(np.arange(top + 1) * (WHITE / top) + 0.5).astype(np.uint16)
    return table[np.minimum(values, top)]


def read_picture(data: bytes, *, luma: bool = False) -> Film:
    """Reads a film.

    Args:
      data: the file's bytes.
      luma: whether colours become grey; else they are refused.

    Returns:
      The film, with nothing known of it but its pixels.

    Raises:
      Refused: what `decode_picture` refuses, or in colours.
    """
    picture = decode_picture(data)
    done, notes = list(picture.conversions), []
    values = np.asarray(picture.image)
    stored = int(values.min()), int(values.max())
    if picture.image.mode == "RGB":
        pixels, stored, greyed = grey_of_colours(values, luma=luma)
        done += greyed
    elif picture.image.mode == "L":
        pixels = spread_bits(values, 8)
    else:
        pixels = spread_greys(picture, picture.used)
        if picture.used < picture.bits:
            done.append(f"{picture.used} of 16 bits are used, and were spread over all greys")
    if picture.inverted:
        done.append(INVERTED)
    if picture.format == "JPEG":
        notes.append("compressed with loss at some time")
    if stored[0] == stored[1]:
        notes.append("all pixels have one grey; nothing is to be seen")
    return Film(pixels, picture.format, picture.bits, stored, tuple(done), tuple(notes))


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Refused(
            f"{width} x {height} pixels, above the limit of {MAX_PIXELS / 1e6:g} megapixels"
        )
    if image.format == "TIFF":
        if getattr(image, "n_frames", 1) > 1:
            raise Refused("more than one page; save each as a file of its own")
        tags = image.tag_v2
        if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) > MAX_PIXELS:
            raise Refused("its tiles are larger than any film (a decompression bomb?)")
        if image.mode in ("I", "F") or np.any(np.asarray(tags.get(_SAMPLE_FORMAT, 1)) != 1):
            raise Refused("its pixels have a sign, a point, or more than 16 bits")


def _decoded(image: Image.Image, page: int) -> Decoded:
    kind, mode, tags = image.format, image.mode, getattr(image, "tag_v2", {})
    # The mode does not tell the depth of colours, and loading forgets what does.
    deep_colours = not mode.startswith("I") and ";16" in str(image.tile)
    turned = _orientation(image) in _TURNS
    conversions = []
    # A JPEG of a telephone has previews behind it, as further frames.
    if kind != "MPO" and getattr(image, "is_animated", False):
        conversions.append("the first of several frames")
    image.load()
    # Pillow turns a TIFF while it loads it, and leaves other formats as they are.
    turn = _TURNS.get(_orientation(image))
    bits, used, inverted = 8, 8, False
    if mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        clear = image.info.get("transparency")
        used = max(8, int(values[values != clear].max(initial=0)).bit_length())
        bits = 12 if np.all(np.asarray(tags.get(_BITS, 16)) == 12) else 16
        used = bits if bits == 12 else used
        inverted = kind == "TIFF" and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        if clear is not None:
            values[values == clear] = (2**used - 1) * page // 255
            conversions.append(_laid(page))
        image = Image.fromarray(values)
    else:
        if deep_colours:
            conversions.append("16-bit samples to their upper 8 bits")
        image, done = _opaque(image, page)
        conversions += done
    if turn is not None:
        image = image.transpose(turn)
    if turned:
        conversions.append("turned as its EXIF orientation says")
    kind = "JPEG" if kind == "MPO" else kind
    return Decoded(image, kind, mode, bits, used, inverted, tuple(conversions))


def _opaque(image: Image.Image, page: int) -> tuple[Image.Image, list[str]]:
    """Grey or RGB of 8 bits, and what was done."""
    done = []
    to = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        if layers.getchannel("A").getextrema()[0] < 255:
            done.append(_laid(page))
        image = Image.alpha_composite(Image.new("RGBA", image.size, (page,) * 3 + (255,)), layers)
    elif image.mode not in ("1", "L", "P", "RGB"):
        done.append("CMYK or YCbCr to RGB")
    # A copy in any case, as the file's own image is closed with it.
    return (image.copy() if image.mode == to else image.convert(to)), done


def _laid(page: int) -> str:
    return f"transparency laid over {_PAGES[page]}"


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1  # A damaged EXIF block says nothing about the pixels.

"""The stored values of a DICOM film, by numpy where they lie open and by a decoder elsewhere."""

from typing import NamedTuple

import numpy as np

try:
    from pydicom.encaps import encapsulate
    from pydicom.pixels import get_decoder
except ImportError:
    # Compressed films alone need it.
    encapsulate = get_decoder = None

from metabone.imaging.codestreams import (
    Size,
    check_end,
    check_runs,
    check_tiles,
    jpeg2000_size,
    jpeg_size,
)
from metabone.imaging.elements import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    PIXEL_DATA,
    Dataset,
    fragments,
)
from metabone.imaging.film import Refused

_JPEG = {
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
}
_JPEG_2000 = {
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "high-throughput JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.202": "high-throughput JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.203": "high-throughput JPEG 2000",
}
_RUNS = {"1.2.840.10008.1.2.5": "run lengths"}
_NATIVE = {
    "": "uncompressed",
    IMPLICIT: "uncompressed",
    EXPLICIT: "uncompressed",
    BIG_ENDIAN: "uncompressed, big endian",
    DEFLATED: "deflated",
}
SYNTAXES = _NATIVE | _RUNS | _JPEG | _JPEG_2000
"""Transfer syntaxes that are read, and their names for people."""

LOSSY = frozenset(
    uid for uid, text in (_JPEG | _JPEG_2000).items() if not text.endswith(" lossless")
)
"""Those that may give back other values than were put in, even beyond the stored bits."""


class Layout(NamedTuple):
    """How pixels are kept (PS3.3 C.7.6.3).

    Attributes:
      size: rows, columns and samples of a pixel.
      photometric: one of DICOM's photometric interpretations.
      allocated: bits of a sample's cell, 8 or 16.
      stored: bits of them in use.
      high: the highest of these.
      signed: whether they are two's complement.
      planar: whether colours lie apart.
    """

    size: Size
    photometric: str
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: bool


def read_codes(dataset: Dataset, syntax: str, layout: Layout) -> tuple[np.ndarray, bool]:
    """Reads the pixels as unsigned codes.

    Args:
      dataset: with `PIXEL_DATA`.
      syntax: UID of the transfer syntax, one of `SYNTAXES`.
      layout: what the header says.

    Returns:
      `[rows, columns]` uint8 or uint16, each below `2**layout.stored`: two's complement in as many
      bits if signed. For three samples `[rows, columns, 3]` uint8, and whether these are brightness
      and colour differences rather than red, green and blue.

    Raises:
      Refused: too few bytes, another size than the header's, no decoder, or damaged.
    """
    if syntax in _NATIVE:
        codes, photometric = _native(dataset, layout), layout.photometric
    else:
        codes, photometric = _compressed(dataset, syntax, layout)
    if layout.size.samples > 1:
        return codes, photometric.startswith("YBR")
    if syntax in LOSSY:
        half = 2 ** (layout.stored - 1)
        codes = np.clip(codes, *((-half, half - 1) if layout.signed else (0, 2 * half - 1)))
    codes = codes.view(f"u{codes.dtype.itemsize}")
    if syntax not in LOSSY:
        codes = codes >> (layout.high + 1 - layout.stored)
    return codes & codes.dtype.type(2**layout.stored - 1), False


def _native(dataset: Dataset, layout: Layout) -> np.ndarray:
    rows, columns, samples = layout.size
    element = dataset.elements[PIXEL_DATA]
    if element.length is None:
        raise Refused("damaged; its uncompressed pixels have no length")
    shared = layout.photometric == "YBR_FULL_422"
    count = rows * columns * (2 if shared else samples)
    here = min(element.length, len(dataset.data) - element.start)
    if here < count * layout.allocated // 8:
        raise Refused(
            f"cut off: {here:,} bytes of pixels, where {rows} x {columns} of {layout.allocated} "
            f"bits need {count * layout.allocated // 8:,}"
        )
    big = not dataset.encoding.little
    if layout.allocated == 8 and big and element.vr == b"OW":
        # Bytes of a big-endian word stand the other way round (PS3.5 D.1.2).
        words = np.frombuffer(dataset.data, ">u2", (count + 1) // 2, element.start)
        codes = words.astype("<u2").view(np.uint8)[:count]
    else:
        cell = np.dtype(f"{'>' if big else '<'}u{layout.allocated // 8}")
        codes = np.frombuffer(dataset.data, cell, count, element.start)
    codes = codes.astype(codes.dtype.newbyteorder("="))
    if samples == 1:
        return codes.reshape(rows, columns)
    if shared:
        pairs = codes.reshape(-1, 4)
        light, *tints = pairs[:, :2].reshape(-1), *np.repeat(pairs[:, 2:], 2, axis=0).T
        codes = np.stack([light, *tints], axis=-1).reshape(rows, columns, 3)
    elif layout.planar:
        codes = np.moveaxis(codes.reshape(3, rows, columns), 0, -1)
    else:
        codes = codes.reshape(rows, columns, 3)
    return codes


def _compressed(dataset: Dataset, syntax: str, layout: Layout) -> tuple[np.ndarray, str]:
    element = dataset.elements[PIXEL_DATA]
    if element.length is not None:
        raise Refused(f"damaged; said to be {SYNTAXES[syntax]}, but its pixels lie in one piece")
    frame = fragments(dataset, element)
    if syntax in _RUNS:
        check_runs(frame, layout.size, layout.allocated // 8)
    else:
        size = jpeg_size(frame) if syntax in _JPEG else jpeg2000_size(frame)
        if size != layout.size:
            raise Refused(
                f"damaged; its header says {_words(layout.size)}, its compressed pixels "
                f"{_words(size)}"
            )
        check_end(frame)
        if syntax in _JPEG_2000:
            check_tiles(frame)
    return _decode(frame, syntax, layout)


def _decode(frame: bytes, syntax: str, layout: Layout) -> tuple[np.ndarray, str]:
    decoder = None if get_decoder is None else get_decoder(syntax)
    if decoder is None or not decoder.is_available:
        raise Refused(
            f"compressed as {SYNTAXES[syntax]}, which needs a decoder: "
            "pip install 'metabone[dicom]'"
        )
    try:
        codes, properties = decoder.as_array(
            encapsulate([frame], has_bot=False),
            index=0,
            raw=True,  # Brightness stays apart from colour differences.
            rows=layout.size.rows,
            columns=layout.size.columns,
            samples_per_pixel=layout.size.samples,
            photometric_interpretation=layout.photometric,
            number_of_frames=1,
            bits_allocated=layout.allocated,
            bits_stored=layout.stored,
            pixel_representation=int(layout.signed),
            planar_configuration=int(layout.planar),
            pixel_keyword="PixelData",
            correct_unused_bits=False,  # It would wrap what lossy compression overshoots.
        )
    except MemoryError:
        raise
    except Exception:
        # Decoders fed hostile bytes raise nearly any type, with who knows what in their words.
        codes = None
    if codes is None:
        raise Refused(f"damaged, or beyond what its decoder for {SYNTAXES[syntax]} can read")
    return codes, str(properties["photometric_interpretation"])


def _words(size: Size) -> str:
    samples = "" if size.samples == 1 else f" x {size.samples}"
    return f"{size.rows} x {size.columns}{samples}"

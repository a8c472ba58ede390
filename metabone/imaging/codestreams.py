"""What a compressed frame says of its own size, looked at before a decoder believes it."""

from struct import unpack_from
from typing import NamedTuple

from metabone.imaging.film import Refused

MIN_TILE = 1024
"""Pixels that a tile of JPEG 2000 has on average at least."""

MAX_EXPANSION = 4
"""What run lengths may unfold to, in sizes of the frame."""

_STREAM = b"\xff\x4f\xff\x51"  # A code stream's first two markers.


class Size(NamedTuple):
    """A frame's rows, columns and samples of a pixel."""

    rows: int
    columns: int
    samples: int


def jpeg_size(frame: bytes) -> Size:
    """Reads the size of a JPEG or JPEG-LS frame (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2).

    Args:
      frame: the compressed bytes.

    Returns:
      Its size.

    Raises:
      Refused: there is no start of a frame in it, or no scan.
    """
    position = 2
    if frame[:2] != b"\xff\xd8":
        raise Refused("damaged; its compressed pixels do not start as JPEG does")
    while position + 4 <= len(frame):
        if frame[position] != 0xFF:
            break
        marker = frame[position + 1]
        if marker == 0xFF:  # Fill bytes may stand before a marker.
            position += 1
            continue
        (length,) = unpack_from(">H", frame, position + 2)
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if (is_frame or marker == 0xF7) and position + 10 <= len(frame):
            if b"\xff\xda" not in frame:
                raise Refused("damaged; its JPEG frame has no scan")
            return Size(*unpack_from(">HHB", frame, position + 5))
        if marker in (0xD9, 0xDA):  # The end, or a scan that no frame comes before.
            break
        position += 2 + length
    raise Refused("damaged; its JPEG frame has no header")


def jpeg2000_size(frame: bytes) -> Size:
    """Reads the size of a JPEG 2000 code stream, bare or in its file format (A.5.1).

    Args:
      frame: the compressed bytes.

    Returns:
      Its size.

    Raises:
      Refused: there is none in it.
    """
    right, bottom, left, top, *_ = _grid(frame)
    (samples,) = unpack_from(">H", frame, frame.find(_STREAM) + 40)
    return Size(bottom - top, right - left, samples)


def check_tiles(frame: bytes) -> None:
    """Checks that a JPEG 2000 code stream has no more tiles than a film can need.

    Args:
      frame: the compressed bytes.

    Raises:
      Refused: it has more; a decoder spends memory on each.
    """
    right, bottom, left, top, width, height, tile_left, tile_top = _grid(frame)
    if not width or not height:
        raise Refused("damaged; its JPEG 2000 stream has tiles of no size")
    tiles = -(-(right - tile_left) // width) * -(-(bottom - tile_top) // height)
    if tiles > 1 + (right - left) * (bottom - top) // MIN_TILE:
        raise Refused("its JPEG 2000 stream has more tiles than any film (a decompression bomb?)")


def check_end(frame: bytes) -> None:
    """Checks that a JPEG or JPEG 2000 frame has its end; decoders fill up what is missing.

    Args:
      frame: the compressed bytes.

    Raises:
      Refused: its last marker is missing.
    """
    # Some padding behind it is common.
    if b"\xff\xd9" not in frame[-64:]:
        raise Refused("cut off; the end of its compressed pixels is missing")


def check_runs(frame: bytes, size: Size, sample_bytes: int) -> None:
    """Checks that a run-length frame unfolds to about its size (PS3.5 G).

    Args:
      frame: the compressed bytes.
      size: what the header says.
      sample_bytes: bytes of a sample.

    Raises:
      Refused: it does not.
    """
    (segments,) = unpack_from("<I", frame)
    if segments != size.samples * sample_bytes:
        raise Refused("damaged; its run lengths are of another number of planes than its header")
    # A run of two bytes unfolds to at most 128; plain bytes to themselves.
    limit = MAX_EXPANSION * size.rows * size.columns * segments
    if 64 * len(frame) <= limit:
        return
    total, position, end = 0, 64, len(frame)
    while position < end and total <= limit:
        code = frame[position]
        literal = code < 128
        total += code + 1 if literal else 257 - code
        position += 2 + code if literal else 2
    if total > limit:
        raise Refused("its run lengths unfold to more than its size (a decompression bomb?)")


def _grid(frame: bytes) -> tuple[int, ...]:
    start = frame[:4096].find(_STREAM)
    if start < 0 or start + 42 > len(frame):
        raise Refused("damaged; its JPEG 2000 stream has no header")
    return unpack_from(">8I", frame, start + 8)

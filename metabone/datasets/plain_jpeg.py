"""The common JPEG file decoded without Pillow's look at everything that a header may hold.

Of a small image that look takes most of the time, and it keeps other threads waiting.
"""

from PIL import Image

from metabone.imaging.film import MAX_PIXELS

_START = b"\xff\xd8"
_SCAN = 0xDA
# JFIF header, quantisation and Huffman tables, restart interval, comment: none turns or recolours.
_HARMLESS = frozenset({0xE0, 0xDB, 0xC4, 0xDD, 0xFE})
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive
_MODES = {1: "L", 3: "RGB"}


def decode_plain(data: bytes, channels: int) -> Image.Image | None:
    """Decodes a JPEG file if nothing in its header asks for more than decoding.

    Args:
      data: The file's bytes.
      channels: 1 or 3.

    Returns:
      What `reading.decode` returns as its image, or None for any other file: one with EXIF, a
      colour profile or an Adobe marker, of four channels, of another format, too large or damaged.
    """
    frame = _plain_frame(data)
    if frame is None:
        return None
    mode, size = frame
    try:
        # Pillow's own decoder of JPEG, with the arguments that it gives it.
        image = Image.frombytes(mode, size, data, "jpeg", mode, "")
    except (ValueError, OSError):
        return None
    return image if mode == _MODES[channels] else image.convert(_MODES[channels])


def _plain_frame(data: bytes) -> tuple[str, tuple[int, int]] | None:
    if data[:2] != _START:
        return None
    frame, at = None, 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN:
            return frame
        if marker in _FRAMES and frame is None and length >= 8:
            bits, components = data[at + 4], data[at + 9]
            height = int.from_bytes(data[at + 5 : at + 7])
            width = int.from_bytes(data[at + 7 : at + 9])
            if bits != 8 or components not in _MODES or not 0 < width * height <= MAX_PIXELS:
                return None
            frame = _MODES[components], (width, height)
        elif marker not in _HARMLESS:
            return None
        at += 2 + length
    return None

"""Images that come as arrays: numpy's files read within bounds, and PNG files made of pixels."""

import io

import numpy as np
from PIL import Image

from metabone.datasets.archives import Members
from metabone.errors import InputError

MAX_IMAGES = 1_000_000
"""Above any set that comes as arrays; each image costs some hundred bytes of names."""

MAX_SIDE = 256
"""Longest side of an image in an array, in pixels."""


def encode_png(pixels: np.ndarray) -> bytes:
    """Packs pixels without loss.

    Args:
      pixels: `[H, W]` or `[H, W, 3]` uint8.

    Returns:
      A PNG file.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def read_array(members: Members, name: str, kinds: str) -> np.ndarray:
    """Reads one array of an npz file; nothing in it is unpickled.

    Args:
      members: The npz file, see `open_members`.
      name: Of the array.
      kinds: Kinds of dtype that are admitted: `'b'` bool, `'i'` and `'u'` whole numbers, `'B'`
        uint8.

    Returns:
      The array, read-only.

    Raises:
      InputError: It is missing, damaged, or of another dtype.
    """
    member = f"{name}.npy"
    where = members.where(name)
    if member not in members.names:
        held = ", ".join(held.removesuffix(".npy") for held in members.names[:12]) or "nothing"
        raise InputError(f"{members.path}: holds no array '{name}', but {held}")
    data = members.read(member)  # Bounded, as the zip's directory states sizes beforehand.
    file = io.BytesIO(data)
    try:
        header = {(1, 0): np.lib.format.read_array_header_1_0}
        header[(2, 0)] = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header[np.lib.format.read_magic(file)](file)
    except Exception:
        # numpy parses the header as Python text, which can fail in many ways.
        raise InputError(f"{where}: damaged, or not numpy's format 1 or 2") from None
    if not (dtype.kind in kinds or ("B" in kinds and dtype == np.uint8)):
        raise InputError(f"{where}: of type {dtype.name}, expected {_names(kinds)}")
    count = 1
    for edge in shape:
        count *= edge
    fits = all(edge >= 0 for edge in shape) and len(shape) <= 4
    if not fits or len(data) - file.tell() != count * dtype.itemsize:
        raise InputError(f"{where}: its header states another size than it has")
    flat = np.frombuffer(data, dtype, offset=file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _names(kinds: str) -> str:
    known = {"b": "bool", "B": "uint8", "i": "whole numbers", "u": "whole numbers"}
    return " or ".join(dict.fromkeys(known[kind] for kind in kinds))

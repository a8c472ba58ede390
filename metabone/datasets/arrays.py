"""Arrays of npz files, read in pieces and within bounds, and PNG files made of pixels."""

import io
import math
from collections.abc import Generator

import numpy as np
from PIL import Image

from metabone.datasets.archives import Members
from metabone.errors import InputError

MAX_IMAGES = 1_000_000
"""Above any set that comes as arrays; each image costs some hundred bytes of names."""

MAX_SIDE = 256
"""Longest side of an image in an array, in pixels."""

_MAX_HEADER = 2**16  # Bytes; numpy writes 128.


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


class StoredArray:
    """An array of an npz file, of which a row at a time is in memory; nothing in it is unpickled.

    How large it may be is bounded by its file, which `open_members` keeps from being a bomb, and
    not by memory.

    Attributes:
      where: Names it in messages.
      shape: As its header states it, which fits its size.
      dtype: Likewise.
    """

    def __init__(self, members: Members, name: str, kinds: str, leading: int = 1):
        """Reads the header.

        Args:
          members: The npz file, see `open_members`.
          name: Of the array.
          kinds: Kinds of dtype that are admitted: `'b'` bool, `'i'` and `'u'` whole numbers, `'B'`
            uint8, `'f'` floats, `'U'` text.
          leading: Axes that number the rows.

        Raises:
          InputError: It is missing, damaged, or of another dtype.
        """
        self.where = members.where(name)
        self._members, self._member, self._leading = members, f"{name}.npy", leading
        if self._member not in members.names:
            held = ", ".join(held.removesuffix(".npy") for held in members.names[:12]) or "nothing"
            raise InputError(f"{members.path}: holds no array '{name}', but {held}")
        with members.open(self._member) as file:
            head = io.BytesIO(file.read(_MAX_HEADER))
        try:
            header = {(1, 0): np.lib.format.read_array_header_1_0}
            header[(2, 0)] = np.lib.format.read_array_header_2_0
            self.shape, self._fortran, self.dtype = header[np.lib.format.read_magic(head)](head)
        except Exception:
            # numpy parses the header as Python text, which can fail in many ways.
            raise InputError(f"{self.where}: damaged, or not numpy's format 1 or 2") from None
        if not (self.dtype.kind in kinds or ("B" in kinds and self.dtype == np.uint8)):
            raise InputError(f"{self.where}: of type {self.dtype.name}, expected {_names(kinds)}")
        self._start = head.tell()
        fits = all(edge >= 0 for edge in self.shape) and len(self.shape) <= 4
        size = members.size(self._member) - self._start
        if not fits or size != math.prod(self.shape) * self.dtype.itemsize:
            raise InputError(f"{self.where}: its header states another size than it has")
        self._rows, self._at = self._read(), -1
        members.closing.callback(lambda: self._rows.close())

    def __len__(self) -> int:
        """How many rows there are."""
        return math.prod(self.shape[: self._leading])

    def row(self, index: int) -> np.ndarray:
        """One row, read-only; fast where the next one is asked for, and slow where an earlier one.

        Args:
          index: Below `len(self)`, the last leading axis varying fastest.

        Raises:
          InputError: It is damaged.
        """
        if index < self._at:
            self._rows.close()
            self._rows, self._at = self._read(), -1
        while self._at < index:
            self._row = next(self._rows)
            self._at += 1
        return self._row

    def whole(self) -> np.ndarray:
        """All of it, read-only.

        Raises:
          InputError: It is damaged, or larger than a file that is read whole may be.
        """
        data = self._members.read(self._member)
        flat = np.frombuffer(data, self.dtype, offset=self._start)
        return flat.reshape(self.shape, order="F" if self._fortran else "C")

    def _read(self) -> Generator[np.ndarray, None, None]:
        shape = self.shape[self._leading :]
        if self._fortran:  # A row of it lies all over the file.
            yield from self.whole().reshape(-1, *shape)
            return
        size = math.prod(shape) * self.dtype.itemsize
        with self._members.open(self._member) as file:
            file.read(self._start)
            for _ in range(len(self)):
                data = file.read(size)
                if len(data) < size:
                    raise InputError(f"{self.where}: damaged, as it ends early")
                yield np.frombuffer(data, self.dtype).reshape(shape)


def read_array(members: Members, name: str, kinds: str) -> np.ndarray:
    """Reads one array of an npz file whole; the arguments are those of `StoredArray`.

    Returns:
      The array, read-only.

    Raises:
      InputError: It is missing, damaged, of another dtype, or larger than a file that is read whole
        may be.
    """
    return StoredArray(members, name, kinds).whole()


def _names(kinds: str) -> str:
    known = {"b": "bool", "B": "uint8", "f": "floats", "U": "text"}
    known |= dict.fromkeys("iu", "whole numbers")
    return " or ".join(dict.fromkeys(known[kind] for kind in kinds))

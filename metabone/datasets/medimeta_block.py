"""Images of an HDF5 file that are one plain block of pixels, read a row at a time."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metabone.datasets.arrays import MAX_SIDE
from metabone.errors import InputError

_NAME = "images"


@contextlib.contextmanager
def open_block(path: Path, count: int) -> Iterator[Callable[[int], np.ndarray]]:
    """Opens the array `images` of an HDF5 file.

    Args:
      path: The file.
      count: Images that it must have.

    Yields:
      From a row to its image, `[H, W]` or `[H, W, 3]` uint8.

    Raises:
      InputError: It is missing or damaged; or compressed, chunked, linked from elsewhere or
        incomplete, which the published files are not; or of another type or shape.
    """
    import h5py

    with contextlib.ExitStack() as stack:
        try:
            # No lock: the file is only read, and may lie where locks are not to be had.
            file = stack.enter_context(h5py.File(path, "r", locking=False))
            linked = not isinstance(file.get(_NAME, getlink=True), h5py.HardLink)
            block = None if linked else file[_NAME]
            plain = isinstance(block, h5py.Dataset) and _is_plain(block)
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            told = " ".join(str(error).split())
            raise InputError(f"{path}: not a complete HDF5 file ({told}); truncated?") from None
        if not plain:
            raise InputError(f"{path}: holds no '{_NAME}' in one plain block of numbers")
        shape = tuple(block.shape)
        fits = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
        if block.dtype != np.uint8 or not fits or not 0 < max(shape[1:3]) <= MAX_SIDE:
            raise InputError(
                f"{path}: '{_NAME}' of {block.dtype.name} and shape {shape}, expected uint8 and "
                f"(n, H, W) or (n, H, W, 3), sides up to {MAX_SIDE} pixels"
            )
        if shape[0] != count:
            raise InputError(f"{path}: {shape[0]} images and {count} labels")

        def row(number: int) -> np.ndarray:
            try:
                pixels = block[number]
            except (OSError, RuntimeError, ValueError):
                raise InputError(f"{path}: image {number} cannot be read") from None
            return pixels[..., 0] if pixels.shape[2:] == (1,) else pixels

        yield row


def _is_plain(block: Any) -> bool:
    import h5py

    plan = block.id.get_create_plist()
    size = math.prod(block.shape or ()) * block.dtype.itemsize
    whole = plan.get_layout() == h5py.h5d.CONTIGUOUS and block.id.get_storage_size() == size
    return whole and not plan.get_external_count()

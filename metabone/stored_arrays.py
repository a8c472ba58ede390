"""A few arrays in one file that is whole at every moment and runs nothing when it is read."""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metabone.errors import InputError


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Writes an npz file beside its place and moves it there.

    Args:
      path: of the file; its folder exists.
      **arrays: by name.

    Raises:
      InputError: it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.savez(file, **arrays)
        os.replace(file.name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def load_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Reads arrays of an npz file; nothing is unpickled.

    Args:
      path: of the file.
      names: of the arrays.

    Returns:
      The arrays by name.

    Raises:
      InputError: there is no such file, or it is damaged.
    """
    try:
        # Opened here, as numpy leaves a file open that it finds to be no zip.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (
        *(OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError),
        *(AttributeError, zipfile.BadZipFile, zlib.error),
    ) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        reason = reason if reason.isprintable() else type(error).__name__
        raise InputError(f"{path}: damaged ({reason}); delete it") from None

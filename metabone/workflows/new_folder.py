"""A folder that is whole or not there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from metabone.errors import InputError


def check_new(folder: str | os.PathLike) -> Path:
    """The path of a folder to be made.

    Raises:
      InputError: there is something already, or it could not be made.
    """
    path = Path(folder).expanduser()
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already; name a new folder")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"{path}: {above} is no folder that can be written to")
    return path


@contextlib.contextmanager
def new_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """Makes a folder beside its place and moves it there once it is filled.

    Args:
      folder: is made, with those above it.

    Yields:
      Where to write meanwhile; it vanishes if that fails.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    path = check_new(folder)
    above = path.absolute().parent
    made = ""
    try:
        above.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=above, prefix=f".{path.name}-", suffix=".part")
        os.chmod(made, 0o755)  # mkdtemp's own is for the owner alone.
        yield Path(made)
        os.rename(made, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_folder(folder: str | os.PathLike, files: Mapping[str, bytes]) -> Path:
    """Writes files into a new folder.

    Args:
      folder: see `new_folder`.
      files: content by name, in which `/` parts folders.

    Returns:
      The folder.
    """
    with new_folder(folder) as made:
        for name, content in files.items():
            inner = made / name
            inner.parent.mkdir(parents=True, exist_ok=True)
            with open(inner, "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
    return Path(folder).expanduser()

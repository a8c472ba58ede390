"""One function from a file's bytes to a film."""

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metabone.errors import InputError
from metabone.imaging.dicom import read_dicom
from metabone.imaging.dicom_facts import MIN_SALT
from metabone.imaging.elements import looks_like_dicom
from metabone.imaging.film import MAX_BYTES, Film, Refused
from metabone.imaging.pictures import NAMES, looks_like_picture, read_picture

# Warnings and loggers belong to the whole process, so files are read one at a time.
_ALONE = threading.Lock()
_TALKATIVE = ("pydicom", "pylibjpeg", "libjpeg", "openjpeg", "PIL")


def read_film(data: bytes, name: str, *, salt: bytes | None = None, luma: bool = False) -> Film:
    """Reads a film from DICOM or a picture, told apart by their content; see `pictures.FORMATS`.

    Nothing that names a patient leaves this function: neither in the film, nor in a message, a
    warning, a log or an exception's causes. The memory it takes is bounded by `MAX_BYTES` and
    `MAX_PIXELS`, both checked before anything is decoded.

    Args:
      data: the file's bytes.
      name: of the file, for the message.
      salt: at least 16 secret bytes; with them `Film.group` tells the films of a patient apart
        from others', without them it is None.
      luma: whether a picture in colours becomes grey; else it is refused, as a DICOM in colours
        always is.

    Returns:
      The film.

    Raises:
      InputError: it is no film: one line, naming what was found and what a film has.
    """
    if salt is not None and len(salt) < MIN_SALT:
        raise InputError(f"salt of {len(salt)} bytes; at least {MIN_SALT} keep identifiers secret")
    _check_size(len(data), name)
    film, problem = None, ""
    with _ALONE, _silence():
        try:
            film = _read(data, salt, luma)
        except Refused as refusal:
            problem = str(refusal)
        except MemoryError:
            problem = "too large for the memory of this machine"
        except Exception:
            problem = "damaged or cut off"
    if film is None:
        # Raised out here, so that no decoder's words hang on as its context.
        raise InputError(f"{name}: {problem}")
    return film


def read_film_file(path: str | os.PathLike[str], *, salt: bytes | None = None) -> Film:
    """Reads a film from a file, whose size is looked at before its bytes.

    Args:
      path: of the file.
      salt: as of `read_film`.

    Returns:
      The film.

    Raises:
      InputError: there is no such file, or it is no film.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    _check_size(path.stat().st_size, str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return read_film(data, str(path), salt=salt)


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise InputError(
            f"{name}: {size >> 20} MiB, above the limit of {MAX_BYTES >> 20} MiB for a film"
        )


def _read(data: bytes, salt: bytes | None, luma: bool) -> Film:
    if not data:
        raise Refused("an empty file")
    # DICOM first: what stands before it may look like a TIFF, for programs that know only that.
    if looks_like_dicom(data):
        return read_dicom(data, salt)
    if looks_like_picture(data):
        return read_picture(data, luma=luma)
    raise Refused(f"not a DICOM, {NAMES} file")


@contextmanager
def _silence() -> Iterator[None]:
    loud = [
        logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger)
        and name.split(".")[0] in _TALKATIVE
        and not logger.disabled
    ]
    for logger in loud:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger in loud:
            logger.disabled = False

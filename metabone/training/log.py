"""A log of all that a command says on stderr, with the time. Imports nothing heavy."""

import logging
import os
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any

from absl import logging as absl_logging  # noqa: F401  (makes the logger whose level is set here)

from metabone.errors import InputError

_LOUD = ("jax", "orbax", "absl", "tensorflow_datasets")


def quieten() -> None:
    """Shows only errors of the libraries that warn of what no user can change."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)


def keep_log(folder: str, name: str) -> Callable[[str], None]:
    """Also writes all that is said on stderr into a file, and warnings of libraries.

    Args:
      folder: where; made if missing.
      name: of the command; the file is called after it and the time.

    Returns:
      A function that notes one line more.

    Raises:
      InputError: it cannot be written.
    """
    path = os.path.join(folder, f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.log")
    try:
        os.makedirs(folder, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"--log_dir={folder}: cannot write {path}: {error.strerror}") from None

    def note(text: str) -> None:
        # One unbuffered write a line: nothing is lost however the process ends.
        os.write(file, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode())

    note("command: " + shlex.join(sys.argv))
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.ERROR)
    for each in _LOUD:
        logger = logging.getLogger(each)
        logger.setLevel(logging.WARNING)
        logger.handlers, logger.propagate = [_Noted(note), shown], False
    sys.stderr = _Heard(sys.stderr, note)
    return note


class _Noted(logging.Handler):
    def __init__(self, note):
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(f"{record.levelname.lower()} of {record.name}: {record.getMessage()}")


class _Heard:
    """A stream whose lines are noted; of a progress bar's, what it ends as."""

    def __init__(self, stream, note):
        self._stream, self._note, self._begun = stream, note, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._note(line.rstrip("\r").rpartition("\r")[2])
        self._begun = self._begun.rpartition("\r")[2] or self._begun
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

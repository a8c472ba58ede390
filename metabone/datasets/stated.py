"""What the folder that holds images states of them: citation, terms, and how they are read."""

import json
from collections.abc import Callable
from typing import NamedTuple

from metabone.errors import InputError

SOURCE_FILE = "source.json"
NOT_STATED = "not stated: the user's own images"
_LONGEST = 2000
_PAGES = {"white": 255, "black": 0}


class Stated(NamedTuple):
    """What a folder says of its images.

    Attributes:
      citation: what to cite, one line.
      licence: terms of use.
    """

    citation: str
    licence: str


def stated_by(read: Callable[[], bytes] | None, where: str) -> Stated:
    """Reads `source.json`: an object that may have `citation` and `licence`, both text.

    Args:
      read: gives its bytes; None where there is no such file, as nothing is then known.
      where: names it in messages.

    Returns:
      What it states, each on one line, or `NOT_STATED`.

    Raises:
      InputError: it is no such object.

    Example:
      >>> stated_by(lambda: b'{"licence": "CC0"}', "films/source.json").licence
      'CC0'
    """
    return Stated(**(dict.fromkeys(Stated._fields, NOT_STATED) | _lines(read, where, ())))


def stated_of_pictures(read: Callable[[], bytes] | None, where: str) -> tuple[Stated, int]:
    """Reads `source.json` of pictures, which may also have `transparency`, `white` or `black`.

    Args:
      read: as of `stated_by`.
      where: likewise.

    Returns:
      What it states, and what transparency is laid over, see `reading.decode`; white if not stated.

    Raises:
      InputError: it is no such object.
    """
    lines = _lines(read, where, ("transparency",))
    over = lines.pop("transparency", "white")
    if over not in _PAGES:
        raise InputError(f"{where}: transparency is {over!a}, expected white or black")
    return Stated(**(dict.fromkeys(Stated._fields, NOT_STATED) | lines)), _PAGES[over]


def _lines(read: Callable[[], bytes] | None, where: str, more: tuple[str, ...]) -> dict[str, str]:
    if read is None:
        return {}
    names = (*Stated._fields, *more)
    expected = f"{', '.join(names[:-1])} and {names[-1]}"
    try:
        found = json.loads(read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InputError(f"{where}: not JSON; expected {expected} as text") from None
    if not isinstance(found, dict) or not set(found) <= set(names):
        raise InputError(f"{where}: expected an object of {expected}, and nothing else")
    for name, text in found.items():
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise InputError(f"{where}: {name} must be text of at most {_LONGEST} characters")
    return {name: " ".join(text.split()) for name, text in found.items()}

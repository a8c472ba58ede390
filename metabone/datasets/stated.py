"""Citation and terms of images, as the folder that holds them states them."""

import json
from collections.abc import Callable
from typing import NamedTuple

from metabone.errors import InputError

SOURCE_FILE = "source.json"
NOT_STATED = "not stated: the user's own images"
_LONGEST = 2000


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
    if read is None:
        return Stated(NOT_STATED, NOT_STATED)
    try:
        found = json.loads(read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise InputError(f"{where}: not JSON; expected citation and licence as text") from None
    if not isinstance(found, dict) or not set(found) <= set(Stated._fields):
        raise InputError(f"{where}: expected an object of citation and licence, and nothing else")
    for name, text in found.items():
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise InputError(f"{where}: {name} must be text of at most {_LONGEST} characters")
    lines = {name: " ".join(text.split()) for name, text in found.items()}
    return Stated(**{name: lines.get(name, NOT_STATED) for name in Stated._fields})

"""Files of films that are called by their ids, as they lie beside a table of these."""

import re
from collections import Counter
from collections.abc import Sequence

from metabone.datasets.archives import Members, litter_in
from metabone.datasets.class_folders import is_text
from metabone.datasets.hand_labels import check_unmatched
from metabone.errors import InputError

_IMAGE_NAME = re.compile(r"(.+)\.(jpe?g|jfif|png|tiff?|bmp|webp|gif)", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_.-]+")


def check_id(name: str, where: object) -> None:
    """Raises `InputError` for an id that is more than letters, digits, `_`, `.` and `-`."""
    if not _ID.fullmatch(name):
        raise InputError(f"{where}: id {name!a} must be letters, digits, '_', '.' or '-'")


def files_by_id(members: Members) -> tuple[dict[str, str], Counter[str]]:
    """Finds the file of each id at any depth of a folder or zip.

    Args:
      members: of that folder or zip.

    Returns:
      From id to the name of its file; and what was passed over, such as READMEs.

    Raises:
      InputError: there is another file, or a second image of an id.
    """
    file_of: dict[str, str] = {}
    passed = Counter(map(litter_in, members.passed_over))
    for name in members.names:
        base = name.rsplit("/", 1)[-1]
        if is_text(base):
            passed[base] += 1
            continue
        match = _IMAGE_NAME.fullmatch(base)
        if not match:
            raise InputError(f"{members.where(name)}: expected only <id>.jpg, <id>.png or alike")
        if match[1] in file_of:
            raise InputError(f"{members.where(name)}: a second image of '{match[1]}'")
        file_of[match[1]] = name
    return file_of, passed


def without_partner(
    what: str, names: Sequence[str], total: int, lack: str, place: object, *, any_number=False
) -> str:
    """What is said of rows without an image, or of images without a row.

    Args:
      what: they are, `rows` or `images`.
      names: their ids.
      total: rows or images that there are.
      lack: what they have none of.
      place: where that was looked for.
      any_number: whether all of them may be left out, and not `hand_labels.MOST_UNMATCHED`.

    Returns:
      One sentence; empty for none.

    Raises:
      InputError: they are too many.
    """
    if not names:
        return ""
    note = f"{len(names)} of {total} {what} have no {lack}"
    if not any_number:
        check_unmatched(len(names), total, f"{place}: {note} (the first is {names[0]!a})")
    return f"{note} and are left out"

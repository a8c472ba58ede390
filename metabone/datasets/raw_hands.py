"""Files of hand films as they lie on disk, and the names that their films get."""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from metabone.datasets.archives import Members, open_members
from metabone.datasets.hand_labels import (
    HandLabel,
    check_unmatched,
    read_hand_labels,
    with_names_of_files,
)
from metabone.datasets.prepared_hands import LABELS, MAX_NAME, is_safe_name
from metabone.datasets.progress import progress
from metabone.datasets.stated import SOURCE_FILE, Stated, stated_by
from metabone.errors import InputError

_MAX_FILES = 100_000
_IMAGES = ("images.zip", "images")


class RawHands(NamedTuple):
    """Files of films, none of which has been decoded.

    Attributes:
      files: `n` names, relative to where they lie.
      names: `n` names of the films to be made.
      shown: `n` names of files as they may be told, empty where they may name a patient.
      labels: rows of `labels.csv`, of which a few may have no film; None where there is no such
        file.
      stated: citation and licence.
      fingerprint: SHA-256 in hex of all names, contents and labels.
      read: gives a file's bytes by its name; raises `InputError` for one that cannot be read.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    shown: tuple[str, ...]
    labels: tuple[HandLabel, ...] | None
    stated: Stated
    fingerprint: str
    read: Callable[[str], bytes]


@contextlib.contextmanager
def open_raw_hands(path: Path, *, keep_names: bool = False) -> Iterator[RawHands]:
    """Lists files of films; all of them are read once, for the fingerprint.

    A film that `labels.csv` names is called by its id there. The names of other files may name
    patients, so their films are called by the first digits of the SHA-256 of their bytes.

    Args:
      path: A folder or zip, looked through at any depth; or a folder of `labels.csv` with films in
        `images.zip`, in `images/`, or beside it.
      keep_names: Whether films are called by their files and files are told all the same.

    Yields:
      The files, in order of name.

    Raises:
      InputError: There are none, or labels and files do not fit together.
    """
    labels = path / LABELS if path.is_dir() else None
    rows = read_hand_labels(labels) if labels and labels.is_file() else None
    beside = path / SOURCE_FILE
    stated = stated_by(beside.read_bytes if beside.is_file() else None, str(beside))
    with open_members(_place(path, rows is not None)) as members:
        files = tuple(name for name in members.names if name not in (LABELS, SOURCE_FILE))
        if not files:
            raise InputError(f"{members.path}: holds no films")
        if len(files) > _MAX_FILES:
            raise InputError(f"{members.path}: above the limit of {_MAX_FILES} files")
        if rows is not None:
            places = map(PurePosixPath, files)
            known = {name for place in places for name in (place.name, place.stem)}
            rows, _ = with_names_of_files(rows, known, labels)
        id_of = {} if rows is None else _match(rows, files, members)
        digests = [_digest(members, name) for name in progress(files, "reading files", len(files))]
        names = _names(files, digests, id_of, keep_names)
        told = [
            name if keep_names else os.path.basename(name) if name in id_of else ""
            for name in files
        ]
        content = repr((sorted(zip(files, digests, strict=True)), rows, stated, keep_names))
        fingerprint = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
        yield RawHands(files, names, tuple(told), rows, stated, fingerprint, members.read)


def _place(path: Path, labelled: bool) -> Path:
    """Where films lie below a folder."""
    found = [path / name for name in _IMAGES if labelled and (path / name).exists()]
    if len(found) > 1:
        raise InputError(f"{path}: has both images.zip and images/, keep one")
    return found[0] if found else path


def _match(rows: Sequence[HandLabel], files: Sequence[str], members: Members) -> dict[str, str]:
    """The id of each file that has one, whatever its suffix."""
    for row in rows:
        if not is_safe_name(row.id):
            raise InputError(
                f"{members.path}: id {row.id!a} of {LABELS} is no safe name for a file: expected "
                f"at most {MAX_NAME} letters, digits, '_', '.' or '-', the first no '.' or '-'"
            )
    known = {row.id for row in rows}
    id_of: dict[str, str] = {}
    matched: set[str] = set()
    for name in files:
        base = PurePosixPath(name)
        found = next((each for each in (base.name, base.stem) if each in known), None)
        if found is not None:
            if found in matched:
                raise InputError(f"{members.where(name)}: a second film of '{found}'")
            matched.add(found)
            id_of[name] = found
    without = known - matched
    if without:
        count = f"{len(without)} of {len(rows)}"
        message = (
            f"{members.path}: holds no film of id '{min(without)}' of {LABELS} ({count} have none)"
        )
        check_unmatched(len(without), len(rows), message)
    return id_of


def _digest(members: Members, name: str) -> str:
    try:
        return hashlib.sha256(members.read(name)).hexdigest()
    except InputError:
        # What cannot be read is told of as such later, in its row.
        return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _names(
    files: Sequence[str], digests: Sequence[str], id_of: dict[str, str], keep_names: bool
) -> tuple[str, ...]:
    # Some file systems take 'a' and 'A' for one.
    taken = {name.casefold() for name in id_of.values()}
    if len(taken) < len(id_of):
        raise InputError(f"{LABELS}: two ids differ in nothing but capitals")
    names = []
    for file, digest in zip(files, digests, strict=True):
        if file in id_of:
            names.append(id_of[file])
            continue
        name = wanted = _safe(file) if keep_names else f"film-{digest[:12]}"
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def _safe(file: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePosixPath(file).stem).lstrip(".-")
    return stem[: MAX_NAME - 10] or "film"

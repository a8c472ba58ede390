"""Folders that name classes: which class each file below them has."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import PurePosixPath

from metabone.datasets.archives import Members, litter_in
from metabone.datasets.stated import SOURCE_FILE
from metabone.errors import InputError

_TEXT = re.compile(r"(readme|licen[cs]e).*|.+\.(csv|tsv|md|xlsx?)", re.IGNORECASE)
_MASKS = re.compile(r"(.*[_ -])?(masks?|segmentations?|thumb(nail)?s?|previews?)", re.IGNORECASE)
_MASK = re.compile(r"(.+)_mask(_\d+)?", re.IGNORECASE)
_PART = re.compile(
    r"(train|val|valid|test|dev|fold|split|part)(ing|idation)?[_ -]?(\d*|set|data)", re.IGNORECASE
)
_MOST_TOLD = 10


def classes_by_folder(members: Members, parted: bool = False) -> dict[str, str]:
    """The class of each image: the name of the folder at the top that holds it, at any depth.

    A single folder around all the classes is looked through, since zips are often made so. What
    `source.json` beside the classes is for, see `stated.stated_by`. Tables and texts beside images,
    and masks and thumbnails below a class, are no images; see `passed_over`.

    Args:
      members: a folder or zip.
      parted: whether folders at the top may be parts or folds of one set, as `parts_by_folder`
        tells, each with the classes below it; else that is refused.

    Returns:
      From file to class, in order of file. What a file holds counts and not its name, so that it is
      found when it is read.

    Raises:
      InputError: fewer than two classes, a class without images, an image beside the classes, or
        folders at the top that are parts or folds of one set, each with the classes below it.
    """
    wrap = _wrap(members)
    label_of = _folders_at(members, wrap)
    above = _parts_above(label_of, wrap)
    if above and not parted:
        raise _with_parts(members, label_of, wrap, *above)
    if above:
        wrap += 1
        label_of = _folders_at(members, wrap)
    folders = [folder.split("/") for folder in members.folders if folder]
    expected = {parts[wrap] for parts in folders if len(parts) > wrap}
    empty = sorted(expected - set(label_of.values()))
    if empty:
        raise InputError(f"{members.path}: class folder '{empty[0]}' holds no images")
    if len(expected) < 2:
        raise InputError(
            f"{members.path}: holds {len(expected)} class folders, expected two or more"
        )
    return label_of


def parts_by_folder(members: Members) -> dict[str, str]:
    """From file to the part or fold that the folder at the top names; empty where none does."""
    wrap = _wrap(members)
    top_of = _folders_at(members, wrap)
    return top_of if _parts_above(top_of, wrap) else {}


def beside_classes(members: Members) -> tuple[Callable[[], bytes] | None, str]:
    """How `source.json` beside the class folders is read, None where there is none; and its name.

    See `stated.stated_by`, which takes the two.
    """
    name = _source_file(members)
    known = name in members.names
    return (lambda: members.read(name)) if known else None, members.where(name)


def passed_over(members: Members) -> str:
    """What lies among the images of classes and is none of them, one sentence; empty for nothing.

    That is what operating systems leave behind; tables, READMEs and terms; folders of masks or
    thumbnails below a class; and `x_mask.png` beside `x.png`.

    Args:
      members: a folder or zip.
    """
    found = Counter(litter_in(name) for name in members.passed_over)
    found.update(_beside(members).values())
    return passed_in_words(found)


def passed_in_words(found: Counter[str]) -> str:
    """What was passed over and how many files of it, one sentence; empty for nothing.

    >>> passed_in_words(Counter({"Thumbs.db": 1, "masks": 3}))
    'passed over: Thumbs.db, masks (3 files)'
    """
    told = [
        "".join(filter(str.isprintable, what)) + (f" ({count} files)" if count > 1 else "")
        for what, count in sorted(found.items())
    ]
    more = [f"and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
    return f"passed over: {', '.join([*told[:_MOST_TOLD], *more])}" if told else ""


def is_text(name: str) -> bool:
    """Whether a file's name is of a table, a README or terms, which often lie beside images."""
    return _TEXT.fullmatch(name) is not None


def _beside(members: Members) -> dict[str, str]:
    """From the files that are passed over to what they are told as."""
    wrap = _wrap(members)
    stems = {str(PurePosixPath(name).with_suffix("")) for name in members.names}
    found = {}
    for name in members.names:
        path = PurePosixPath(name)
        masks = next((part for part in path.parts[wrap + 1 : -1] if _MASKS.fullmatch(part)), None)
        mask_of = _MASK.fullmatch(path.stem)
        if masks or is_text(path.name):
            found[name] = masks or path.name
        elif mask_of and str(path.with_name(mask_of[1])) in stems:
            found[name] = f"*_mask{path.suffix}"
    return found


def _folders_at(members: Members, depth: int) -> dict[str, str]:
    """From image to the folder at a depth that holds it."""
    beside = _beside(members)
    found = {}
    for name in members.names:
        parts = name.split("/")
        if name == _source_file(members) or name in beside:
            continue
        if len(parts) < depth + 2:
            raise InputError(
                f"{members.where(name)}: lies outside the classes; expected one folder a class"
            )
        found[name] = parts[depth]
    return found


def _parts_above(label_of: dict[str, str], wrap: int) -> tuple[list[str], list[str], bool] | None:
    """The parts of train/A, train/B, test/A, test/B, what they share, and whether names say so."""
    below: dict[str, set[str]] = defaultdict(set)
    for name, top in label_of.items():
        # An image right below the top counts as in a folder without a name.
        below[top].update([*name.split("/")[wrap + 1 : -1], ""][:1])
    parts = [top for top in below if _PART.fullmatch(top)]
    named = len(parts) > 1
    if not named:
        parts = list(below)
        inner = next(iter(below.values()), set())
        # A class may be parted itself: each class/train, class/test is that class.
        parted = all(map(_PART.fullmatch, inner))
        if len(parts) < 2 or parted or any(below[part] != inner for part in parts):
            return None
    shared = sorted(set.intersection(*(below[part] for part in parts)) - {""})
    return None if len(shared) < (1 if named else 2) else (parts, shared, named)


def _with_parts(
    members: Members,
    label_of: dict[str, str],
    wrap: int,
    parts: list[str],
    shared: list[str],
    named: bool,
) -> InputError:
    """Parts above classes would pass for classes."""
    around = next(iter(label_of)).split("/")[:wrap]
    first = min(parts, key=lambda part: (not part.lower().startswith("train"), part))
    place = os.path.join(members.path, *around, first)
    unpack = "unpack it and " if members.path.is_file() else ""
    return InputError(
        f"{members.path}: the same folders ({_some(shared)}) stand below {_some(sorted(parts))}, "
        f"which are parts and no classes; {unpack}give one part, such as folder:{place}"
        + ("" if named else ", or if they are classes put their images right below them")
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _wrap(members: Members) -> int:
    folders = [folder for folder in members.folders if folder]
    top = {folder.split("/", 1)[0] for folder in folders}
    # One folder around everything is a wrapping, not a class.
    return 1 if len(top) == 1 and any("/" in folder for folder in folders) else 0


def _source_file(members: Members) -> str:
    around = members.folders[0].split("/", 1)[0] + "/" if _wrap(members) else ""
    inner = around + SOURCE_FILE
    return inner if inner in members.names else SOURCE_FILE

"""Folders that name classes: which class each file below them has."""

from metabone.datasets.archives import Members
from metabone.datasets.stated import SOURCE_FILE, Stated, stated_by
from metabone.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg")
"""How the names of images end that sources read."""


def classes_by_folder(members: Members, suffixes: tuple[str, ...] = SUFFIXES) -> dict[str, str]:
    """The class of each image: the name of the folder at the top that holds it, at any depth.

    A single folder around all the classes is looked through, since zips are often made so. What
    `source.json` beside the classes is for, see `stated.stated_by`.

    Args:
      members: a folder or zip.
      suffixes: how names of images end, in small letters; `("",)` for any.

    Returns:
      From file to class, in order of file.

    Raises:
      InputError: fewer than two classes, a class without images, a file that is no image.
    """
    folders = [folder for folder in members.folders if folder]
    wrap = _wrap(members)
    expected = set()
    for folder in folders:
        parts = folder.split("/")
        if len(parts) > wrap:
            expected.add(parts[wrap])
    label_of = {}
    for name in members.names:
        parts = name.split("/")
        if name == _source_file(members):
            continue
        if len(parts) < wrap + 2:
            raise InputError(
                f"{members.where(name)}: lies outside the classes; expected one folder a class"
            )
        if not name.lower().endswith(suffixes):
            raise InputError(f"{members.where(name)}: neither .png nor .jpg")
        label_of[name] = parts[wrap]
    empty = sorted(expected - set(label_of.values()))
    if empty:
        raise InputError(f"{members.path}: class folder '{empty[0]}' holds no images")
    if len(expected) < 2:
        raise InputError(
            f"{members.path}: holds {len(expected)} class folders, expected two or more"
        )
    return label_of


def stated_beside_classes(members: Members) -> Stated:
    """What `source.json` beside the class folders states; see `stated.stated_by`."""
    name = _source_file(members)
    known = name in members.names
    return stated_by((lambda: members.read(name)) if known else None, members.where(name))


def _wrap(members: Members) -> int:
    folders = [folder for folder in members.folders if folder]
    top = {folder.split("/", 1)[0] for folder in folders}
    # One folder around everything is a wrapping, not a class.
    return 1 if len(top) == 1 and any("/" in folder for folder in folders) else 0


def _source_file(members: Members) -> str:
    around = members.folders[0].split("/", 1)[0] + "/" if _wrap(members) else ""
    inner = around + SOURCE_FILE
    return inner if inner in members.names else SOURCE_FILE

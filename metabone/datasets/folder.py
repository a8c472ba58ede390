"""Bring your own images: a folder or zip with one folder a class."""

from pathlib import Path

import tensorflow_datasets as tfds

from metabone.datasets.archives import Members, open_members
from metabone.datasets.labelled import (
    LabelledImages,
    Listing,
    RecordImages,
    by_class,
    open_labelled,
)
from metabone.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg")


class Folder(LabelledImages):
    """Images as their own JPEG or PNG files, with the class that their folder names."""

    VERSION = tfds.core.Version("1.1.0")
    DESCRIPTION = "Images of a folder or zip with one folder a class."
    CITATION = "not stated: the user's own images"
    LICENCE = "not stated: the user's own images"


def open_images(
    path: Path, *, source: str, size: int, channels: int, data_dir: str | None = None
) -> RecordImages:
    """Opens the images of a folder or zip; each folder at its top is a class.

    Folders below a class's folder belong to that class. A single folder around all the classes is
    looked through, since zips are often made so.

    Args:
      path: The folder or zip.
      source: The source string as given, for the record.
      size: Height and width of the images.
      channels: 1 or 3.
      data_dir: Where prepared records lie, see `data_dir.resolve_data_dir`.

    Returns:
      The images by class, classes and files in order of name.

    Raises:
      InputError: Fewer than two classes, a class without images, a file that is no image, or one
        image in two classes.
    """
    with open_members(path) as members:
        listing = Listing(
            files=_classes(members),
            read=members.read,
            fingerprint=members.fingerprint(),
            where=members.where,
        )
        return open_labelled(
            Folder, listing, source=source, size=size, channels=channels, data_dir=data_dir
        )


def _classes(members: Members) -> dict[str, str]:
    """The class of each file, ordered by class and name."""
    folders = [folder for folder in members.folders if folder]
    top = {folder.split("/", 1)[0] for folder in folders}
    # One folder around everything is a wrapping, not a class.
    wrap = 1 if len(top) == 1 and any("/" in folder for folder in folders) else 0
    expected = set()
    for folder in folders:
        parts = folder.split("/")
        if len(parts) > wrap:
            expected.add(parts[wrap])
    label_of = {}
    for name in members.names:
        parts = name.split("/")
        if len(parts) < wrap + 2:
            raise InputError(
                f"{members.where(name)}: lies outside the classes; expected one folder a class"
            )
        if not name.lower().endswith(_SUFFIXES):
            raise InputError(f"{members.where(name)}: neither .png nor .jpg")
        label_of[name] = parts[wrap]
    empty = sorted(expected - set(label_of.values()))
    if empty:
        raise InputError(f"{members.path}: class folder '{empty[0]}' holds no images")
    if len(expected) < 2:
        raise InputError(
            f"{members.path}: holds {len(expected)} class folders, expected two or more"
        )
    return by_class(label_of)

"""Bring your own images: a folder or zip with one folder a class."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from metabone.datasets.archives import open_members
from metabone.datasets.class_folders import (
    beside_classes,
    classes_by_folder,
    parts_by_folder,
    passed_over,
)
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.datasets.stated import NOT_STATED, stated_of_pictures


class Folder(LabelledImages):
    """Images as their own files, with the class that their folder names."""

    VERSION = tfds.core.Version("1.1.0")
    DESCRIPTION = "Images of a folder or zip with one folder a class."
    CITATION = LICENCE = NOT_STATED


@contextlib.contextmanager
def list_folder(path: Path, parted: bool = False) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists the images of a folder or zip; each folder at its top is a class.

    Folders below a class's folder belong to that class. A single folder around all the classes is
    looked through, since zips are often made so. `source.json` beside the classes states citation
    and licence, and what transparency is laid over.

    Args:
      path: The folder or zip.
      parted: Whether folders at the top may be parts, see `classes_by_folder`.

    Yields:
      The builder, and the images.

    Raises:
      InputError: Fewer than two classes, a class without images, a file that is no image, or a
        `source.json` that states something else.
    """
    with open_members(path) as members:
        files = classes_by_folder(members, parted)
        passed = passed_over(members)
        stated, page = stated_of_pictures(*beside_classes(members))
        yield (
            Folder,
            Listing(
                files=files,
                read=members.read,
                fingerprint=members.fingerprint(),
                where=members.where,
                notes=(passed,) if passed else (),
                stated=stated,
                page=page,
                parts=parts_by_folder(members) if parted else {},
            ),
        )

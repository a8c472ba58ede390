"""Bring your own images: a folder or zip with one folder a class."""

import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets.archives import open_members
from metabone.datasets.class_folders import classes_by_folder, passed_over, stated_beside_classes
from metabone.datasets.labelled import (
    LabelledImages,
    Listing,
    RecordImages,
    by_class,
    open_labelled,
)
from metabone.datasets.stated import NOT_STATED

_MOST_TOLD = 10


class Folder(LabelledImages):
    """Images as their own JPEG or PNG files, with the class that their folder names."""

    VERSION = tfds.core.Version("1.1.0")
    DESCRIPTION = "Images of a folder or zip with one folder a class."
    CITATION = LICENCE = NOT_STATED


def open_images(
    path: Path, *, source: str, size: int, channels: int, data_dir: str | None = None
) -> RecordImages:
    """Opens the images of a folder or zip; each folder at its top is a class.

    Folders below a class's folder belong to that class. A single folder around all the classes is
    looked through, since zips are often made so. `source.json` beside the classes states citation
    and licence. Classes and counts are told on stderr, and what was passed over.

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
        image in two classes, a `source.json` that states something else.
    """
    with open_members(path) as members:
        listing = Listing(
            files=by_class(classes_by_folder(members)),
            read=members.read,
            fingerprint=members.fingerprint(),
            where=members.where,
        )
        stated, passed = stated_beside_classes(members), passed_over(members)
        images = open_labelled(
            Folder, listing, source=source, size=size, channels=channels, data_dir=data_dir
        )
    print("; ".join(filter(None, [f"{path}: {_counted(images)}", passed])), file=sys.stderr)
    conversions = (*filter(None, [passed]), *images.provenance.conversions)
    provenance = dataclasses.replace(images.provenance, conversions=conversions, **stated._asdict())
    return dataclasses.replace(images, provenance=provenance)


def _counted(images: RecordImages) -> str:
    counts = np.bincount(images.labels).tolist()
    each = zip(images.class_names, counts, strict=True)
    told = ", ".join(f"{name} {count}" for name, count in itertools.islice(each, _MOST_TOLD))
    more = ", ..." if len(counts) > _MOST_TOLD else ""
    return f"{len(images)} images of {len(counts)} classes: {told}{more}"

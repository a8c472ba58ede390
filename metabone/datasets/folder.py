"""Bring your own images: a folder or zip with one folder a class."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets import reading
from metabone.datasets.archives import Members, open_members
from metabone.datasets.fingerprints import check_one_label, content_sha256, image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.prepared import RecordBuilder, prepare
from metabone.datasets.progress import progress
from metabone.errors import InputError
from metabone.provenance import Provenance

_SUFFIXES = (".png", ".jpg", ".jpeg")


class Folder(RecordBuilder):
    """Images as their own JPEG or PNG files, with the class that their folder names."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Images of a folder or zip with one folder a class."
    CITATION = "not stated: the user's own images"
    LICENCE = "not stated: the user's own images"

    def features(self) -> tfds.features.FeaturesDict:
        """The class by name, and the file's name for messages."""
        return tfds.features.FeaturesDict(
            {
                "file": tfds.features.Text(),
                "label": tfds.features.Text(),
                "image": tfds.features.Image(shape=(None, None, None)),
            }
        )


def load(
    path: Path, *, source: str, size: int, channels: int, data_dir: str | None = None
) -> ImageSet:
    """Loads the images of a folder or zip; each folder at its top is a class.

    Folders below a class's folder belong to that class. A single folder around all the classes is
    looked through, since zips are often made so.

    Args:
      path: The folder or zip.
      source: The source string as given, for the record.
      size: Height and width of the images.
      channels: 1 or 3.
      data_dir: Where prepared records lie, see `prepared.resolve_data_dir`.

    Returns:
      The images by class, classes and files in order of name.

    Raises:
      InputError: Fewer than two classes, a class without images, a file that is no image, or one
        image in two classes.
    """
    reading.check_size(size)
    records = _records(path, data_dir)
    files, names, images = [], [], []
    notes: Counter[str] = Counter()
    for record in progress(records, "reading images", len(records)):
        files.append(record["file"].decode())
        names.append(record["label"].decode())
        picture = reading.decode(record["image"], f"{path}: {files[-1]}", channels)
        notes.update(picture.conversions)
        images.append(reading.resize(picture.image, size))
    class_names = tuple(sorted(set(names)))
    number = {name: label for label, name in enumerate(class_names)}
    labels = np.asarray([number[name] for name in names], np.int32)
    images = np.stack(images)
    # Once more: what differs in the files may be the same at this size.
    check_one_label(image_fingerprints(images), names, [f"{path}: {file}" for file in files])
    counted = (f"{note} ({count} of {len(files)} images)" for note, count in sorted(notes.items()))
    return ImageSet(
        images=images,
        labels=labels,
        class_names=class_names,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(images, np.asarray(names)),
            count=len(files),
            citation=Folder.CITATION,
            licence=Folder.LICENCE,
            conversions=(*counted, reading.resize_note(size)),
        ),
    )


def _records(path: Path, data_dir: str | None):
    with open_members(path) as members:
        label_of = _classes(members)

        def read() -> Iterator[dict[str, object]]:
            for file, label in label_of.items():
                yield {"file": file, "label": label, "image": members.read(file)}

        def check() -> None:
            fingerprints = []
            for file in progress(label_of, "checking images", len(label_of)):
                image = reading.decode(members.read(file), members.where(file), channels=3).image
                fingerprints += image_fingerprints(np.asarray(image)[None])
            names = [members.where(file) for file in label_of]
            check_one_label(fingerprints, list(label_of.values()), names)

        parts = (str(Folder.VERSION), members.fingerprint())
        return prepare(
            lambda folder: Folder(records=read, data_dir=folder),
            name=Folder.name,
            fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            data_dir=data_dir,
            check=check,
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
    return dict(sorted(label_of.items(), key=lambda item: (item[1], item[0])))

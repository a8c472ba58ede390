"""Labelled images as their own files: prepared once, then read whole or a few at a time."""

import dataclasses
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets import reading
from metabone.datasets.fingerprints import (
    check_one_label,
    image_fingerprints,
    under_two_labels,
)
from metabone.datasets.images import ImageSet
from metabone.datasets.plain_jpeg import decode_plain
from metabone.datasets.prepared import RecordBuilder, Records, prepare
from metabone.datasets.progress import progress
from metabone.datasets.stated import Stated
from metabone.provenance import Provenance

_READERS = 2  # Decoders let go of the interpreter's lock; more hardly help on a small machine.
_BLOCK = 512
_MOST_TOLD = 10


class LabelledImages(RecordBuilder):
    """A source whose records are image files with the class of each; sources derive from it.

    Attributes:
      AMBIGUOUS: Largest share of images that may stand under two labels. Published archives have
        some, which are then left out, all copies, on the record. Above it the source is refused;
        the user's own images are always.
      KEEPS_COPIES: Whether copies of an image within its class stay, where the published tasks need
        every image of a class.
    """

    AMBIGUOUS = 0.0
    KEEPS_COPIES = False

    def features(self) -> tfds.features.FeaturesDict:
        """The file's name for messages, its class by name, and the hash of its pixels as RGB."""
        return tfds.features.FeaturesDict(
            {
                "file": tfds.features.Text(),
                "label": tfds.features.Text(),
                "sha256": tfds.features.Text(),
                "image": tfds.features.Image(shape=(None, None, None)),
            }
        )


class Listing(NamedTuple):
    """What a source consists of, before any image is read.

    Attributes:
      files: Class of each file, in the order of the records; a file's name is what messages say.
      read: The bytes of a PNG or JPEG file.
      fingerprint: Hex digest of everything that the records depend on.
      where: Names a file in full.
      notes: What is to be told of them, such as what was passed over, one sentence each.
      parts: Part of each file, such as train or test, where the source comes in parts.
      stated: Citation and licence where the images come with their own.
    """

    files: Mapping[str, str]
    read: Callable[[str], bytes]
    fingerprint: str
    where: Callable[[str], str]
    notes: tuple[str, ...] = ()
    parts: Mapping[str, str] = MappingProxyType({})
    stated: Stated | None = None


@dataclasses.dataclass(frozen=True)
class RecordImages:
    """Labelled images in prepared records: `N` images of `K` classes, decoded when asked for.

    Attributes:
      records: Prepared records, `N` or more.
      positions: `[N]` int64, the record of each image.
      files: `N` names for messages.
      labels: `[N]` int32 in `0 .. K - 1`.
      class_names: The `K` classes, sorted.
      sha256s: `N` hashes of the decoded images.
      provenance: Where the images came from.
      size: Height and width that images are read at.
      channels: 1 or 3.
    """

    records: Records
    positions: np.ndarray
    files: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    sha256s: tuple[str, ...]
    provenance: Provenance
    size: int
    channels: int

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Reads some images: `[n]` positions to `[n, size, size, channels]` uint8."""
        images = np.empty((len(rows), self.size, self.size, self.channels), np.uint8)
        for place, record in enumerate(self._some(rows)):
            plain = decode_plain(record["image"], self.channels)
            known = plain is not None
            images[place] = reading.resize(plain, self.size) if known else self._decode(record)[0]
        return images

    def whole(self) -> ImageSet:
        """Reads all images into memory.

        Raises:
          InputError: What differs in the files is the same at this size, under two labels.
        """
        images = np.empty((len(self), self.size, self.size, self.channels), np.uint8)
        notes: Counter[str] = Counter()

        def read(rows: range) -> tuple[str, ...]:
            found = []
            for row, record in zip(rows, self._some(rows), strict=True):
                images[row], conversions = self._decode(record)
                found += conversions
            return tuple(found)

        blocks = _blocks(len(self))
        with ThreadPoolExecutor(_READERS) as pool:
            for found in progress(pool.map(read, blocks), "reading images", len(blocks)):
                notes.update(found)
        where = self._origin()
        named = [f"{where}: {file}" for file in self.files]
        names = [self.class_names[label] for label in self.labels]
        check_one_label(image_fingerprints(images), names, named)
        counted = (f"{note} ({n} of {len(self)} images)" for note, n in sorted(notes.items()))
        conversions = (*counted, *self.provenance.conversions)
        provenance = dataclasses.replace(self.provenance, conversions=conversions)
        return ImageSet(images, self.labels, self.class_names, provenance)

    def keep(self, rows: np.ndarray) -> "RecordImages":
        """The images at some positions, ascending; classes without images are left out."""
        rows = np.asarray(rows)
        used, labels = np.unique(self.labels[rows], return_inverse=True)
        return dataclasses.replace(
            self,
            positions=self.positions[rows],
            files=tuple(self.files[row] for row in rows),
            labels=labels.astype(np.int32),
            class_names=tuple(self.class_names[label] for label in used),
            sha256s=tuple(self.sha256s[row] for row in rows),
        )

    def _origin(self) -> str:
        kind, _, path = self.provenance.source.partition(":")
        return path or kind

    def _some(self, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        return self.records.some(self.positions[np.asarray(rows)])

    def _decode(self, record: Mapping[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
        where = f"{self._origin()}: {record['file'].decode()}"
        picture = reading.decode(record["image"], where, self.channels)
        return reading.resize(picture.image, self.size), picture.conversions


def open_labelled(
    builder: type[LabelledImages],
    listing: Listing,
    *,
    source: str,
    size: int,
    channels: int,
    data_dir: str | None = None,
) -> RecordImages:
    """Prepares a source unless that was done before, and opens its records.

    Args:
      builder: States version, citation and licence.
      listing: What the source consists of.
      source: The source string as given, for the record.
      size: Height and width that images are to be read at.
      channels: 1 or 3.
      data_dir: Where prepared records lie, see `data_dir.resolve_data_dir`.

    Returns:
      The images, in the order of the listing. Of copies of an image the first alone is among them,
      as a task could learn from one and be tested on another; a builder may keep them, see
      `LabelledImages`. Classes and counts, the listing's notes and what was left out are told on
      stderr, and but for the counts stand in the provenance.

    Raises:
      InputError: A file is no image, or one image stands under two labels.
    """
    reading.check_size(size)
    files = listing.files
    hashes: dict[str, str] = {}  # of the files that become records

    def digest(file: str) -> str:
        image = reading.decode(listing.read(file), listing.where(file), channels=3).image
        return image_fingerprints(np.asarray(image)[None])[0]

    def check() -> None:
        for file in progress(files, "checking images", len(files)):
            hashes[file] = digest(file)
        twice = under_two_labels(list(hashes.values()), list(files.values()))
        if len(twice) > builder.AMBIGUOUS * len(files):
            names = [listing.where(file) for file in files]
            check_one_label(list(hashes.values()), list(files.values()), names)
        names = list(files)
        for row in twice:
            del hashes[names[row]]

    def read() -> Iterator[dict[str, object]]:
        for file, sha256 in progress(hashes.items(), "preparing images", len(hashes)):
            image = listing.read(file)
            yield {"file": file, "label": files[file], "sha256": sha256, "image": image}

    parts = (str(builder.VERSION), listing.fingerprint)
    records = prepare(
        lambda folder: builder(records=read, data_dir=folder),
        name=builder.name,
        fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        data_dir=data_dir,
        check=check,
    )
    left_out = len(files) - len(records)
    notes = listing.notes
    notes += (f"{left_out} images that stand under two labels left out",) if left_out else ()
    rows = (record for block in _blocks(len(records)) for record in records.some(block))
    index = [tuple(row[key].decode() for key in ("file", "label", "sha256")) for row in rows]
    first_of: dict[str, int] = {}
    for row, (_, _, sha256) in enumerate(index):
        first_of.setdefault(sha256, row)
    positions = list(first_of.values())
    copies = f"{len(index) - len(positions)} copies of other images of their class"
    if len(positions) < len(index):
        if builder.KEEPS_COPIES:
            positions = list(range(len(index)))
            notes += (f"{copies} kept, as published",)
        else:
            notes += (f"{copies} left out",)
    names, labels, sha256s = zip(*(index[row] for row in positions), strict=True)
    class_names = tuple(sorted(set(labels)))
    number = {name: label for label, name in enumerate(class_names)}
    lines = sorted(f"{sha256} {label}\n" for sha256, label in zip(sha256s, labels, strict=True))
    print(f"{source}: {'; '.join([classes_in_words(Counter(labels)), *notes])}", file=sys.stderr)
    stated = listing.stated or Stated(builder.CITATION, builder.LICENCE)
    return RecordImages(
        records=records,
        positions=np.asarray(positions),
        files=names,
        labels=np.asarray([number[label] for label in labels], np.int32),
        class_names=class_names,
        sha256s=sha256s,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=hashlib.sha256("".join(lines).encode()).hexdigest(),
            count=len(names),
            citation=stated.citation,
            licence=stated.licence,
            conversions=(
                *notes,
                "read as RGB" if channels == 3 else "read as grey",
                reading.resize_note(size),
            ),
        ),
        size=size,
        channels=channels,
    )


def by_class(label_of: Mapping[str, str]) -> dict[str, str]:
    """Files with their classes, in order of class and name."""
    return dict(sorted(label_of.items(), key=lambda item: (item[1], item[0])))


def classes_in_words(counts: Mapping[str, int], most: int = _MOST_TOLD) -> str:
    """How many images and classes there are, and the first classes with their counts.

    Args:
      counts: images of each class.
      most: classes that are named.

    >>> classes_in_words({"ulna": 3, "femur": 2})
    '5 images of 2 classes: femur 2, ulna 3'
    """
    told = ", ".join(f"{name} {counts[name]}" for name in sorted(counts)[:most])
    more = ", ..." if len(counts) > most else ""
    return f"{sum(counts.values())} images of {len(counts)} classes: {told}{more}"


def _blocks(count: int) -> list[range]:
    return [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]

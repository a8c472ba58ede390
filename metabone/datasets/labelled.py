"""Labelled images as their own files, checked and prepared once."""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets import reading
from metabone.datasets.fingerprints import (
    check_one_label,
    image_fingerprints,
    under_two_labels,
)
from metabone.datasets.prepared import RecordBuilder, Records, prepare
from metabone.datasets.progress import progress
from metabone.datasets.record_images import RecordImages, blocks_of
from metabone.datasets.stated import Stated
from metabone.provenance import Provenance

# Of what a record holds; what was prepared with another is prepared anew.
_LAYOUT = "2"
_MOST_TOLD = 10
# A grey of three bits fewer than the set's is an eighth as bright at most.
_DARK = 3


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
        """The file's name for messages, its class by name, and what is known of its pixels.

        That is their hash as RGB, and how many bits a grey of 16 bits uses.
        """
        return tfds.features.FeaturesDict(
            {
                "file": tfds.features.Text(),
                "label": tfds.features.Text(),
                "sha256": tfds.features.Text(),
                "bits": np.int64,
                "image": tfds.features.Image(shape=(None, None, None)),
            }
        )


class Listing(NamedTuple):
    """What a source consists of, before any image is read.

    Attributes:
      files: Class of each file, in the order in which they are best read; a file's name is what
        messages say.
      read: The bytes of a picture's file.
      fingerprint: Hex digest of everything that the records depend on.
      where: Names a file in full.
      notes: What is to be told of them, such as what was passed over, one sentence each.
      parts: Part of each file, such as train or test, where the source comes in parts.
      stated: Citation and licence where the images come with their own.
      page: What transparency is laid over, see `reading.decode`.
      groups: Patient of each file, where the source tells them apart.
    """

    files: Mapping[str, str]
    read: Callable[[str], bytes]
    fingerprint: str
    where: Callable[[str], str]
    notes: tuple[str, ...] = ()
    parts: Mapping[str, str] = MappingProxyType({})
    stated: Stated | None = None
    page: int = 255
    groups: Mapping[str, str] = MappingProxyType({})


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
      The images, in order of class and file. Of copies of an image the first alone is among them,
      as a task could learn from one and be tested on another; a builder may keep them, see
      `LabelledImages`. Greys of 16 bits are scaled by as many bits as the set uses. Classes and
      counts, the listing's notes and what was left out are told on stderr, and but for the counts
      stand in the provenance.

    Raises:
      InputError: A file is no image, or one image stands under two labels.
    """
    reading.check_size(size)
    records = _prepared(builder, listing, data_dir)
    left_out = len(listing.files) - len(records)
    notes = listing.notes
    notes += (f"{left_out} images that stand under two labels left out",) if left_out else ()
    index = sorted(_index(records))
    first_of: dict[str, _Entry] = {}
    for entry in index:
        first_of.setdefault(entry.sha256, entry)
    if len(first_of) < len(index):
        copies = f"{len(index) - len(first_of)} copies of other images of their class"
        notes += (f"{copies} {'kept, as published' if builder.KEEPS_COPIES else 'left out'}",)
    kept = index if builder.KEEPS_COPIES else list(first_of.values())
    bits = [entry.bits for entry in kept if entry.bits]
    notes += (depth_in_words(bits),) if bits else ()
    labels, names, sha256s, _, positions = zip(*kept, strict=True)
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
        bits=max(bits, default=0),
        page=listing.page,
        class_parts=_class_parts(listing),
        patients=np.asarray([listing.groups[file] for file in names]) if listing.groups else None,
    )


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


class _Entry(NamedTuple):
    label: str
    file: str
    sha256: str
    bits: int
    position: int


def _index(records: Records) -> Iterator[_Entry]:
    for block in blocks_of(len(records)):
        for place, row in zip(block, records.some(block), strict=True):
            texts = (row[key].decode() for key in ("label", "file", "sha256"))
            yield _Entry(*texts, row["bits"], place)


def _prepared(builder: type[LabelledImages], listing: Listing, data_dir: str | None) -> Records:
    files = listing.files
    known: dict[str, dict[str, object]] = {}  # Of the files that become records.

    def look(file: str) -> dict[str, object]:
        data, where = listing.read(file), listing.where(file)
        picture = reading.decode(data, where, channels=3, page=listing.page)
        [sha256] = image_fingerprints(np.asarray(picture.image)[None])
        return {"sha256": sha256, "bits": picture.bits}

    def check() -> None:
        for file in progress(files, "checking images", len(files)):
            known[file] = look(file)
        hashes = [str(each["sha256"]) for each in known.values()]
        twice = under_two_labels(hashes, list(files.values()))
        if len(twice) > builder.AMBIGUOUS * len(files):
            names = [listing.where(file) for file in files]
            check_one_label(hashes, list(files.values()), names)
        names = list(files)
        for row in twice:
            del known[names[row]]

    def read() -> Iterator[dict[str, object]]:
        for file, found in progress(known.items(), "preparing images", len(known)):
            yield {"file": file, "label": files[file], "image": listing.read(file), **found}

    parts = (str(builder.VERSION), _LAYOUT, listing.fingerprint)
    return prepare(
        lambda folder: builder(records=read, data_dir=folder),
        name=builder.name,
        fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        data_dir=data_dir,
        check=check,
    )


def depth_in_words(bits: Sequence[int]) -> str:
    """How greys of 16 bits are scaled, by as many bits as the set uses.

    Args:
      bits: that each such image uses.

    >>> depth_in_words([12, 12, 11])
    '3 images of 16 bits scaled by the 12 that the set uses'
    """
    most = max(bits)
    dark = sum(each <= most - _DARK for each in bits)
    told = f"{len(bits)} images of 16 bits scaled by the {most} that the set uses"
    return told + (f", of which {dark} are dark: an eighth of that or less" if dark else "")


def _class_parts(listing: Listing) -> dict[str, str]:
    """Part of each class, where each has one and they have several; by the names of splits."""
    found: dict[str, set[str]] = {}
    for file, part in listing.parts.items():
        found.setdefault(listing.files[file], set()).add(part)
    if any(len(parts) > 1 for parts in found.values()):
        return {}
    part_of = {label: next(iter(parts)) for label, parts in found.items()}
    parts = set(part_of.values())
    return part_of if len(parts) > 1 and parts <= {"train", "val", "test"} else {}

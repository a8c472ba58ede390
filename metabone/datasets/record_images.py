"""Labelled images in prepared records, read whole or a few at a time."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from metabone.datasets import reading
from metabone.datasets.fingerprints import check_one_label, image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.plain_jpeg import decode_plain
from metabone.datasets.prepared import Records
from metabone.datasets.progress import progress
from metabone.provenance import Provenance

_READERS = 2  # Decoders let go of the interpreter's lock; more hardly help on a small machine.
_BLOCK = 512


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
      bits: That greys of 16 bits use in the set, see `reading.decode`.
      page: What transparency is laid over, likewise.
      class_parts: Part of each class as the source is published, such as train; else empty.
      patients: `[N]` str where the source tells patients apart, or None.
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
    bits: int = 0
    page: int = 255
    class_parts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    patients: np.ndarray | None = None

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

        blocks = blocks_of(len(self))
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
        told = self.patients, self.class_parts
        return ImageSet(images, self.labels, self.class_names, provenance, *told)

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
            patients=None if self.patients is None else self.patients[rows],
        )

    def _origin(self) -> str:
        kind, _, path = self.provenance.source.partition(":")
        return path or kind

    def _some(self, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        return self.records.some(self.positions[np.asarray(rows)])

    def _decode(self, record: Mapping[str, Any]) -> tuple[np.ndarray, tuple[str, ...]]:
        where = f"{self._origin()}: {record['file'].decode()}"
        image, how = record["image"], dict(bits=self.bits, page=self.page)
        picture = reading.decode(image, where, self.channels, **how)
        return reading.resize(picture.image, self.size), picture.conversions


def blocks_of(count: int) -> list[range]:
    """Positions in blocks that are read at once."""
    return [range(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]

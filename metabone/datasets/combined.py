"""Several sources as one list of classes."""

import csv
import dataclasses
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.datasets.fingerprints import check_one_label, image_fingerprints
from metabone.datasets.images import Images, ImageSet
from metabone.errors import InputError
from metabone.provenance import Provenance

_WNID = re.compile(r"n\d{8}")


class Dropped(NamedTuple):
    """A class that two sources share.

    Attributes:
      class_name: In the source that lost it.
      source: Which that is.
      kept_as: The same class where it stays.
      kept_in: The source where it stays.
      count: Images left out.
    """

    class_name: str
    source: str
    kept_as: str
    kept_in: str
    count: int


@dataclasses.dataclass(frozen=True)
class CombinedImages:
    """Images of several sources under one numbering of classes; see `combine`.

    Attributes:
      parts: The sources, in memory or in records, without the classes dropped.
      labels: `[N]` int32 in `0 .. K - 1`, part after part.
      class_names: The `K` classes, part after part.
      class_sources: `[K]` int, the part of each class.
      sha256s: `N` hashes of the images.
      provenances: One a part.
      dropped: Classes that an earlier part has as well.
    """

    parts: tuple[Images, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    class_sources: tuple[int, ...]
    sha256s: tuple[str, ...]
    provenances: tuple[Provenance, ...]
    dropped: tuple[Dropped, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def provenance(self) -> Provenance:
        """The sources as one, for whoever wants a single line."""
        kinds = {part.kind for part in self.provenances}
        digest = hashlib.sha256("\n".join(part.sha256 for part in self.provenances).encode())
        return Provenance(
            source=" + ".join(part.source for part in self.provenances),
            kind=kinds.pop() if len(kinds) == 1 else "simulated",
            sha256=digest.hexdigest(),
            count=len(self),
            citation="; ".join(dict.fromkeys(part.citation for part in self.provenances)),
            licence="; ".join(dict.fromkeys(part.licence for part in self.provenances)),
        )

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Reads some images: `[n]` positions to `[n, H, W, C]` uint8, or `[n, D]` embeddings."""
        rows = np.asarray(rows)
        ends = np.cumsum([len(part) for part in self.parts])
        owner = np.searchsorted(ends, rows, side="right")
        images = None
        for index, part in enumerate(self.parts):
            mine = np.flatnonzero(owner == index)
            if len(mine):
                found = part.read(rows[mine] - (ends[index] - len(part)))
                if images is None:
                    images = np.empty((len(rows), *found.shape[1:]), found.dtype)
                images[mine] = found
        return images if images is not None else self.parts[0].read(rows)

    def keep(self, rows: np.ndarray) -> "CombinedImages":
        """The images at some positions, ascending; classes without images are left out."""
        rows = np.sort(np.asarray(rows))
        ends = np.cumsum([len(part) for part in self.parts])
        parts = []
        for end, part in zip(ends, self.parts, strict=True):
            start = end - len(part)
            parts.append(part.keep(rows[(rows >= start) & (rows < end)] - start))
        used, labels = np.unique(self.labels[rows], return_inverse=True)
        return dataclasses.replace(
            self,
            parts=tuple(parts),
            labels=labels.astype(np.int32),
            class_names=tuple(self.class_names[label] for label in used),
            class_sources=tuple(self.class_sources[label] for label in used),
            sha256s=tuple(self.sha256s[row] for row in rows),
        )

    def whole(self) -> ImageSet:
        """Reads all images into memory."""
        parts = [part.whole() for part in self.parts]
        images = np.concatenate([part.images for part in parts])
        patients = None
        if any(part.patients is not None for part in parts):
            # Patients of different sources are different; an image without one stands alone.
            own = (range(len(part)) if part.patients is None else part.patients for part in parts)
            patients = np.asarray([f"{n} {each}" for n, some in enumerate(own) for each in some])
        return ImageSet(images, self.labels, self.class_names, self.provenance, patients)


def combine(
    parts: Sequence[Images],
    same: Mapping[str, str] | None = None,
    taken: Mapping[str, str] | None = None,
) -> CombinedImages:
    """Merges sources into one list of classes, in which no class and no image occurs twice.

    Two classes are the same if they bear the same wnid, or if the table says so; the first source
    keeps such a class. Other names that coincide are told apart by their source.

    Args:
      parts: Sources read at one size and number of channels.
      same: From a class name to the name of the class that it is.
      taken: Classes that are dropped in any case, such as those that a learner has seen; from the
        name to where it was.

    Returns:
      The images, part after part. Rows of the table that join no two classes are told on stderr.

    Raises:
      InputError: An image stands under two labels, or a source has nothing left.
    """
    same = dict(same or {})
    tell_unused(_joining_nothing(same, parts, taken or {}), "table of equal classes")
    # What a class is, to its name and source.
    known = {same.get(name, name): (name, where) for name, where in (taken or {}).items()}
    kept, dropped = [], []
    for part in parts:
        source, counts = part.provenance.source, np.bincount(part.labels)
        rows, own = [], {}
        for label, name in enumerate(part.class_names):
            concept = same.get(name, name)
            if concept in known and (concept in same.values() or _WNID.fullmatch(concept)):
                dropped.append(Dropped(name, source, *known[concept], int(counts[label])))
            else:
                own.setdefault(concept, (name, source))
                rows.append(np.flatnonzero(part.labels == label))
        known = own | known
        if not rows:
            raise InputError(f"{source}: earlier sources have all of its classes")
        kept.append(part.keep(np.sort(np.concatenate(rows))))
    names = [name for part in kept for name in part.class_names]
    owners = [index for index, part in enumerate(kept) for _ in part.class_names]
    twice = {name for name, count in Counter(names).items() if count > 1}
    names = [
        f"{kept[owner].provenance.source}/{name}" if name in twice else name
        for name, owner in zip(names, owners, strict=True)
    ]
    starts = np.cumsum([0, *(len(part.class_names) for part in kept)])
    labels = [part.labels + start for part, start in zip(kept, starts, strict=False)]
    sha256s = tuple(sha256 for part in kept for sha256 in _hashes(part))
    labels = np.concatenate(labels).astype(np.int32)
    if len(kept) > 1:
        images = (
            f"image {row} of {part.provenance.source}" for part in kept for row in range(len(part))
        )
        check_one_label(sha256s, labels.tolist(), list(images))
    return CombinedImages(
        parts=tuple(kept),
        labels=labels,
        class_names=tuple(names),
        class_sources=tuple(owners),
        sha256s=sha256s,
        provenances=tuple(_noted(part, dropped) for part in kept),
        dropped=tuple(dropped),
    )


def read_class_table(path: Path) -> dict[str, str]:
    """Reads what a file says of each class: another source's name for it, or its part of a split.

    Args:
      path: A CSV file of two columns: a class's name, and the other, such as `lion,n02129165`. A
        heading is a row like the others; no class has its name.

    Returns:
      From the first to the second.

    Raises:
      InputError: It cannot be read, a row has not two cells, or a name stands twice on the left.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from None
    table: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not all(row):
            raise InputError(f"{path}: {','.join(row)!a}: expected two names")
        if row[0] in table:
            raise InputError(f"{path}: {row[0]!a} stands twice on the left")
        table[row[0]] = row[1]
    return table


def tell_unused(rows: Sequence[str], table: str) -> None:
    """Says on stderr which rows of a table name no class, as a heading or a slip of the pen does.

    Args:
      rows: What stands in them.
      table: Names it.
    """
    if rows:
        print(
            f"{table}: {len(rows)} rows name no class at hand and are not used; the "
            f"first is {rows[0]!a}",
            file=sys.stderr,
        )


def _joining_nothing(
    same: Mapping[str, str], parts: Sequence[Images], taken: Mapping[str, str]
) -> list[str]:
    known = {name for part in parts for name in part.class_names} | set(taken)
    # Classes may be joined by a name that neither bears.
    joined = Counter(concept for name, concept in same.items() if name in known)
    return [
        f"{name},{concept}"
        for name, concept in same.items()
        if name not in known or (concept not in known and joined[concept] < 2)
    ]


def _hashes(part: Images) -> Sequence[str]:
    found = getattr(part, "sha256s", None)
    return image_fingerprints(part.read(np.arange(len(part)))) if found is None else found


def _noted(part: Images, dropped: Sequence[Dropped]) -> Provenance:
    mine = [each for each in dropped if each.source == part.provenance.source]
    if not mine:
        return part.provenance
    kept_in = ", ".join(dict.fromkeys(each.kept_in for each in mine))
    count = sum(each.count for each in mine)
    note = f"{len(mine)} classes ({count} images) left out that {kept_in} has as well"
    return dataclasses.replace(
        part.provenance,
        count=len(part),
        conversions=(*part.provenance.conversions, note),
    )

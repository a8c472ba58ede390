"""Features that were computed elsewhere: an npz of vectors with the label of each."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from metabone.datasets.archives import Members, open_members
from metabone.datasets.arrays import MAX_IMAGES, StoredArray, read_array
from metabone.datasets.fingerprints import check_one_label, content_sha256, image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.labelled import classes_in_words
from metabone.datasets.stated import NOT_STATED
from metabone.errors import InputError
from metabone.provenance import Provenance

MAX_BYTES = 4 * 2**30
"""Of all vectors as float32."""

_ARRAYS = ("vectors", "labels", "groups", "class_names", "ordered")
_LONGEST_TEXT = 200
_WIDEST_FLOAT = 8  # Bytes; wider ones mean another number on another machine.


def load_embeddings(path: Path, source: str = "") -> ImageSet:
    """Reads vectors and their labels.

    Args:
      path: An npz of `vectors`, `[N, D]` floats; `labels`, `[N]` whole numbers or text; and if need
        be `groups`, `[N]` whole numbers or text, of which one, such as a patient, is never both
        learned from and asked for; and `class_names`, `[K]` text: that of label 0, of 1 and so on,
        or of labels that are text, all of them, in the order that they shall have; and `ordered`, a
        bool, see `is_ordered`.
      source: The source string as given, for the record.

    Returns:
      The set, whose images are the vectors, `[N, D]` float32, as they are given. Of copies of a
      vector in its class the first alone is among them, as of images.

    Raises:
      InputError: Another layout, pickled objects, a number that is not finite, one class, or one
        vector under two labels.
    """
    source = source or f"embeddings:{path}"
    with open_members(path) as members:
        vectors, kind = _vectors(members)
        labels, names = _labels(members, len(vectors))
        groups = _cells(members, "groups", len(vectors)) if _holds(members, "groups") else None
        ordered = _ordered(members)
        known = [f"{name}.npy" for name in _ARRAYS]
        unused = [name.removesuffix(".npy") for name in members.names if name not in known]
    hashes = image_fingerprints(vectors)
    check_one_label(hashes, labels.tolist(), [f"{path}: vector {n}" for n in range(len(labels))])
    rows = np.sort(np.unique(hashes, return_index=True)[1])
    copies = len(hashes) - len(rows)
    notes = [f"{kind} read as float32"] * (kind != "float32")
    notes += [f"arrays that are not used: {', '.join(unused)}"] if unused else []
    notes += ["classes are grades in this order"] * ordered
    notes += [f"{copies} copies of other vectors of their class left out"] if copies else []
    vectors, labels = (vectors[rows], labels[rows]) if copies else (vectors, labels)
    counts = Counter(names[label] for label in labels)
    counted = classes_in_words(counts).replace(" images ", " vectors ", 1)
    print(f"{source}: {'; '.join([counted, *notes])}", file=sys.stderr)
    return ImageSet(
        images=vectors,
        labels=labels,
        class_names=names,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(vectors, np.asarray(names)[labels]),
            count=len(vectors),
            citation=NOT_STATED,
            licence=NOT_STATED,
            conversions=tuple(notes),
        ),
        patients=None if groups is None else groups[rows],
    )


def is_ordered(path: Path) -> bool:
    """Whether a file says that its classes are grades.

    Args:
      path: as of `load_embeddings`; its `ordered` is then true, and grades rise with the numbers of
        labels, or along `class_names`.

    Raises:
      InputError: `ordered` is no single bool, or is true of text whose order nothing tells.
    """
    with open_members(path) as members:
        return _ordered(members)


def _ordered(members: Members) -> bool:
    if not _holds(members, "ordered"):
        return False
    ordered = read_array(members, "ordered", "b")
    where = members.where("ordered")
    if ordered.shape != ():
        raise InputError(f"{where}: of shape {ordered.shape}, expected one bool, ()")
    if ordered and not _holds(members, "class_names"):
        if StoredArray(members, "labels", "iuU").dtype.kind == "U":
            raise InputError(f"{where}: labels are text; expected class_names to tell their order")
    return bool(ordered)


def _holds(members: Members, name: str) -> bool:
    return f"{name}.npy" in members.names


def _vectors(members: Members) -> tuple[np.ndarray, str]:
    """All vectors, a row at a time, and the type that they have in the file."""
    stored = StoredArray(members, "vectors", "f")
    where, shape = stored.where, stored.shape
    if stored.dtype.itemsize > _WIDEST_FLOAT:
        raise InputError(f"{where}: of type {stored.dtype.name}, expected float16, 32 or 64")
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"{where}: of shape {shape}, expected (n, d)")
    if len(stored) > MAX_IMAGES or 4 * shape[0] * shape[1] > MAX_BYTES:
        raise InputError(
            f"{where}: of shape {shape}, above the limit of {MAX_IMAGES} vectors or "
            f"{MAX_BYTES >> 30} GiB as float32"
        )
    vectors = np.empty(shape, np.float32)
    for row in range(len(stored)):
        with np.errstate(over="ignore"):
            vectors[row] = stored.row(row)
        if not np.isfinite(vectors[row]).all():
            column = int(np.flatnonzero(~np.isfinite(vectors[row]))[0])
            value = stored.row(row)[column]
            raise InputError(f"{where}: vector {row} has {value} at {column}, no finite float32")
    return vectors, stored.dtype.name


def _labels(members: Members, count: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """`[N]` int32 in `0 .. K - 1`, and the names of the `K` classes."""
    given, where = _cells(members, "labels", count), members.where("labels")
    if given.dtype.kind != "U" and given.min() < 0:
        row = int(np.argmin(given))
        raise InputError(f"{where}: label {row} is {given[row]}, expected 0 or above")
    used, labels = np.unique(given, return_inverse=True)
    if _holds(members, "class_names"):
        names = _cells(members, "class_names", None).tolist()
        if len(set(names)) < len(names):
            raise InputError(f"{members.where('class_names')}: a name stands twice")
        numbered = range(len(names))
        places = dict(zip(names if given.dtype.kind == "U" else numbered, numbered, strict=True))
        unknown = [label for label in used.tolist() if label not in places]
        if unknown:
            raise InputError(f"{where}: label {unknown[0]!r} has no name in class_names")
        # Classes without vectors are left out, as they are of images.
        order = np.argsort([places[label] for label in used.tolist()])
        labels = np.argsort(order)[labels]
        called = [names[places[label]] for label in used[order].tolist()]
    else:
        width = 0 if given.dtype.kind == "U" else len(str(used[-1]))
        called = [str(label).rjust(width, "0") for label in used.tolist()]
    if len(called) < 2:
        raise InputError(f"{where}: labels of one class, expected two or more")
    return labels.astype(np.int32), tuple(called)


def _cells(members: Members, name: str, count: int | None) -> np.ndarray:
    """Whole numbers or text, one a vector; or text, as many as there are."""
    cells = read_array(members, name, "U" if count is None else "iuU")
    where, expected = members.where(name), "(k,)" if count is None else f"({count},)"
    if cells.ndim != 1 or len(cells) == 0 or count not in (None, len(cells)):
        raise InputError(f"{where}: of shape {cells.shape}, expected {expected}")
    if cells.dtype.kind == "U":
        if cells.dtype.itemsize > 4 * _LONGEST_TEXT:
            raise InputError(f"{where}: text above the limit of {_LONGEST_TEXT} characters")
        try:
            unfit = [text for text in cells.tolist() if not text or not text.isprintable()]
        except ValueError:  # numpy reads four bytes as a character, whatever they hold.
            raise InputError(f"{where}: damaged text") from None
        if unfit:
            raise InputError(f"{where}: {unfit[0]!a}, expected printable text")
    return cells

"""MedIMeta: sets of medical images in one layout, each with one or several tasks."""

import contextlib
import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets.archives import Members, open_members
from metabone.datasets.arrays import encode_png, read_array
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.datasets.medimeta_block import open_block
from metabone.datasets.medimeta_info import Task, read_info, stated_of_set, task_of
from metabone.errors import InputError

_INFO = "info.yaml"
_SPLITS = ("train", "val", "test")


class MedIMeta(LabelledImages):
    """A task of one label an image, of a set of MedIMeta."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "MedIMeta: medical images of 19 sets, 224x224, with the labels of one task."
    CITATION = (
        "Woerner, S., Jaques, A. and Baumgartner, C. F. (2024). A comprehensive and easy-to-use "
        "multi-domain multi-task medical imaging meta-dataset (MedIMeta). arXiv:2404.16000."
    )
    LICENCE = "as the set's own"
    HOMEPAGE = "https://zenodo.org/records/7884735"
    # As of MedMNIST: what is published has some.
    AMBIGUOUS = 0.01


class _Pictures(NamedTuple):
    read: Callable[[str], bytes]
    content: Callable[[str], bytes]
    where: Callable[[str], str]


def set_and_task(path: Path) -> tuple[Path, str]:
    """The folder or zip of a set, and the name of its task, empty where the path names none."""
    return (path, "") if path.exists() else (path.parent, path.name)


def is_ordered(path: Path) -> bool:
    """Whether classes of a task are grades; the arguments are those of `list_medimeta`."""
    place, name = set_and_task(path)
    with open_members(place) as members:
        return _opened(members, path, name)[2].ordered


@contextlib.contextmanager
def list_medimeta(path: Path) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists the images of one task of a set, as `medimeta-dataset-scripts` writes sets.

    That is `images/000000.tiff` and so on, or else `images.hdf5`; `info.yaml`; a number for each
    image in `task_labels/TASK.npy`; and if they are there `splits/train.txt` and so on, and
    `annotations.csv` with a `patient_id`.

    Args:
      path: The folder or zip of a set, alone where one of its tasks has one label an image, else
        followed by `/TASK`.

    Yields:
      The builder, and the images; classes are named as in `info.yaml`, those of an ordinal task
      with their number before, so that they stand in order.

    Raises:
      InputError: Another layout, no such task, or a task of several labels an image.
    """
    place, name = set_and_task(path)
    with open_members(place) as members, contextlib.ExitStack() as stack:
        root, info, task = _opened(members, path, name)
        label_of = _labels(members, root, task)
        pictures = _pictures(members, root, label_of, stack)
        yield (
            MedIMeta,
            Listing(
                files=label_of,
                read=pictures.read,
                fingerprint=_fingerprint(label_of, pictures.content),
                where=pictures.where,
                parts=_parts(members, root, label_of),
                groups=_patients(members, root, label_of),
                stated=stated_of_set(info, MedIMeta.CITATION),
            ),
        )


def _opened(members: Members, path: Path, name: str) -> tuple[str, dict[str, Any], Task]:
    """What stands before names of files, what `info.yaml` says, and the task."""
    roots = [
        found.removesuffix(_INFO)
        for found in members.names
        if found == _INFO or (found.endswith(f"/{_INFO}") and found.count("/") == 1)
    ]
    if not roots:
        missing = "" if path == members.path else f"{path}: no such file or folder, and "
        raise InputError(f"{missing}{members.path} holds no {_INFO}, as a set of MedIMeta does")
    if len(roots) > 1:
        some = ", ".join(root.rstrip("/") or "." for root in roots[:6])
        raise InputError(
            f"{members.path}: holds several sets ({some}); give one, such as "
            f"medimeta:{members.path / roots[-1]}"
        )
    info = read_info(members, roots[0] + _INFO)
    return roots[0], info, task_of(info, name, members.where(roots[0] + _INFO), members.path)


def _labels(members: Members, root: str, task: Task) -> dict[str, str]:
    """From `images/000000.tiff` and so on to classes."""
    name = f"{root}task_labels/{task.name}"
    where = members.where(f"{name}.npy")
    if f"{name}.npy" not in members.names:
        raise InputError(f"{where}: no such file")
    labels = read_array(members, name, "biu")
    if not labels.ndim or math.prod(labels.shape[1:]) != 1:
        raise InputError(f"{where}: labels of shape {labels.shape}, expected one label an image")
    numbers = labels.reshape(-1).astype(np.int64).tolist()
    for row, number in enumerate(numbers):
        if number not in task.labels:
            known = ", ".join(map(str, task.labels))
            raise InputError(f"{where}: label {row} is {number}, expected one of {known}")
    if len(set(numbers)) < 2:
        raise InputError(f"{where}: labels of {len(set(numbers))} classes, expected two or more")
    return {f"images/{row:06d}.tiff": task.labels[number] for row, number in enumerate(numbers)}


def _pictures(
    members: Members, root: str, label_of: Mapping[str, str], stack: contextlib.ExitStack
) -> _Pictures:
    held = {name.removeprefix(root) for name in members.names if name.startswith(f"{root}images/")}
    if not held and f"{root}images.hdf5" in members.names:
        place = f"{root}images.hdf5"
        if members.path.is_file():
            raise InputError(f"{members.where(place)}: images in a zip are read as TIFF; unpack it")
        block = stack.enter_context(open_block(members.path / place, len(label_of)))
        row_of = {file: row for row, file in enumerate(label_of)}
        return _Pictures(
            read=lambda file: encode_png(block(row_of[file])),
            content=lambda file: block(row_of[file]).tobytes(),
            where=lambda file: f"{members.path / place}: image {row_of[file]}",
        )
    unlike = sorted(held ^ set(label_of))
    if unlike:
        first = members.where(root + unlike[0])
        what = "has no label" if unlike[0] in held else "is missing, and has a label"
        raise InputError(f"{first}: {what}; {len(held)} images and {len(label_of)} labels")

    def read(file: str) -> bytes:
        return members.read(root + file)

    return _Pictures(read, read, lambda file: members.where(root + file))


def _fingerprint(label_of: Mapping[str, str], content: Callable[[str], bytes]) -> str:
    digest = hashlib.sha256()
    for file, label in label_of.items():
        digest.update(f"{file}\n{label}\n{hashlib.sha256(content(file)).hexdigest()}\n".encode())
    return digest.hexdigest()


def _parts(members: Members, root: str, label_of: Mapping[str, str]) -> dict[str, str]:
    part_of: dict[str, str] = {}
    for part in _SPLITS:
        name = f"{root}splits/{part}.txt"
        if name not in members.names:
            continue
        for line in members.read(name).decode("utf-8", "replace").splitlines():
            file = line.strip()
            if file and file not in label_of:
                raise InputError(f"{members.where(name)}: {file!r} is none of the images")
            if file and part_of.setdefault(file, part) != part:
                raise InputError(f"{members.where(name)}: {file} is in {part_of[file]} as well")
    left = len(label_of) - len(part_of)
    if part_of and left:
        first = next(file for file in label_of if file not in part_of)
        raise InputError(f"{members.where(root + 'splits')}: {left} images in none; first {first}")
    return part_of


def _patients(members: Members, root: str, label_of: Mapping[str, str]) -> dict[str, str]:
    """The patient of each image, an unknown one its own; empty where none is told."""
    name = f"{root}annotations.csv"
    if name not in members.names:
        return {}
    try:
        text = members.read(name).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{members.where(name)}: not a CSV file ({error})") from None
    told = {
        row["filepath"]: row["patient_id"].strip()
        for row in rows
        if row.get("filepath") and row.get("patient_id")
    }
    if not any(told.get(file) for file in label_of):
        return {}
    return {file: told.get(file) or f"of {file}" for file in label_of}

"""The two small cuts of ImageNet that few-shot learning is measured on; classes are wnids."""

import contextlib
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from metabone.datasets.archives import Members, open_members
from metabone.datasets.hand_labels import check_unmatched
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.errors import InputError

_TERMS = "ImageNet terms of access: non-commercial research and education only"
_WNID = r"n\d{8}"
_IMAGE = r"[^/]+\.(?i:jpe?g|png)"
_PARTS = ("train", "val", "test")
_EXPECTED = "train.zip, val.zip and test.zip, or images/ with train.csv, val.csv and test.csv"


class TinyImagenet(LabelledImages):
    """The training images of Tiny ImageNet; its validation images have labels of their own kind."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Tiny ImageNet: 200 classes of ImageNet, 500 training images each, 64x64."
    CITATION = "Le, Y. and Yang, X. (2015). Tiny ImageNet Visual Recognition Challenge. CS 231N."
    LICENCE = _TERMS
    AMBIGUOUS = 0.01


class MiniImagenet(LabelledImages):
    """mini-ImageNet in the split of Ravi and Larochelle, all of its parts that are there."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "mini-ImageNet: 100 classes of ImageNet, 600 images each, 84x84."
    CITATION = (
        "Vinyals, O. et al. (2016). Matching Networks for One Shot Learning. NIPS; split of Ravi, "
        "S. and Larochelle, H. (2017). Optimization as a Model for Few-Shot Learning. ICLR."
    )
    LICENCE = _TERMS
    AMBIGUOUS = 0.01


@contextlib.contextmanager
def list_tiny_imagenet(path: Path) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists the training images of the official archive, at any size of its images.

    Args:
      path: `tiny-imagenet-200.zip`, or its folder: `train/<wnid>/images/*.JPEG`.

    Yields:
      The builder, and the images.

    Raises:
      InputError: Another layout.
    """
    layout = re.compile(rf"(?:[^/]+/)?train/({_WNID})/images/{_IMAGE}")
    with open_members(path) as members:
        files = _wnids(members, layout, "train/<wnid>/images/*.JPEG", r"(?:[^/]+/)?train/([^/]+)")
        yield TinyImagenet, Listing(files, members.read, members.fingerprint(), members.where)


@contextlib.contextmanager
def list_mini_imagenet(path: Path) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists all parts of mini-ImageNet that a folder holds; see `Listing.parts`.

    Args:
      path: As published, a folder or zip of `images/` with one or more of `train.csv`, `val.csv`
        and `test.csv`, whose first line is `filename,label`. Or a folder with one or more of
        `train`, `val` and `test`, each a zip or a folder: `<wnid>/*.jpg`, in the zip below a folder
        of the part's name.

    Yields:
      The builder, and the images.

    Raises:
      InputError: None of the parts, another layout, or tables that do not fit the images.
    """
    tables = [path / f"{part}.csv" for part in _PARTS]
    if path.is_file() or ((path / "images").is_dir() and any(map(Path.is_file, tables))):
        with open_members(path) as members:
            yield MiniImagenet, _by_tables(members)
        return
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected one of {_EXPECTED}")
    with contextlib.ExitStack() as stack:
        parts: dict[str, Members] = {}
        files: dict[str, str] = {}
        for part in _PARTS:
            found = [place for place in (path / f"{part}.zip", path / part) if place.exists()]
            if len(found) > 1:
                raise InputError(f"{path}: has both {part}.zip and {part}/, keep one")
            if found:
                layout = re.compile(rf"(?:{part}/)?({_WNID})/{_IMAGE}")
                parts[part] = stack.enter_context(open_members(found[0]))
                expected = rf"(?:{part}/)?({_WNID})"
                own = _wnids(parts[part], layout, "<wnid>/*.jpg", expected)
                files |= {f"{part}:{file}": wnid for file, wnid in own.items()}
        if not parts:
            raise InputError(f"{path}: holds none of {_EXPECTED}")

        def take(file: str) -> tuple[Members, str]:
            part, _, name = file.partition(":")
            return parts[part], name

        prints = "\n".join(f"{part} {members.fingerprint()}" for part, members in parts.items())
        listing = Listing(
            files=files,
            read=lambda file: Members.read(*take(file)),
            fingerprint=hashlib.sha256(prints.encode()).hexdigest(),
            where=lambda file: Members.where(*take(file)),
            parts={file: file.partition(":")[0] for file in files},
        )
        yield MiniImagenet, listing


def _by_tables(members: Members) -> Listing:
    """mini-ImageNet as published: which file has which class stands in a table a part."""
    tables = {name: part for name in members.names for part in _PARTS if _is_table(name, part)}
    around = {name.removesuffix(f"{part}.csv") for name, part in tables.items()}
    if len(around) != 1:
        raise InputError(f"{members.path}: expected images/ beside train.csv, val.csv and test.csv")
    folder = f"{around.pop()}images/"
    images = {name for name in members.names if name.startswith(folder)}
    label_of: dict[str, str] = {}
    part_of: dict[str, str] = {}
    rows, absent = 0, []
    for table, part in sorted(tables.items()):
        for line, (file, label) in enumerate(_table_rows(members, table), start=2):
            where, name = f"{members.where(table)}, line {line}", f"{folder}{file}"
            rows += 1
            if name in label_of:
                known = part_of[label_of[name]]
                raise InputError(f"{where}: {file!a} stands in {known}.csv as well")
            if part_of.setdefault(label, part) != part:
                raise InputError(
                    f"{where}: class {label!a} stands in {part_of[label]}.csv as well; parts share "
                    "no class"
                )
            if name in images:
                label_of[name] = label
            else:
                absent.append(f"{where}: no such file {name!a}")
    notes = []
    if absent:
        check_unmatched(len(absent), rows, f"{absent[0]} ({len(absent)} of {rows} lines)")
        notes.append(f"{len(absent)} of {rows} lines of tables have no image and are left out")
    spare = len(images) - len(label_of)
    if spare:
        lost = min(images - set(label_of))
        told = f"{spare} of {len(images)} images stand in no table"
        check_unmatched(spare, len(images), f"{members.where(lost)}: {told}")
        notes.append(f"{told} and are left out")
    if len(set(label_of.values())) < 2:
        raise InputError(f"{members.path}: holds fewer than two classes, expected two or more")
    return Listing(
        files=label_of,
        read=members.read,
        fingerprint=members.fingerprint(),
        where=members.where,
        notes=tuple(notes),
        parts={file: part_of[label] for file, label in label_of.items()},
    )


def _is_table(name: str, part: str) -> bool:
    return name == f"{part}.csv" or (name.count("/") == 1 and name.endswith(f"/{part}.csv"))


def _table_rows(members: Members, table: str) -> Iterator[tuple[str, str]]:
    where = members.where(table)
    try:
        text = members.read(table).decode("utf-8-sig")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{where}: cannot be read ({error})") from None
    if not rows or [cell.lower() for cell in rows[0]] != ["filename", "label"]:
        raise InputError(f"{where}: its first line must be filename,label")
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != 2 or not all(row) or not all(map(str.isprintable, row)):
            raise InputError(f"{where}, line {line}: {','.join(row)!a}: expected filename,label")
        yield row[0], row[1]


def _wnids(
    members: Members, layout: re.Pattern[str], expected: str, class_folder: str
) -> Mapping[str, str]:
    """The wnid of each image that lies where the layout has its training images."""
    found = {name: match[1] for name in members.names if (match := layout.fullmatch(name))}
    if not found:
        raise InputError(f"{members.path}: holds no image at {expected}")
    in_class = re.compile(rf"{class_folder}(?:/.*)?")
    for name in members.names:
        if name not in found and (match := in_class.fullmatch(name)):
            if name.endswith("_boxes.txt"):
                continue
            raise InputError(f"{members.where(name)}: expected only images at {expected}")
    for folder in members.folders:
        match = in_class.fullmatch(folder)
        if match and match[1] not in found.values():
            raise InputError(f"{members.path}: class folder '{match[1]}' holds no images")
    if len(set(found.values())) < 2:
        raise InputError(f"{members.path}: holds one class, expected two or more")
    return found

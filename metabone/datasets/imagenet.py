"""The two small cuts of ImageNet that few-shot learning is measured on; classes are wnids."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from metabone.datasets.archives import Members, open_members
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.errors import InputError

_TERMS = "ImageNet terms of access: non-commercial research and education only"
_WNID = r"n\d{8}"
_IMAGE = r"[^/]+\.(?:jpe?g|JPE?G)"


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
    """Lists all parts of mini-ImageNet that a folder holds.

    Args:
      path: A folder with one or more of `train`, `val` and `test`, each a zip or a folder:
        `<wnid>/*.jpg`, in the zip below a folder of the part's name.

    Yields:
      The builder, and the images.

    Raises:
      InputError: None of the parts, or another layout.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected train.zip, val.zip, test.zip or more")
    with contextlib.ExitStack() as stack:
        parts: dict[str, Members] = {}
        files: dict[str, str] = {}
        for part in ("train", "val", "test"):
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
            raise InputError(f"{path}: holds none of train.zip, val.zip and test.zip")

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

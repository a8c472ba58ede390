"""Sets of small images that come as numpy arrays: Omniglot, also in its zips, and MedMNIST."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets.archives import Members, open_members
from metabone.datasets.arrays import MAX_IMAGES, MAX_SIDE, StoredArray, encode_png, read_array
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.errors import InputError

_SPLITS = ("train", "val", "test")
_MAX_LABEL = 999
_OMNIGLOT = "images_background.zip, images_evaluation.zip, a folder of them, or an npz"
_CHARACTER = r"(?:images_(?:background|evaluation)/)?([^/]+/character\d+)"


class Omniglot(LabelledImages):
    """Drawings of characters, each character a class, ink black on white paper."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Omniglot: 1,623 characters of 50 alphabets, 20 drawings each, 105x105."
    CITATION = (
        "Lake, B. M., Salakhutdinov, R. and Tenenbaum, J. B. (2015). Human-level concept learning "
        "through probabilistic program induction. Science 350(6266)."
    )
    LICENCE = "MIT"
    HOMEPAGE = "https://github.com/brendenlake/omniglot"
    # None of the background set's 19,280; characters as simple as a stroke may meet elsewhere.
    AMBIGUOUS = 0.01
    # One drawing of the background set is there twice; without it a character would lack one of the
    # 20 that a task of 5 shots and 15 queries takes.
    KEEPS_COPIES = True


class MedMnist(LabelledImages):
    """Any single-label set of MedMNIST in two dimensions."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "MedMNIST v2: medical images of one label each, 28x28 up to 256x256."
    CITATION = (
        "Yang, J. et al. (2023). MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D "
        "biomedical image classification. Scientific Data 10:41."
    )
    LICENCE = "as the set's own; CC BY 4.0 for all but DermaMNIST (CC BY-NC 4.0)"
    HOMEPAGE = "https://medmnist.com"
    # RetinaMNIST has none. At 28x28 some of the larger sets' images are the same, as published.
    AMBIGUOUS = 0.01


class RetinaMnist(MedMnist):
    """RetinaMNIST, whose classes are grades of diabetic retinopathy."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "RetinaMNIST: 1,600 fundus images of diabetic retinopathy, grades 0 to 4."
    CITATION = (
        f"{MedMnist.CITATION} Images: Liu, R. et al. (2022). DeepDRiD: Diabetic Retinopathy - "
        "Grading and Image Quality Estimation Challenge. Patterns 3(6)."
    )
    LICENCE = "CC BY 4.0"


@contextlib.contextmanager
def list_omniglot(path: Path) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists Omniglot's drawings.

    Args:
      path: `images_background.zip` or `images_evaluation.zip`, a folder of one or both or of what
        is in them: `<alphabet>/<characterNN>/*.png`; or an npz of `images`, `[K, n, H, W]` bool,
        True where the paper shows, and `labels`, `[K, n]` whole numbers in `0 .. K - 1`.

    Yields:
      The builder, and the drawings; a class is named
      `<alphabet>/<characterNN>`, or by its number in an npz.

    Raises:
      InputError: Another layout, or a label beyond range.
    """
    inner = [path / f"images_{part}.zip" for part in ("background", "evaluation")]
    paths = [zipped for zipped in inner if path.is_dir() and zipped.is_file()] or [path]
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(open_members(part)) for part in paths]
        if "images.npy" in parts[0].names:
            yield Omniglot, _drawn_arrays(parts[0])
        else:
            yield Omniglot, _drawn_files(parts)


@contextlib.contextmanager
def list_medmnist(
    path: Path, builder: type[MedMnist] = MedMnist
) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists all images of a MedMNIST file, whichever of its three splits are there.

    Args:
      path: An npz of `<split>_images`, `[n, H, W]` or `[n, H, W, 3]` uint8, and `<split>_labels`,
        `[n, 1]` or `[n]` whole numbers, for `train`, `val`, `test` or some of them.
      builder: Of the set.

    Yields:
      The builder, and the images; classes are named by the labels' numbers with leading zeros. How
      many images of `test` are copies of images of `train` is among the notes.

    Raises:
      InputError: Another layout, or a label beyond range.
    """
    with open_members(path) as members:
        yield builder, _splits(members)


def list_retinamnist(
    path: Path,
) -> contextlib.AbstractContextManager[tuple[type[LabelledImages], Listing]]:
    """Lists all images of RetinaMNIST, see `list_medmnist`."""
    return list_medmnist(path, RetinaMnist)


def _drawn_arrays(members: Members) -> Listing:
    images = StoredArray(members, "images", "bB", leading=2)
    labels = read_array(members, "labels", "iu")
    _check_images(images, (4,), "(characters, drawings, H, W)")
    if labels.shape != images.shape[:2]:
        raise InputError(f"{images.where}: {images.shape[:2]} drawings, but labels {labels.shape}")
    _check_labels(labels, images.shape[0] - 1, members.where("labels"))
    places = {f"images[{row:04d},{n:03d}]": (row, n) for row, n in np.ndindex(labels.shape)}
    row_of = {file: row for row, file in enumerate(places)}
    width = len(str(labels.max()))

    def read(file: str) -> bytes:
        drawing = images.row(row_of[file])
        if images.dtype != bool and drawing.max() > 1:
            raise InputError(f"{images.where}: expected ink 0 and paper 1, found {drawing.max()}")
        return encode_png((drawing != 0) * np.uint8(255))

    label_of = {file: f"{labels[place]:0{width}d}" for file, place in places.items()}
    return Listing(label_of, read, members.fingerprint(), members.where)


def _drawn_files(parts: list[Members]) -> Listing:
    layout = re.compile(rf"{_CHARACTER}/[^/]+\.png")
    folder_layout = re.compile(_CHARACTER)
    label_of: dict[str, str] = {}
    from_part: dict[str, tuple[Members, str]] = {}
    for number, members in enumerate(parts):
        for name in members.names:
            if match := layout.fullmatch(name):
                # The zips' own folders already tell them apart, if they have not been renamed.
                file = name if name not in from_part else f"{number}:{name}"
                from_part[file], label_of[file] = (members, name), match[1]
            elif folder_layout.match(name):
                raise InputError(f"{members.where(name)}: expected only drawings, *.png")
        for folder in members.folders:
            match = folder_layout.fullmatch(folder)
            if match and match[1] not in label_of.values():
                raise InputError(f"{members.path}: class folder '{match[1]}' holds no images")
    if not label_of:
        raise InputError(
            f"{parts[0].path}: holds no <alphabet>/<characterNN>/*.png; expected {_OMNIGLOT}"
        )
    if len(set(label_of.values())) < 2:
        raise InputError(f"{parts[0].path}: holds one class, expected two or more")
    prints = "\n".join(members.fingerprint() for members in parts)
    return Listing(
        files=label_of,
        read=lambda file: Members.read(*from_part[file]),
        fingerprint=hashlib.sha256(prints.encode()).hexdigest(),
        where=lambda file: Members.where(*from_part[file]),
    )


def _splits(members: Members) -> Listing:
    present = [split for split in _SPLITS if f"{split}_images.npy" in members.names]
    if not present:
        raise InputError(f"{members.path}: holds none of train_images, val_images and test_images")
    images: dict[str, StoredArray] = {}
    number_of: dict[str, int] = {}
    places: dict[str, tuple[str, int]] = {}
    for split in present:
        labels = read_array(members, f"{split}_labels", "iu")
        images[split] = own = StoredArray(members, f"{split}_images", "B")
        _check_images(own, (3, 4), "(n, H, W) or (n, H, W, 3)")
        count = len(own)
        if len(own.shape) == 4 and own.shape[3] != 3:
            raise InputError(f"{own.where}: {own.shape[3]} channels, expected 3")
        if labels.shape not in ((count,), (count, 1)):
            raise InputError(
                f"{members.where(f'{split}_labels')}: shape {labels.shape}, expected ({count}, 1), "
                "one label an image"
            )
        _check_labels(labels, _MAX_LABEL, members.where(f"{split}_labels"))
        for row, label in enumerate(labels.reshape(-1).tolist()):
            file = f"{split}_images[{row:06d}]"
            number_of[file], places[file] = label, (split, row)
    width = len(str(max(number_of.values())))

    def read(file: str) -> bytes:
        split, row = places[file]
        return encode_png(np.ascontiguousarray(images[split].row(row)))

    label_of = {file: f"{number:0{width}d}" for file, number in number_of.items()}
    if len(set(label_of.values())) < 2:
        raise InputError(f"{members.path}: holds one class, expected two or more")
    return Listing(
        files=label_of,
        read=read,
        fingerprint=members.fingerprint(),
        where=members.where,
        notes=_test_copies(images),
        parts={file: split for file, (split, _) in places.items()},
    )


def _test_copies(images: Mapping[str, StoredArray]) -> tuple[str, ...]:
    if not {"train", "test"} <= set(images):
        return ()
    known = set(_hashes(images["train"]))
    shared = sum(sha256 in known for sha256 in _hashes(images["test"]))
    count = len(images["test"])
    return (f"{shared} of {count} images of test are copies of images of train",) if shared else ()


def _hashes(images: StoredArray) -> Iterator[str]:
    for row in range(len(images)):
        yield from image_fingerprints(images.row(row)[None])


def _check_images(images: StoredArray, ranks: tuple[int, ...], expected: str) -> None:
    shape, where = images.shape, images.where
    if len(shape) not in ranks or 0 in shape:
        raise InputError(f"{where}: images of shape {shape}, expected {expected}")
    if len(images) > MAX_IMAGES:
        raise InputError(f"{where}: above the limit of {MAX_IMAGES} images")
    # An image's height and width stand where the text has them.
    first = expected.split(" or ")[0].strip("()").split(", ").index("H")
    if max(shape[first : first + 2]) > MAX_SIDE:
        raise InputError(f"{where}: images of shape {shape}, sides above {MAX_SIDE} pixels")


def _check_labels(labels: np.ndarray, highest: int, where: str) -> None:
    for worst in (labels.min(), labels.max()):
        if not 0 <= worst <= highest:
            place = tuple(map(int, np.argwhere(labels == worst)[0]))
            raise InputError(f"{where}: the label at {place} is {worst}, beyond 0..{highest}")

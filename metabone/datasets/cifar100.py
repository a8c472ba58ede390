"""CIFAR-100 from its python archive, which is a tar of pickles."""

import contextlib
import gzip
import hashlib
import os
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from metabone.datasets import pickled
from metabone.datasets.arrays import MAX_IMAGES, encode_png
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.labelled import LabelledImages, Listing
from metabone.errors import InputError

ARCHIVE = "cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
"""Of the official archive, as its authors state it."""

URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
MAX_MEMBER_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
"""The official archive holds 155 MB in its largest member and 187 MB altogether."""

_MAX_DOWNLOAD_BYTES = 256 * 2**20
_TIMEOUT_SECONDS = 20
_PARTS = ("train", "test")
_CLASSES = 100
_SIDE = 32


class Cifar100(LabelledImages):
    """All images of CIFAR-100, which its fine labels name; few-shot learning splits by class."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "CIFAR-100: 100 classes of 600 images each, 32x32."
    CITATION = (
        "Krizhevsky, A. (2009). Learning Multiple Layers of Features from Tiny Images. Technical "
        "report, University of Toronto."
    )
    LICENCE = "not stated by the authors"
    HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
    AMBIGUOUS = 0.01


class _Part(NamedTuple):
    images: np.ndarray  # [n, 3, 32, 32] uint8
    labels: list[int]


@contextlib.contextmanager
def list_cifar100(
    path: Path | None, data_dir: str | None = None
) -> Iterator[tuple[type[LabelledImages], Listing]]:
    """Lists the training and test images together: 600 a class in the official archive.

    Args:
      path: `cifar-100-python.tar.gz`, which must be the official one; or an archive of another name
        in the same format; or None for a download to `downloads/` in `data_dir`.
      data_dir: Where it is downloaded to, see `data_dir.resolve_data_dir`.

    Yields:
      The builder, and the images.

    Raises:
      InputError: Truncated, not the official archive, a pickle that wants more than arrays, or a
        label beyond range; or the download failed.
    """
    if path is None:
        path = _download(resolve_data_dir(data_dir) / "downloads" / ARCHIVE)
    md5, sha256 = _digests(path)
    if path.name == ARCHIVE and md5 != MD5:
        raise InputError(
            f"{path}: wrong md5: {md5}, expected {MD5} (truncated, or not the official archive?)"
        )
    held = _members(path)
    names = _class_names(_load(held.pop("meta"), f"{path}:meta"), f"{path}:meta")
    parts = {}
    for part in _PARTS:
        where = f"{path}:{part}"
        parts[part] = _part(_load(held.pop(part), where), where)
    places = {
        f"{part}[{row:05d}]": (part, row) for part in _PARTS for row in range(len(parts[part][1]))
    }
    label_of = {file: names[parts[part].labels[row]] for file, (part, row) in places.items()}
    if len(set(label_of.values())) < 2:
        raise InputError(f"{path}: holds fewer than two classes, expected two or more")

    def read(file: str) -> bytes:
        part, row = places[file]
        return encode_png(np.ascontiguousarray(parts[part].images[row].transpose(1, 2, 0)))

    yield (
        Cifar100,
        Listing(
            files=label_of,
            read=read,
            fingerprint=sha256,
            where=lambda file: f"{path}:{file}",
            notes=() if md5 == MD5 else (f"not the official archive (md5 {md5})",),
            parts={file: part for file, (part, _) in places.items()},
        ),
    )


def _digests(path: Path) -> tuple[str, str]:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: expected the file {ARCHIVE}")
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                md5.update(block)
                sha256.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return md5.hexdigest(), sha256.hexdigest()


class _Bounded:
    """A stream that ends in an error rather than a full memory."""

    def __init__(self, file: gzip.GzipFile, path: Path):
        self.file, self.path, self.left = file, path, MAX_TOTAL_BYTES

    def read(self, count: int) -> bytes:
        data = self.file.read(min(count, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise InputError(f"{self.path}: unpacks to over {MAX_TOTAL_BYTES >> 20} MiB")
        return data


def _members(path: Path) -> dict[str, bytes]:
    """The three members that count, in memory; nothing is unpacked to disk."""
    wanted = {f"cifar-100-python/{name}": name for name in (*_PARTS, "meta")}
    held: dict[str, bytes] = {}
    try:
        with gzip.open(path) as packed:
            file = _Bounded(packed, path)
            archive = tarfile.open(fileobj=file, mode="r|")
            for member in archive:
                _check_member(member, path)
                if member.name not in wanted or not member.isfile():
                    continue
                if wanted[member.name] in held:
                    raise InputError(f"{path}: holds '{member.name}' twice")
                data = archive.extractfile(member).read()
                if len(data) != member.size:
                    raise EOFError
                held[wanted[member.name]] = data
            while file.read(2**20):  # To the checksum, which stands last.
                pass
    except InputError:
        raise
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError):
        raise InputError(f"{path}: not a complete tar.gz file (truncated, or none)") from None
    for name in wanted.values():
        if name not in held:
            raise InputError(f"{path}: holds no file cifar-100-python/{name}")
    return held


def _check_member(member: tarfile.TarInfo, path: Path) -> None:
    name = member.name
    if name.startswith("/") or ".." in name.split("/") or "\\" in name:
        raise InputError(f"{path}: holds {name!a}, a name that leads out of the archive")
    if not (member.isdir() or (member.isfile() and not member.issparse())):
        raise InputError(f"{path}: holds {name!a}, which is no plain file")
    if not 0 <= member.size <= MAX_MEMBER_BYTES:
        raise InputError(f"{path}: {name!a} is above the limit of {MAX_MEMBER_BYTES >> 20} MiB")


def _load(data: bytes, where: str) -> Mapping[bytes, Any]:
    value = pickled.load(data, where)
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a pickled dictionary")
    return value


def _class_names(meta: Mapping[bytes, Any], where: str) -> list[str]:
    names = meta.get(b"fine_label_names")
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise InputError(f"{where}: expected a list of text, 'fine_label_names'")
    names = [name if isinstance(name, str) else name.decode("utf-8", "replace") for name in names]
    if len(names) != _CLASSES or len(set(names)) != _CLASSES:
        raise InputError(f"{where}: names {len(set(names))} classes, expected {_CLASSES}")
    if not all(name.isprintable() and name for name in names):
        raise InputError(f"{where}: holds a class name that cannot be printed")
    return names


def _part(values: Mapping[bytes, Any], where: str) -> _Part:
    images = pickled.uint8_array(values.get(b"data"), f"{where}: 'data'")
    if images.ndim != 2 or images.shape[1] != 3 * _SIDE**2:
        raise InputError(f"{where}: 'data' of shape {images.shape}, expected (n, 3072)")
    labels = values.get(b"fine_labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise InputError(f"{where}: expected a list of whole numbers, 'fine_labels'")
    if len(labels) != len(images) or len(labels) > MAX_IMAGES:
        raise InputError(f"{where}: {len(images)} images, but {len(labels)} labels")
    for row, label in enumerate(labels):
        if not 0 <= label < _CLASSES:
            shown = f"{label}" if abs(label) < 2**63 else "a huge number"
            raise InputError(
                f"{where}: the label of image {row} is {shown}, beyond range 0..{_CLASSES - 1}"
            )
    return _Part(images.reshape(-1, 3, _SIDE, _SIDE), labels)


def _download(place: Path) -> Path:
    """Fetches the official archive unless it lies there already.

    By hand and not by tfds' download manager: without a network that takes minutes of retries, it
    has no limit of time or size, and leaves its folders behind.
    """
    if place.is_file():
        return place
    advice = f"give cifar100:PATH of {ARCHIVE} from {URL}"
    try:
        with urllib.request.urlopen(URL, timeout=_TIMEOUT_SECONDS) as response:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent, prefix="unfinished-") as folder:
                md5, left = hashlib.md5(usedforsecurity=False), _MAX_DOWNLOAD_BYTES
                with open(os.path.join(folder, ARCHIVE), "wb") as file:
                    while left > 0 and (block := response.read(2**20)):
                        md5.update(block)
                        left -= file.write(block)
                if md5.hexdigest() != MD5:
                    raise InputError(f"{URL}: wrong md5: {md5.hexdigest()}, expected {MD5}")
                os.replace(file.name, place)
    except InputError:
        raise
    except Exception as error:  # Of sockets, TLS, HTTP and proxies: one answer to all.
        reason = getattr(error, "reason", None) or error
        reason = getattr(reason, "strerror", None) or " ".join(str(reason).split())
        raise InputError(f"cifar100: cannot be downloaded ({reason}); {advice}") from None
    return place

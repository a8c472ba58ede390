"""What each kind of source does with an archive that is damaged, wrong or hostile."""

import io
import pickle
import signal
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

from metabone.datasets.cifar100 import ARCHIVE
from metabone.datasets.source import open_images
from metabone.errors import InputError

# Of each kind that comes as image files: the zip, a class's folder in it, and an image's name.
FILES = {
    "folder": ("x.zip", "class_{}", "{}.jpg"),
    "tiny_imagenet": (
        "tiny-imagenet-200.zip",
        "tiny-imagenet-200/train/n0000000{}/images",
        "{}.JPEG",
    ),
    "mini_imagenet": ("mini/val.zip", "val/n0000000{}", "{}.jpg"),
    "omniglot": ("images_background.zip", "images_background/Greek/character0{}", "{}.png"),
}
ARRAYS = ("npz omniglot", "medmnist", "retinamnist", "cifar100")
KINDS = (*FILES, *ARRAYS)


def pixels(seed, count=6):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), np.uint8)


def members(kind, encode):
    """Names and bytes of two classes of three images."""
    _, folder, file = FILES[kind]
    images = pixels(0).reshape(-1, 32, 32, 3)
    return {
        f"{folder.format(number % 2)}/{file.format(number)}": encode(images[number])
        for number in range(6)
    }


def write_files(kind, root, held):
    path = root / FILES[kind][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return path


def write_arrays(kind, root, labels, data, extra=()):
    """Images `[6, 3072]` with their labels in the format of a kind; `extra` are further names."""
    if kind == "cifar100":
        path = root / "x.tar.gz"
        names = [b"%d" % number for number in range(100)]
        held = {
            "train": {b"data": data[:3], b"fine_labels": labels[:3]},
            "test": {b"data": data[3:], b"fine_labels": labels[3:]},
            "meta": {b"fine_label_names": names},
        }
        with tarfile.open(path, "w:gz") as archive:
            for name, value in held.items():
                add_member(archive, f"cifar-100-python/{name}", pickle.dumps(value, 2))
            for name in extra:
                add_member(archive, name, b"x")
        return path
    path = root / "x.npz"
    if kind == "npz omniglot":
        paper = data.reshape(2, 3, 32, 32, 3)[..., 0] > 60
        np.savez(path, images=paper, labels=np.reshape(labels, (2, 3)))
    else:
        images, column = data.reshape(6, 32, 32, 3), np.reshape(labels, (6, 1))
        held = {"train_images": images[:4], "train_labels": column[:4]}
        np.savez(path, **held, test_images=images[4:], test_labels=column[4:])
    with zipfile.ZipFile(path, "a") as archive:
        for name in extra:
            archive.writestr(name, b"x")
    return path


def add_member(archive, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def open_kind(kind, path, data_dir):
    kind = kind.rpartition(" ")[2]
    path = path.parent if kind == "mini_imagenet" else path
    return open_images(f"{kind}:{path}", size=32, data_dir=str(data_dir))


@pytest.fixture
def refused(tmp_path, data_dir, one_line):
    """Checks that an archive is refused by one line that names it, and leaves nothing behind."""

    def check(kind, path, message):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError, match=message) as caught:
            open_kind(kind, path, data_dir)
        one_line(caught, path.name)
        assert not data_dir.exists()
        assert sorted(tmp_path.rglob("*")) == before

    return check


@pytest.fixture
def write(tmp_path, encode):
    """Writes an archive of a kind, as it should be or with names of further members."""

    def make(kind, extra=()):
        if kind in FILES:
            held = members(kind, encode) | {name: b"x" for name in extra}
            return write_files(kind, tmp_path, held)
        return write_arrays(kind, tmp_path, [0, 0, 0, 1, 1, 1], pixels(0), extra)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_as_it_should_be_is_read(kind, write, data_dir):
    images = open_kind(kind, write(kind), data_dir)
    assert len(images) == 6 and np.bincount(images.labels).tolist() == [3, 3]
    assert not list(data_dir.glob("unfinished-*"))


@pytest.mark.parametrize("kept", [0.3, 0.97])
@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_refused(kind, kept, write, refused):
    path = write(kind)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    refused(kind, path, "not a complete (zip|tar.gz) file")


def test_a_wrong_md5_is_refused(write, refused):
    path = write("cifar100")
    refused("cifar100", path.rename(path.with_name(ARCHIVE)), "wrong md5: .*, expected eb9058c3")


@pytest.mark.parametrize("name", ["../out.png", "/tmp/out.png", "a/../../out.png"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_leads_out_is_refused(kind, name, write, refused):
    refused(kind, write(kind, [name]), "a name that leads out of the (zip|archive)")


@pytest.mark.parametrize("label", [-1, 1000])
@pytest.mark.parametrize("kind", ARRAYS)
def test_a_label_beyond_range_is_refused(kind, label, tmp_path, refused):
    labels = [0, 0, 0, 1, 1, label]
    refused(kind, write_arrays(kind, tmp_path, labels, pixels(0)), rf"is {label}, beyond")


def huge_png(edge=50_000):
    """The header of a grey image; its pixels would take 2.5 GB."""
    header = b"IHDR" + struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(bytes(100)), b"IEND"]
    packed = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (huge_png(), "megapixels"),
        (b"an ulna, right?", "not a PNG, JPEG, TIFF, BMP, WebP or GIF image"),
    ],
    ids=["huge", "text"],
)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_honest_image_is_refused(kind, data, message, tmp_path, encode, refused):
    held = members(kind, encode)
    held[list(held)[-1]] = data
    refused(kind, write_files(kind, tmp_path, held), message)


@pytest.mark.parametrize("kind", FILES)
def test_an_empty_class_is_refused(kind, tmp_path, encode, refused):
    held = members(kind, encode) | {f"{FILES[kind][1].format(7)}/": b""}
    refused(kind, write_files(kind, tmp_path, held), r"class folder '[\w/]+' holds no images")


@pytest.mark.parametrize("kind", KINDS)
def test_two_classes_of_the_same_images_are_refused(kind, tmp_path, encode, refused):
    if kind in FILES:
        held = members(kind, encode)
        _, folder, file = FILES[kind]
        first = held[f"{folder.format(0)}/{file.format(0)}"]
        same = {name: first for name in held}
        path = write_files(kind, tmp_path, same)
    else:
        data = np.concatenate([pixels(0, 3)] * 2)
        path = write_arrays(kind, tmp_path, [0, 0, 0, 1, 1, 1], data)
    refused(kind, path, "are the same image under two labels")


_KILLED = """
import os, signal, sys
from metabone.datasets import archives
from metabone.datasets.source import open_images

reads, plain = 0, archives.Members.read

def read(members, name):
    global reads
    reads += 1
    if reads == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(members, name)

archives.Members.read = read
open_images(sys.argv[1], size=16, data_dir=sys.argv[2])
"""


@pytest.mark.parametrize("last_read", [55, 80])
def test_a_killed_preparation_is_done_again_from_the_start(last_read, tmp_path, data_dir, film):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"class_{number % 2}/{number:02d}.png", film(number))
    source = f"folder:{tmp_path / 'x.zip'}"
    # Each image is read once to check it and once more to write it.
    command = [sys.executable, "-c", _KILLED, source, str(data_dir), str(last_read)]
    killed = subprocess.run(command, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(list(data_dir.glob("unfinished-*"))) == 1
    assert not (data_dir / "folder").exists()
    again = open_images(source, size=16, data_dir=str(data_dir))
    fresh = open_images(source, size=16, data_dir=str(tmp_path / "fresh"))
    assert list(again.records) == list(fresh.records) and len(again) == 40
    assert again.provenance == fresh.provenance
    assert not list(data_dir.glob("unfinished-*"))

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import archives
from metabone.datasets.archives import open_members
from metabone.datasets.arrays import StoredArray
from metabone.datasets.source import list_images, load_images
from metabone.errors import InputError


def load(kind, path, data_dir, **options):
    return load_images(f"{kind}:{path}", data_dir=str(data_dir), **{"size": 8, **options})


def medical():
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (4, 8, 8, 3), np.uint8),
        "train_labels": np.array([[2], [0], [2], [11]], np.uint8),
        "val_images": rng.integers(0, 256, (2, 8, 8, 3), np.uint8),
        "val_labels": np.array([[0], [11]], np.uint8),
    }


def drawn():
    paper = np.random.default_rng(0).random((3, 2, 8, 8)) > 0.2
    return {"images": paper, "labels": np.repeat(np.arange(3)[:, None], 2, 1)}


def write(path, arrays, save=np.savez_compressed):
    save(path, **arrays)
    return path


def test_all_splits_of_medmnist_that_are_there_are_read(tmp_path, data_dir):
    arrays = medical()
    path = write(tmp_path / "x.npz", arrays)
    images = load("medmnist", path, data_dir, channels=3)
    assert images.class_names == ("00", "02", "11")
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    train, val = arrays["train_images"], arrays["val_images"]
    expected = [train[1], val[0], train[0], train[2], train[3], val[1]]
    np.testing.assert_array_equal(images.images, expected)


def test_test_copies_of_train_are_told_and_copies_used_once(tmp_path, data_dir, capsys):
    plain = medical()
    arrays = plain | {f"test_{what}": plain[f"train_{what}"][:2] for what in ("images", "labels")}
    source = tmp_path / "x.npz"
    plain = load("medmnist", write(tmp_path / "plain.npz", plain, np.savez), data_dir)
    assert capsys.readouterr().err.endswith(": 6 images of 3 classes: 00 2, 02 2, 11 2\n")
    images = load("medmnist", write(source, arrays, np.savez), data_dir)
    notes = images.provenance.conversions[1:3]
    assert notes == (
        "2 of 2 images of test are copies of images of train",
        "2 copies of other images of their class left out",
    )
    told = "; ".join(["6 images of 3 classes: 00 2, 02 2, 11 2", *notes])
    assert capsys.readouterr().err == f"medmnist:{source}: {told}\n"
    assert images.class_counts() == plain.class_counts()
    assert images.provenance.sha256 == plain.provenance.sha256


def test_retinamnist_is_medmnist_with_its_own_citation(tmp_path, data_dir):
    path = write(tmp_path / "x.npz", medical())
    retina, medmnist = load("retinamnist", path, data_dir), load("medmnist", path, data_dir)
    np.testing.assert_array_equal(retina.images, medmnist.images)
    assert "DeepDRiD" in retina.provenance.citation and "Yang" in medmnist.provenance.citation
    assert retina.provenance.licence == "CC BY 4.0"


def test_grey_images_and_flat_labels_are_read(tmp_path, data_dir):
    arrays = {
        "test_images": np.asfortranarray(medical()["train_images"][..., 0]),
        "test_labels": np.array([1, 0, 1, 0], np.int64),
    }
    images = load("medmnist", write(tmp_path / "x.npz", arrays, np.savez), data_dir)
    assert images.class_names == ("0", "1")
    expected = arrays["test_images"][[1, 3, 0, 2], :, :, None]
    np.testing.assert_array_equal(images.images, expected)


def test_omniglot_s_paper_is_white(tmp_path, data_dir):
    arrays = drawn()
    images = load("omniglot", write(tmp_path / "x.npz", arrays), data_dir)
    assert images.class_names == ("0", "1", "2")
    expected = arrays["images"].reshape(6, 8, 8, 1) * np.uint8(255)
    np.testing.assert_array_equal(images.images, expected)


def test_omniglot_keeps_its_copies_on_the_record(tmp_path, data_dir, capsys):
    arrays = drawn()
    arrays["images"][1, 0] = arrays["images"][1, 1]
    images = load("omniglot", write(tmp_path / "x.npz", arrays), data_dir)
    assert len(images) == arrays["labels"].size
    note = "1 copies of other images of their class kept, as published"
    assert note in images.provenance.conversions
    assert capsys.readouterr().err == (
        f"omniglot:{tmp_path / 'x.npz'}: 6 images of 3 classes: 0 2, 1 2, 2 2; {note}\n"
    )


def omniglot_zips(folder, encode, paper):
    """The official zips; PNG files of one bit."""
    folder.mkdir()
    for place, part in enumerate(("background", "evaluation")):
        with zipfile.ZipFile(folder / f"images_{part}.zip", "w") as archive:
            for row, number in np.ndindex(2, 2):
                name = f"images_{part}/Greek_{place}/character0{row + 1}/{number}.png"
                archive.writestr(name, encode(paper[2 * place + row, number]))
    return folder


def test_omniglot_s_official_zips_read_alone_together_and_unpacked(tmp_path, data_dir, encode):
    paper = np.random.default_rng(0).random((4, 2, 8, 8)) > 0.2
    folder = omniglot_zips(tmp_path / "zips", encode, paper)
    both = load("omniglot", folder, data_dir)
    assert both.class_names == tuple(
        f"Greek_{place}/character0{row}" for place in (0, 1) for row in (1, 2)
    )
    np.testing.assert_array_equal(both.images, paper.reshape(8, 8, 8, 1) * np.uint8(255))
    one = load("omniglot", folder / "images_evaluation.zip", data_dir)
    np.testing.assert_array_equal(one.images, both.images[4:])
    for zipped in folder.iterdir():
        zipfile.ZipFile(zipped).extractall(tmp_path / "unpacked")
    np.testing.assert_array_equal(
        load("omniglot", tmp_path / "unpacked", data_dir).images, both.images
    )
    inner = load("omniglot", tmp_path / "unpacked/images_evaluation", data_dir)
    np.testing.assert_array_equal(inner.images, one.images)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_beyond_what_is_read_whole_is_read_in_pieces(save, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 2**20)
    paper = np.random.default_rng(0).random((40, 20, 105, 105)) > 0.02
    labels = np.repeat(np.arange(40)[:, None], 20, 1)
    path = write(tmp_path / "x.npz", {"images": paper, "labels": labels}, save)
    assert paper.nbytes > 8 * 2**20
    tracemalloc.start()
    with list_images(f"omniglot:{path}") as (_, listing):
        assert len(listing.files) == 800
        for file, drawing in zip(listing.files, paper.reshape(800, 105, 105), strict=True):
            if file.endswith("7]"):
                read = np.asarray(Image.open(io.BytesIO(listing.read(file))))
                np.testing.assert_array_equal(read, drawing * np.uint8(255))
    assert tracemalloc.get_traced_memory()[1] < 1.5 * 2**20
    tracemalloc.stop()


def test_rows_may_be_asked_for_in_any_order(tmp_path):
    images = medical()["train_images"]
    path = write(tmp_path / "x.npz", {"c": images, "f": np.asfortranarray(images)})
    with open_members(path) as members:
        for name in "cf":
            stored = StoredArray(members, name, "B")
            for row in (2, 0, 3, 3, 1):
                np.testing.assert_array_equal(stored.row(row), images[row])
        drawings = StoredArray(members, "c", "B", leading=2)
        assert len(drawings) == 32
        np.testing.assert_array_equal(drawings.row(19), images[2, 3])


def test_a_damaged_row_is_refused(tmp_path, data_dir, one_line):
    path = write(tmp_path / "x.npz", medical(), np.savez)
    data = bytearray(path.read_bytes())
    data[data.index(medical()["val_images"].tobytes()) + 7] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged in the zip file") as caught:
        load("medmnist", path, data_dir)
    one_line(caught, "x.npz:val_images.npy")
    assert not data_dir.exists()


def test_an_array_that_unpacks_to_far_more_than_its_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_RATIO_FREE_BYTES", 2**20)
    arrays = {"images": np.zeros((40, 20, 64, 64), bool), "labels": np.zeros((40, 20), int)}
    path = write(tmp_path / "x.npz", arrays)
    with pytest.raises(InputError, match="over 200 times its size"):
        load("omniglot", path, tmp_path)


def test_a_header_without_end_is_not_read_to_it(tmp_path, data_dir):
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**24) + b" " * 2**24
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_labels.npy", head)
        archive.writestr("train_images.npy", head)
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged, or not numpy's format"):
        load("medmnist", tmp_path / "x.npz", data_dir)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def put(**arrays):
    return lambda held: held.update(arrays)


@pytest.mark.parametrize(
    ("kind", "spoil", "message"),
    [
        ("medmnist", put(train_labels=np.full((4, 1), 1000)), "is 1000, beyond 0..999"),
        ("medmnist", put(train_labels=np.full((4, 1), -1)), "is -1, beyond 0..999"),
        ("medmnist", put(train_labels=np.zeros((4, 1))), "float64, expected whole numbers"),
        ("medmnist", put(train_labels=np.zeros((4, 14), int)), "one label an image"),
        ("medmnist", put(val_labels=np.zeros((3, 1), int)), "expected (2, 1)"),
        ("medmnist", put(val_images=np.zeros((2, 8, 8))), "of type float64, expected uint8"),
        ("medmnist", put(val_images=np.zeros((2, 8, 8, 4), np.uint8)), "4 channels, expected 3"),
        ("medmnist", put(val_images=np.zeros((2, 8), np.uint8)), "expected (n, H, W)"),
        ("medmnist", put(val_images=np.zeros((0, 8, 8), np.uint8)), "expected (n, H, W)"),
        ("medmnist", put(val_images=np.zeros((1, 8, 300), np.uint8)), "above 256 pixels"),
        ("medmnist", lambda held: held.pop("val_labels"), "holds no array 'val_labels'"),
        ("medmnist", lambda held: held.clear(), "holds none of train_images"),
        ("medmnist", put(train_images=np.array([{}])), "of type object, expected uint8"),
        ("omniglot", put(labels=np.full((3, 2), 3)), "beyond 0..2"),
        ("omniglot", put(labels=np.zeros((2, 2), int)), "(3, 2) drawings, but labels (2, 2)"),
        ("omniglot", put(images=np.zeros((3, 2, 8, 8))), "expected bool or uint8"),
        ("omniglot", put(images=np.full((3, 2, 8, 8), 9, np.uint8)), "ink 0 and paper 1, found 9"),
        ("omniglot", put(images=np.zeros((3, 8, 8), bool)), "expected (characters, drawings"),
        ("omniglot", lambda held: held.pop("images"), "holds no <alphabet>/<characterNN>/*.png"),
    ],
)
def test_bad_arrays_are_one_line(kind, spoil, message, tmp_path, data_dir, one_line):
    arrays = medical() if kind == "medmnist" else drawn()
    spoil(arrays)
    with pytest.raises(InputError) as caught:
        load(kind, write(tmp_path / "x.npz", arrays), data_dir)
    one_line(caught, "x.npz", message)
    assert not data_dir.exists()


def lying(shape, data=b"", dtype="|u1"):
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


@pytest.mark.parametrize(
    "data",
    [
        lying((2**40, 28, 28)),
        lying((0,), b"left"),
        lying((-1, -1, 4), b"four"),
        lying((1,) * 9, b"x"),
    ],
)
def test_a_header_that_lies_allocates_nothing(data, tmp_path, data_dir, one_line):
    arrays = medical()
    del arrays["train_images"]
    path = write(tmp_path / "x.npz", arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train_images.npy", data)
    with pytest.raises(InputError, match="states another size than it has") as caught:
        load("medmnist", path, data_dir)
    one_line(caught, "x.npz:train_images")


@pytest.mark.parametrize(
    "data", [b"", b"\x93NUMPY\x01\x00\xff\xff{", b"\x93NUMPY\x03\x00", b"text"]
)
def test_what_is_no_array_is_refused(data, tmp_path, data_dir, one_line):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("train_labels.npy", data)
        archive.writestr("train_images.npy", data)
    with pytest.raises(InputError, match="damaged, or not numpy's format") as caught:
        load("medmnist", tmp_path / "x.npz", data_dir)
    one_line(caught)

import gzip
import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from metabone.datasets import cifar100, pickled
from metabone.datasets.source import load_images, open_images
from metabone.errors import InputError

NAMES = [f"thing_{number:02d}" for number in range(100)]


def batch(seed, labels):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
    return {
        b"filenames": [b"%d.png" % row for row in range(len(labels))],
        b"batch_label": b"a batch",
        b"fine_labels": list(labels),
        b"coarse_labels": [0] * len(labels),
        b"data": pixels,
    }


def parts():
    meta = {b"fine_label_names": [name.encode() for name in NAMES], b"coarse_label_names": []}
    return {"train": batch(0, [3, 1, 3, 1]), "test": batch(1, [1, 3]), "meta": meta}


def write(path, held, protocol=2, extra=()):
    with tarfile.open(path, "w:gz") as archive:
        for name, value in held.items():
            data = value if isinstance(value, bytes) else pickle.dumps(value, protocol)
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "small.tar.gz"


def load(path, data_dir, **options):
    options = {"size": 32, "channels": 3, **options}
    return load_images(f"cifar100:{path}", data_dir=str(data_dir), **options)


# Protocol 1 is what Python 2 wrote most; below 3 numpy's bytes go through _codecs.encode.
@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_train_and_test_are_read_together(protocol, archive, data_dir):
    held = parts()
    images = load(write(archive, held, protocol), data_dir)
    assert images.class_names == ("thing_01", "thing_03")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    train = held["train"][b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    test = held["test"][b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    expected = [test[0], train[1], train[3], test[1], train[0], train[2]]
    np.testing.assert_array_equal(images.images, expected)


def test_another_archive_than_the_official_is_on_the_record(archive, data_dir):
    md5 = hashlib.md5(write(archive, parts()).read_bytes()).hexdigest()
    conversions = load(archive, data_dir).provenance.conversions
    assert f"not the official archive (md5 {md5})" in conversions


def test_what_python_2_wrote_is_read():
    # cPickle of Python 2, protocol 2, of {'data': numpy.array([[1, 2], [3, 255]], numpy.uint8)}.
    data = (
        b"\x80\x02}q\x01U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
        b"\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x02\x03"
        b"\xfftbs."
    )
    value = pickled.load(data, "here")[b"data"]
    assert pickled.uint8_array(value, "here").tolist() == [[1, 2], [3, 255]]


class Runs:
    def __init__(self, called, *args):
        self.called, self.args = called, args

    def __reduce__(self):
        return self.called, self.args


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("place", ["train", "meta"])
def test_a_pickle_that_would_run_a_command_is_refused(
    place, protocol, archive, data_dir, tmp_path, one_line
):
    held = parts() | {place: Runs(os.system, f"touch {tmp_path}/ran")}
    with pytest.raises(InputError) as caught:
        load(write(archive, held, protocol), data_dir)
    one_line(caught, "small.tar.gz", f"pickle that wants {os.name}.system: refused")
    assert not (tmp_path / "ran").exists() and not data_dir.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02c__builtin__\neval\n.", "wants __builtin__.eval: refused"),
        (b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", "wants numpy.load: refused"),
        (b"\x80\x05N.", "protocol 5, expected 0 to 4"),
        (b"\x80\x02" + b"]" * 50 + b"0", "it uses POP"),
        (b"\x96" + b"\xff" * 7 + b"\x7f.", "damaged pickle"),  # 2**63 bytes of bytearray
        (b"N\x72\xff\xff\xff\x7f", "damaged pickle"),  # a memo of 2**31 places
        (b"}" + b")" + b"\x85" * 100_000 + b"Ns.", "its keys are not text"),
        (b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R}b.", None),
        (b"N" * 100, "damaged pickle"),
        (b"\x87.", "a tuple of more than there is"),
        (b"t.", "damaged pickle"),
        (b"", "damaged pickle"),
    ],
)
def test_a_hostile_pickle_does_nothing(data, message, one_line):
    if message is None:  # Asks for an array of 2 GiB: a description of one is what comes of it.
        with pytest.raises(InputError, match="expected a numpy array"):
            pickled.uint8_array(pickled.load(data, "here"), "here")
        return
    with pytest.raises(InputError) as caught:
        pickled.load(data, "here")
    one_line(caught, "here: ", message)


def test_the_steps_of_a_pickle_are_bounded(monkeypatch):
    monkeypatch.setattr(pickled, "MAX_STEPS", 1000)
    with pytest.raises(InputError, match="more than 1000 steps"):
        pickled.load(b"]" * 2000 + b".", "here")


def change(part, **values):
    def spoil(held):
        for key, value in values.items():
            held[part][key.encode()] = value

    return spoil


def without(part, key):
    def spoil(held):
        del held[part][key]

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            change("train", fine_labels=[3, 1, 100, 1]),
            "label of image 2 is 100, beyond range 0..99",
        ),
        (change("train", fine_labels=[3, 1, -1, 1]), "label of image 2 is -1, beyond range 0..99"),
        (change("test", fine_labels=[3]), "2 images, but 1 labels"),
        (change("test", fine_labels=[3, 1.0]), "damaged pickle"),
        (change("test", fine_labels=[3, b"1"]), "expected a list of whole numbers"),
        (change("train", data=np.zeros((4, 3072))), "type 'f8', expected uint8"),
        (change("train", data=np.zeros((4, 8), np.uint8)), "shape (4, 8), expected (n, 3072)"),
        (change("train", data=[1]), "expected a numpy array"),
        (without("train", b"data"), "expected a numpy array"),
        (without("meta", b"fine_label_names"), "expected a list of text, 'fine_label_names'"),
        (change("meta", fine_label_names=[b"a"] * 100), "names 1 classes, expected 100"),
        (lambda held: held.update(test=[1]), "expected a pickled dictionary"),
        (lambda held: held.pop("test"), "holds no file cifar-100-python/test"),
    ],
)
def test_bad_content_is_one_line(spoil, message, archive, data_dir, one_line):
    held = parts()
    spoil(held)
    with pytest.raises(InputError) as caught:
        load(write(archive, held), data_dir)
    one_line(caught, "small.tar.gz", message)
    assert not data_dir.exists()


def member(name, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, "/etc/hostname", size
    return info


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("../out"), "'../out', a name that leads out"),
        (member("/etc/out"), "a name that leads out"),
        (member("a/../../out"), "a name that leads out"),
        (member("cifar-100-python/train", tarfile.SYMTYPE), "which is no plain file"),
        (member("link", tarfile.LNKTYPE), "which is no plain file"),
        (member("device", tarfile.CHRTYPE), "which is no plain file"),
        (member("cifar-100-python/train"), "holds 'cifar-100-python/train' twice"),
    ],
)
def test_a_hostile_tar_is_refused(extra, message, archive, data_dir, tmp_path, one_line):
    with pytest.raises(InputError) as caught:
        load(write(archive, parts(), extra=[extra]), data_dir)
    one_line(caught, "small.tar.gz", message)
    assert os.listdir(tmp_path) == ["small.tar.gz"]


def test_sizes_are_bounded_before_anything_is_read(archive, data_dir, monkeypatch):
    path = write(archive, parts())
    monkeypatch.setattr(cifar100, "MAX_MEMBER_BYTES", 10_000)
    with pytest.raises(InputError, match="above the limit of 0 MiB"):
        load(path, data_dir)
    monkeypatch.undo()
    monkeypatch.setattr(cifar100, "MAX_TOTAL_BYTES", 20_000)
    with pytest.raises(InputError, match="unpacks to over 0 MiB"):
        load(path, data_dir)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_archive_is_refused(kept, archive, data_dir, one_line):
    data = write(archive, parts()).read_bytes()
    archive.write_bytes(data[: kept if kept >= 1 else int(kept * len(data))])
    with pytest.raises(InputError, match=r"not a complete tar\.gz file") as caught:
        load(archive, data_dir)
    one_line(caught, "small.tar.gz")
    archive.write_bytes(gzip.compress(gzip.decompress(data)[:2000]))
    with pytest.raises(InputError, match=r"not a complete tar\.gz file"):
        load(archive, data_dir)
    assert not data_dir.exists()


def test_the_official_name_asks_for_the_official_archive(tmp_path, data_dir, one_line):
    path = write(tmp_path / cifar100.ARCHIVE, parts())
    with pytest.raises(InputError, match="wrong md5") as caught:
        load(path, data_dir)
    one_line(caught, cifar100.ARCHIVE, cifar100.MD5, "truncated")
    assert not data_dir.exists()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A file that stands for the official archive at its address."""
    path = write(tmp_path / "served.tar.gz", parts())
    monkeypatch.setattr(cifar100, "URL", path.as_uri())
    monkeypatch.setattr(cifar100, "MD5", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def test_the_kind_alone_downloads_once(server, data_dir):
    first = open_images("cifar100", size=32, data_dir=str(data_dir))
    assert len(first) == 6 and first.provenance.source == "cifar100"
    assert os.listdir(data_dir / "downloads") == [cifar100.ARCHIVE]
    server.unlink()
    again = open_images("cifar100", size=32, data_dir=str(data_dir))
    assert again.provenance.sha256 == first.provenance.sha256


def test_a_download_with_the_wrong_md5_is_not_kept(server, data_dir, monkeypatch, one_line):
    monkeypatch.setattr(cifar100, "MD5", "0" * 32)
    with pytest.raises(InputError, match="wrong md5") as caught:
        open_images("cifar100", data_dir=str(data_dir))
    one_line(caught, "0" * 32)
    assert [path for path in data_dir.rglob("*") if path.is_file()] == []
    assert os.listdir(data_dir / "downloads") == []


def test_without_a_network_a_path_is_asked_for(server, data_dir, one_line):
    server.unlink()
    with pytest.raises(InputError, match="cannot be downloaded") as caught:
        open_images("cifar100", data_dir=str(data_dir))
    one_line(caught, "give cifar100:PATH of cifar-100-python.tar.gz")
    assert not data_dir.exists()

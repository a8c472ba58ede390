import os
import struct
import zipfile
from pathlib import Path

import pytest

from metabone.datasets import archives
from metabone.datasets.archives import open_members
from metabone.errors import InputError


def write_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_a_folder_and_its_zip_read_alike(tmp_path):
    members = [("b/2.png", b"two"), ("a/1.png", b"one"), (".DS_Store", b""), ("__MACOSX/x", b"")]
    members.append(("a/Icon\r", b""))
    for name, data in members:
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    packed = write_zip(tmp_path / "packed.zip", members)
    for path in (tmp_path / "folder", packed):
        with open_members(path) as opened:
            assert opened.names == ("a/1.png", "b/2.png")
            assert opened.folders == ("a", "b")
            assert opened.read("b/2.png") == b"two"


def test_a_fingerprint_follows_content_and_names(tmp_path):
    def fingerprint():
        with open_members(tmp_path) as members:
            return members.fingerprint()

    (tmp_path / "a").write_bytes(b"1")
    first = fingerprint()
    assert fingerprint() == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert fingerprint() != first
    (tmp_path / "b").write_bytes(b"2")
    assert fingerprint() != first


@pytest.mark.parametrize(
    "name",
    ["../out.png", "a/../../out.png", "/etc/out.png", "..\\out.png", "\\out.png", "C:\\out.png"],
)
def test_a_name_that_leads_out_is_refused(name, tmp_path, one_line):
    path = write_zip(tmp_path / "slip.zip", [(name, b"x")])
    with pytest.raises(InputError, match="leads out of the zip") as caught, open_members(path):
        pass
    one_line(caught, "slip.zip")
    assert os.listdir(tmp_path) == ["slip.zip"]


def test_a_name_that_cannot_be_printed_is_refused(tmp_path, one_line):
    path = write_zip(tmp_path / "x.zip", [("a\nb.png", b"x")])
    with pytest.raises(InputError, match="cannot be printed") as caught, open_members(path):
        pass
    one_line(caught)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a\x1b[31m.png").touch()
    with pytest.raises(InputError, match="cannot be printed"), open_members(tmp_path / "folder"):
        pass


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_zip_is_refused(kept, tmp_path, one_line):
    path = write_zip(tmp_path / "images.zip", [(f"{n}.png", os.urandom(200)) for n in range(5)])
    data = path.read_bytes()
    path.write_bytes(data[: kept if kept >= 1 else int(kept * len(data))])
    with pytest.raises(InputError, match="not a complete zip file") as caught, open_members(path):
        pass
    one_line(caught, "images.zip")


def test_a_damaged_member_is_refused(tmp_path, one_line):
    path = write_zip(tmp_path / "x.zip", [("a.png", b"film" * 50)])
    data = bytearray(path.read_bytes())
    data[data.index(b"filmfilm") + 5] ^= 1
    path.write_bytes(data)
    with open_members(path) as members, pytest.raises(InputError, match="damaged") as caught:
        members.read("a.png")
    one_line(caught, "x.zip:a.png")


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", [("a.png", b"film")])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"'a\.png' is encrypted"), open_members(path):
        pass


def test_a_zip_bomb_is_refused_without_unpacking(tmp_path, monkeypatch):
    path = write_zip(
        tmp_path / "x.zip", [("a.png", bytes(2**22))], compression=zipfile.ZIP_DEFLATED
    )
    monkeypatch.setattr(archives, "_RATIO_FREE_BYTES", 2**20)
    with pytest.raises(InputError, match="over 200 times its size"), open_members(path):
        pass


def test_a_member_that_claims_to_be_huge_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", [("a.png", b"film")])
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 2**30)
    path.write_bytes(data)
    with pytest.raises(InputError, match="over 200 times its size"), open_members(path):
        pass


def test_a_large_file_is_read_in_pieces_and_not_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 5)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.npy").write_bytes(b"123456")
    packed = write_zip(tmp_path / "x.zip", [("a.npy", b"123456")])
    for path in (tmp_path / "folder", packed):
        with open_members(path) as members:
            with pytest.raises(InputError, match=r"a\.npy: above the limit of 0 MiB"):
                members.read("a.npy")
            with members.open("a.npy") as file:
                assert [file.read(4), file.read(4)] == [b"1234", b"56"]
            assert members.size("a.npy") == 6


def test_a_member_larger_than_it_claims_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", [("a.png", b"film" * 100)])
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 4)
    path.write_bytes(data)
    with open_members(path) as members, pytest.raises(InputError, match="damaged"):
        members.read("a.png")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.zip", [("a.png", b"1"), ("a.png", b"2")])
    with pytest.raises(InputError, match=r"holds 'a\.png' twice"), open_members(path):
        pass


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = 0o120777 << 16
    path = write_zip(tmp_path / "x.zip", [(link, b"/etc/hostname")])
    with pytest.raises(InputError, match="a link and no file"), open_members(path):
        pass


def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match="not a regular file"), open_members(tmp_path):
        pass


def test_a_link_to_a_folder_is_followed_inside_the_root(tmp_path):
    (tmp_path / "kept" / "deep").mkdir(parents=True)
    (tmp_path / "kept" / "deep" / "1.png").write_bytes(b"one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").symlink_to("../kept/deep")
    with open_members(tmp_path) as members:
        assert members.names == ("kept/deep/1.png", "other/a/1.png")
        assert members.read("other/a/1.png") == b"one"


@pytest.mark.parametrize(
    ("link", "to", "message"),
    [
        ("root/a", "../outside", "leads out of"),
        ("root/a", "/etc", "leads out of"),
        ("root/a", "../root2", "leads out of"),
        ("root/a", ".", "a link to a folder that holds it"),
        ("root/deep/a", "..", "a link to a folder that holds it"),
    ],
)
def test_a_link_to_a_folder_outside_or_around_is_refused(link, to, message, tmp_path, one_line):
    for folder in ("root/deep", "outside", "root2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / link).symlink_to(to)
    with pytest.raises(InputError) as caught, open_members(tmp_path / "root"):
        pass
    one_line(caught, str(tmp_path / link), message)


def test_a_link_to_a_file_is_followed_inside_the_root_and_refused_outside(tmp_path, one_line):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a" / "1.png").write_bytes(b"one")
    (root / "b.png").symlink_to("a/1.png")
    with open_members(root) as members:
        assert members.names == ("a/1.png", "b.png")
        assert members.read("b.png") == b"one"
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "a" / "c.png").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError) as caught, open_members(root):
        pass
    one_line(caught, f"{root / 'a' / 'c.png'}: a link that leads out of {root}")


def test_links_that_go_round_are_refused_from_wherever_they_are_read(tmp_path, monkeypatch):
    for here, there in (("a", "b"), ("b", "a")):
        (tmp_path / here).mkdir()
        (tmp_path / here / "to").symlink_to(tmp_path / there)
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path, Path(".")):
        with pytest.raises(InputError, match="that holds it"), open_members(root):
            pass


def test_litter_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / ".around").symlink_to(tmp_path)
    with open_members(tmp_path) as members:
        assert members.names == ("a.png",) and members.passed_over == ()


def test_a_zip_written_with_backslashes_reads_as_any_other(tmp_path):
    names = [("b\\", b""), ("b\\2.png", b"two"), ("a\\deep\\1.png", b"one")]
    with open_members(write_zip(tmp_path / "x.zip", names)) as members:
        assert members.names == ("a/deep/1.png", "b/2.png")
        assert members.folders == ("a", "a/deep", "b")
        assert members.read("a/deep/1.png") == b"one" and members.read("b/2.png") == b"two"
    twice = write_zip(tmp_path / "y.zip", [("a\\1.png", b"1"), ("a/1.png", b"2")])
    with pytest.raises(InputError, match=r"holds 'a/1\.png' twice"), open_members(twice):
        pass


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.zip: no such file"):
        open_members(tmp_path / "nothing.zip").__enter__()

"""Raw films to prepared hands: what is written, in which bytes, and what never is."""

import csv
import os

import numpy as np
import pytest
from PIL import Image

import metabone as mb
from metabone.commands.command import Call
from metabone.commands.prepare_hands import COMMAND, PrepareHandsSettings
from metabone.datasets import hands
from metabone.datasets.prepared_hands import read_prepared
from metabone.errors import InputError
from metabone.radiograph.landmarks import mirrored
from metabone.radiograph.pointed_simulation import simulate_pointed_films
from metabone.workflows import canonical_hands, hand_files, hand_preparation
from metabone.workflows.hand_preparation import hands_in_words, prepared_source
from metabone.workflows.hand_reading import HandPoints
from metabone.workflows.hand_regions import HandRegions, weights_sha256
from metabone.workflows.key_points import PointNet
from metabone.workflows.point_net_files import shipped_point_net
from tests.datasets.hand_folders import edit, hand
from tests.imaging.conftest import dicom_file

NAMES = [str(1000 + number) for number in range(11)]


@pytest.fixture(autouse=True)
def known_points(monkeypatch):
    """A reader that knows the drawn films by their pixels, and is unsure of all others."""
    known = {}
    for number in range(len(NAMES)):
        film, points = hand(number)
        known[film.tobytes()] = points
        known[film[:, ::-1].tobytes()] = mirrored(points, film.shape[1])

    def read(net, films):
        found = [known.get(film.tobytes()) for film in films]
        points = [hand(0)[1] if at is None else at for at in found]
        unsure = [np.full(21, 0.5 if at is None else 0.02) for at in found]
        return HandPoints(
            np.array(points, np.float32).reshape(-1, 21, 2),
            np.array(unsure, np.float32).reshape(-1, 21),
        )

    monkeypatch.setattr(canonical_hands, "read_key_points", read)
    monkeypatch.setattr(
        canonical_hands,
        "shows_another",
        lambda net, films, points: np.zeros(len(films), bool),
        raising=False,
    )
    net = PointNet({"kernel": np.ones(3, np.float32)}, {})
    monkeypatch.setattr(hand_preparation, "point_net_of", lambda given: net)


@pytest.fixture
def one_line():
    def check(caught, *parts):
        assert str(caught.value).isprintable()
        assert all(part in str(caught.value) for part in parts), caught.value

    return check


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def raw(tmp_path):
    """Eleven films with labels: 1003 lies mirrored, 1005 is noise, 1007 a copy of 1001."""
    folder = tmp_path / "raw"
    for number, name in enumerate(NAMES):
        save(folder / "images" / f"{name}.png", hand(number)[0])
    save(folder / "images" / "1003.png", hand(3)[0][:, ::-1])
    noise = np.random.default_rng(0).integers(0, 256, (90, 80)).astype(np.uint8)
    save(folder / "images" / "1005.png", noise)
    save(folder / "images" / "1007.png", hand(1)[0])
    (folder / "images" / "1009.png").write_bytes(b"no film")
    lines = [f"{name},{60 + n},{'FM'[n % 2]},Jane Doe\n" for n, name in enumerate(NAMES)]
    (folder / "labels.csv").write_text("".join(["id,bone_age_months,sex,note\n", *lines]))
    (folder / "source.json").write_text('{"citation": "Roe 2020"}')
    return folder


def tree(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def rows_of(folder):
    with open(folder / "films.csv") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_films_become_canonical_with_their_points_and_a_row_each(raw, tmp_path):
    prepared = mb.prepare_hands(raw, tmp_path / "out")
    assert sorted(tree(tmp_path / "out")) == sorted(
        ["contact_sheet.html", "films.csv", "labels.csv", "points.csv", "prepared.json"]
        + [f"films/{name}.png" for name in NAMES if name != "1009"]
    )
    rows = rows_of(tmp_path / "out")
    assert list(rows) == NAMES and rows["1000"]["file"] == "1000.png"
    status = {name: row["status"] for name, row in rows.items() if row["status"] != "usable"}
    assert status == {"1005": "refused", "1007": "copy", "1009": "unreadable"}
    assert rows["1009"]["reason"] == "not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file"
    assert rows["1007"]["reason"] == "a copy: the same pixels as 1001"
    assert [name for name, row in rows.items() if row["mirrored"] == "yes"] == ["1003"]
    for name in ("1000", "1003"):
        number = NAMES.index(name)
        film, points = hand(number)
        left, top, right, bottom = map(int, rows[name]["shown"].split())
        shown = prepared.read_film(name)
        assert shown.shape == (bottom - top, right - left)
        # The same film but for its exposure.
        assert np.corrcoef(shown.ravel(), film[top:bottom, left:right].ravel())[0, 1] > 0.99
        at = prepared.points[prepared.names.index(name)]
        np.testing.assert_allclose(at, points - [left, top], atol=1e-4)


def test_labels_and_terms_come_along_and_nothing_else_of_them(raw, tmp_path):
    prepared = mb.prepare_hands(raw, tmp_path / "out")
    lines = (tmp_path / "out" / "labels.csv").read_text().splitlines()
    assert lines[:3] == ["id,bone_age_months,sex", "1000,60,F", "1001,61,M"] and len(lines) == 12
    assert prepared.about["citation"] == "Roe 2020"
    assert prepared.about["key_points"]["name"] == "the weights of metabone"
    assert not any(b"Doe" in data for data in tree(tmp_path / "out").values())


class _Killed(BaseException):
    """As if by SIGKILL: nothing is there to catch it."""


def test_killed_at_any_write_the_same_call_ends_in_the_same_bytes(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    for number in range(3):
        save(raw / f"{number}.png", hand(number)[0])
    (raw / "labels.csv").write_text("id,bone_age_months,sex\n0,60,F\n1,61,M\n2,62,F\n")
    monkeypatch.setattr(hand_preparation, "_CHUNK", 2)
    replace, writes, last = os.replace, 0, None

    def killing(old, new):
        nonlocal writes
        if writes == last:
            raise _Killed
        writes += 1
        replace(old, new)

    monkeypatch.setattr(os, "replace", killing)
    mb.prepare_hands(raw, tmp_path / "at once")
    # Settings, 3 films, 2 chunks, 3 tables, what stands for the whole, and the sheet.
    assert writes == 11
    for end in range(11):
        out = tmp_path / f"killed at {end}"
        writes, last = 0, end
        with pytest.raises(_Killed):
            mb.prepare_hands(raw, out)
        (out / ".films.csv.1.partial").write_text("half a table")
        if end < 10:
            with pytest.raises(InputError, match="no prepared hands"):
                read_prepared(out)
        last = None
        mb.prepare_hands(raw, out)
        assert tree(out) == tree(tmp_path / "at once")


def test_films_that_are_done_are_not_read_again(raw, tmp_path, monkeypatch):
    out = tmp_path / "out"
    seen, write = [], hand_preparation._write_picture

    def stop(place, name, film):
        seen.append(name)
        if name == "1008":
            raise _Killed
        write(place, name, film)

    monkeypatch.setattr(hand_preparation, "_write_picture", stop)
    with pytest.raises(_Killed):
        mb.prepare_hands(raw, out)
    assert seen[-1] == "1008"
    monkeypatch.setattr(
        hand_preparation, "_write_picture", lambda *a: seen.append(a[1]) or write(*a)
    )
    seen.clear()
    mb.prepare_hands(raw, out)
    assert seen == ["1008", "1010"]
    seen.clear()
    mb.prepare_hands(raw, out)
    assert seen == []


def test_corrected_points_stay_and_show_on_the_sheet(raw, tmp_path):
    out = tmp_path / "out"
    x, y = mb.prepare_hands(raw, out).points[5, 4]
    before = tree(out)
    edit(out, "points.csv", f"1005,thumb tip,{x!s},{y!s},", "1005,thumb tip,31,7.5,")
    corrected = (out / "points.csv").read_text()
    prepared = mb.prepare_hands(raw, out)
    assert prepared.corrected.tolist() == [False] * 5 + [True] + [False] * 4
    assert prepared.usable[5] and prepared.points[5, 4].tolist() == [31, 7.5]
    assert (out / "points.csv").read_text() == corrected
    after = tree(out)
    assert [name for name in after if after[name] != before[name]] == [
        *("contact_sheet.html", "points.csv"),
    ]
    sheet = after["contact_sheet.html"].decode()
    assert sheet.count("points corrected by hand") == 1 and "points of 1 films" in sheet
    assert "Points corrected by hand: 1 films." in hands_in_words(prepared)


def test_nothing_that_names_a_patient_is_written(tmp_path, capsys):
    folder = tmp_path / "raw"
    for number, patient in enumerate(["ID-77", "ID-78", "ID-77"]):
        data = dicom_file(
            hand(number)[0],
            PatientName="Doe^Jane",
            PatientID=patient,
            PatientBirthDate="19991231",
            InstitutionName="Mercy",
            PatientSex="F",
            PatientAge="010Y",
            ImageLaterality="R",
            ImagerPixelSpacing=[0.2, 0.1],
        )
        (folder / "Doe^Jane" / f"Doe{number}").parent.mkdir(parents=True, exist_ok=True)
        (folder / "Doe^Jane" / f"Doe{number}").write_bytes(data)
    (folder / "Doe^Jane" / "Doe.txt").write_text("Doe")
    out = tmp_path / "out"
    prepared = mb.prepare_hands(folder, out)
    said = "".join(hands_in_words(prepared)).encode() + "".join(capsys.readouterr()).encode()
    for word in (b"Doe", b"ID-7", b"19991231", b"Mercy"):
        assert not any(word in data for data in [*tree(out).values(), said])
        assert not any(word.decode() in name for name in tree(out))
    rows = list(rows_of(out).values())
    assert [row["patient"] for row in rows] == ["", "1", "2", "1"]
    assert {row["file"] for row in rows} == {""}
    of_film = rows[1]
    assert (of_film["sex"], of_film["age_months"], of_film["laterality"]) == ("F", "120", "R")
    assert (of_film["row_mm"], of_film["column_mm"]) == ("0.2", "0.1")
    assert "the file says R, but the hand lies as the other one does" in of_film["warnings"]
    kept = mb.prepare_hands(folder, tmp_path / "kept", keep_names=True)
    assert kept.names == ("Doe0", "Doe1", "Doe2") and kept.rows[0].file == "Doe^Jane/Doe.txt"


def test_a_large_film_is_made_smaller_with_its_points_and_spacing(raw, tmp_path, monkeypatch):
    plain = mb.prepare_hands(raw, tmp_path / "plain")
    monkeypatch.setattr(hand_files, "_LONGEST", 120)
    small = mb.prepare_hands(raw, tmp_path / "small")
    shape, before = small.read_film("1000").shape, plain.read_film("1000").shape
    assert max(shape) == 120
    scale = np.array(shape[::-1]) / before[::-1]
    expected = (plain.points[0] + 0.5) * scale - 0.5
    np.testing.assert_allclose(small.points[0], expected, atol=1e-4)


def test_a_tiny_film_is_told_of(tmp_path):
    save(tmp_path / "raw" / "a.png", np.zeros((40, 20), np.uint8))
    save(tmp_path / "raw" / "b.png", hand(0)[0])
    mb.prepare_hands(tmp_path / "raw", tmp_path / "out", keep_names=True)
    assert rows_of(tmp_path / "out")["a"]["reason"] == "20 x 40 pixels; expected at least 32 a side"


def test_other_films_or_settings_need_another_folder(raw, tmp_path, one_line):
    out = tmp_path / "out"
    mb.prepare_hands(raw, out)
    before = tree(out)
    with pytest.raises(InputError, match="was prepared otherwise") as caught:
        mb.prepare_hands(raw, out, regions="wrist")
    one_line(caught, 'regions "min_kang_6" vs "wrist"', "name a new folder")
    save(raw / "images" / "1000.png", hand(2)[0])
    with pytest.raises(InputError, match="was prepared otherwise"):
        mb.prepare_hands(raw, out)
    assert tree(out) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("raw/out", "lies within the films"),
        ("raw", "lies within the films"),
        ("other", "exists already and holds no prepared hands"),
        ("other/file", "not a folder"),
        ("other/file/below", "is no folder that can be written to"),
    ],
)
def test_a_place_that_cannot_be_taken_is_one_line(out, message, raw, tmp_path, one_line):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(InputError) as caught:
        mb.prepare_hands(raw, tmp_path / out)
    one_line(caught, message)


def test_a_full_disk_is_one_line(raw, tmp_path, monkeypatch, one_line):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written") as caught:
        mb.prepare_hands(raw, tmp_path / "out")
    one_line(caught, "No space left on device")
    monkeypatch.undo()


def test_a_source_is_prepared_once_and_kept(raw, tmp_path, monkeypatch):
    place = prepared_source(f"rsna:{raw}", tmp_path / "data")
    assert place.parent == tmp_path / "data" / "hands"
    assert read_prepared(place).about["files"] == 11
    assert prepared_source(f"hands:{place}", tmp_path / "data") == place
    other = prepared_source(f"rsna:{raw}", tmp_path / "data", regions="wrist")
    assert other != place
    monkeypatch.setattr(hand_preparation, "prepare_hands", None)
    assert prepared_source(f"rsna:{raw}", tmp_path / "data") == place


@pytest.mark.parametrize("source", ["simulated:smi", "folder:x", "rsna:nowhere"])
def test_another_source_is_one_line(source, tmp_path, one_line):
    with pytest.raises(InputError) as caught:
        prepared_source(source, tmp_path / "data")
    one_line(caught)
    assert not (tmp_path / "data").exists()


def test_the_command_says_what_became_of_the_files(raw, tmp_path, capsys):
    out = tmp_path / "out"
    settings = PrepareHandsSettings(films=str(raw), out=str(out))
    COMMAND.main(Call(COMMAND, settings, (), ""))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "11 files: 8 usable films."
    assert printed[1] == "Refused: 1 no hand."
    assert printed[2] == "Copies: 1 a copy."
    assert printed[3] == "Unreadable: 1 not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file."
    assert printed[4] == f"to look at: {out / 'contact_sheet.html'}"
    with pytest.raises(InputError, match="--films is missing"):
        COMMAND.main(Call(COMMAND, PrepareHandsSettings(), (), ""))


@pytest.mark.slow
def test_prepared_films_and_films_that_a_model_reads_give_the_same_regions(tmp_path, monkeypatch):
    """With the network that comes with the package, on simulated films."""
    monkeypatch.undo()
    drawn = simulate_pointed_films(77, 3)
    boxes = np.asarray(drawn.boxes, int)
    films = [
        np.asarray(image)[y0 : y1 + 1, x0 : x1 + 1]
        for image, (x0, y0, x1, y1) in zip(drawn.images, boxes, strict=True)
    ]
    for number, film in enumerate(films):
        save(tmp_path / "raw" / f"{number}.png", film)
    lines = [f"{number},{60 + number},F" for number in range(len(films))]
    (tmp_path / "raw" / "labels.csv").write_text("\n".join(["id,bone_age_months,sex", *lines]))
    templates = np.random.default_rng(0).random((6, 64, 64, 2)).astype(np.float32)
    monkeypatch.setattr(hands, "simulated_templates", lambda regions: templates)
    prepared = mb.prepare_hands(tmp_path / "raw", tmp_path / "out")
    read = mb.load_films(f"hands:{tmp_path / 'out'}")
    net = shipped_point_net()
    regions = HandRegions("min_kang_6", templates, weights_sha256(net))
    cut = regions.cut(films)
    assert [not each.refusal for each in cut] == prepared.usable.tolist()
    direct = np.stack([each.regions for each in cut if each.regions is not None])
    assert len(direct) >= 2
    np.testing.assert_array_equal(read.regions[..., 0], direct)

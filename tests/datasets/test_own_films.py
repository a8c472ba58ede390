import os
import zipfile

import numpy as np
import pytest

from metabone.datasets.own_films import films_in_words, list_films, read_labelled_films
from metabone.errors import InputError


@pytest.fixture
def folder(tmp_path, film):
    """Two classes of three films."""
    for number in range(6):
        place = tmp_path / "films" / ["late", "early"][number // 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(film(number))
    return tmp_path / "films"


@pytest.fixture
def table(tmp_path, film):
    """Writes a table beside six films."""
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(film(number))

    def write(lines, encoding="utf-8", name="films.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding)
        return path

    return write


ROWS = [f"{number}.png,{['late', 'early'][number // 3]}" for number in range(6)]


def test_folders_are_classes_and_litter_is_passed_over_on_the_record(folder):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "early" / "Thumbs.db").write_bytes(b"x")
    films = read_labelled_films(folder)
    assert films.files == (
        *(f"early/{n}.png" for n in (3, 4, 5)),
        *(f"late/{n}.png" for n in range(3)),
    )
    assert films.labels == ("early",) * 3 + ("late",) * 3
    assert films.counts == {"early": 3, "late": 3} and films.groups is None
    assert films.notes == ("passed over: .DS_Store, Thumbs.db",)
    assert films_in_words(films)[-1] == "Passed over: .DS_Store, Thumbs.db"


def test_a_zip_reads_as_its_folder(folder, tmp_path):
    path = tmp_path / "films.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder).as_posix())
    zipped, plain = read_labelled_films(path), read_labelled_films(folder)
    assert zipped.files == plain.files and zipped.labels == plain.labels
    for one, two in zip(zipped.read(1), plain.read(1), strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)


@pytest.mark.parametrize(
    ("encoding", "parting", "header"),
    [
        ("utf-8", ",", "file,label"),
        ("utf-8-sig", ";", "File;Label"),
        ("utf-8", "\t", "file\tlabel"),
    ],
)
def test_tables_of_any_parting_read_alike(table, encoding, parting, header):
    films = read_labelled_films(
        table([header, *(row.replace(",", parting) for row in ROWS)], encoding)
    )
    assert films.files == ("3.png", "4.png", "5.png", "0.png", "1.png", "2.png")
    assert films.labels == ("early",) * 3 + ("late",) * 3
    assert len(list(films.read(1))) == 6


@pytest.mark.parametrize("name", ["patient", "group"])
def test_patients_are_read_in_order_of_the_films(table, name):
    rows = [f"{row},p{number}" for number, row in enumerate(ROWS)]
    films = read_labelled_films(table([f"file,label,{name}", *rows]))
    assert films.groups == ("p3", "p4", "p5", "p0", "p1", "p2")


def test_absolute_paths_may_lead_anywhere(table, tmp_path, film):
    elsewhere = tmp_path.with_name(tmp_path.name + "-elsewhere")
    elsewhere.mkdir()
    (elsewhere / "far.png").write_bytes(film(9))
    films = read_labelled_films(table(["file,label", *ROWS, f"{elsewhere / 'far.png'},late"]))
    assert str(elsewhere / "far.png") in films.files
    assert len(list(films.read(1))) == 7


def test_source_json_beside_the_table_is_read(table, tmp_path):
    (tmp_path / "source.json").write_text('{"licence": "CC0"}')
    assert read_labelled_films(table(["file,label", *ROWS])).stated.licence == "CC0"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["name,label", *ROWS], "must name file and label once each"),
        (["file,label,label", *ROWS], "must name file and label once each"),
        (["file,label", *ROWS, "0.png"], "line 8: has another number of cells"),
        (["file,label", *ROWS, "0.png,"], "line 8: an empty cell"),
        (["file,label", *ROWS, "7.png,late"], "line 8: no such file '7.png'"),
        (["file,label", *ROWS, "./0.png,early"], "line 8: './0.png' stands in line 2 as well"),
        (["file,label", *ROWS, "../x.png,early"], "line 8: '../x.png' leads out"),
        (["file,label", *ROWS, "a\x1b[2J.png,early"], "line 8: characters that cannot be printed"),
        (["file,label", *ROWS[:5]], "class 'early' has 2 films; at least 3"),
        (["file,label", *ROWS[:3]], "has one class"),
        (["file,label"], "holds no films"),
        ([""], "must name file and label"),
    ],
)
def test_wrong_tables_are_one_line(table, lines, message, one_line):
    with pytest.raises(InputError) as caught:
        read_labelled_films(table(lines))
    one_line(caught, message, "films.csv" if "class" not in message else "")


def test_a_link_out_of_the_tables_folder_is_refused(table, tmp_path, film):
    outside = tmp_path.with_name(tmp_path.name + "-outside.png")
    outside.write_bytes(film(9))
    os.symlink(outside, tmp_path / "link.png")
    with pytest.raises(InputError, match=r"'link.png' leads out of the table's folder"):
        read_labelled_films(table(["file,label", *ROWS, "link.png,late"]))


def test_a_table_that_is_not_utf8_is_named(table):
    with pytest.raises(InputError, match=r"films.csv: not a text file in UTF-8"):
        read_labelled_films(table(["file,label", *ROWS, "ä.png,late"], "latin-1"))


def test_a_class_of_two_films_is_refused(folder):
    (folder / "late" / "0.png").unlink()
    with pytest.raises(InputError, match=r"class 'late' has 2 films; at least 3 a class"):
        read_labelled_films(folder)


def test_an_unreadable_film_is_named(folder):
    (folder / "late" / "1.png").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"films/late/1.png: not a DICOM, PNG, JPEG or TIFF"):
        list(read_labelled_films(folder).read(1))


def test_films_without_labels_are_listed_at_any_depth(folder, film):
    (folder / "late" / "more").mkdir()
    (folder / "late" / "more" / "x.jpg").write_bytes(b"no film")
    films = list_films(folder)
    assert films.files == (
        *(f"early/{n}.png" for n in (3, 4, 5)),
        *(f"late/{n}.png" for n in range(3)),
        "late/more/x.jpg",
    )
    found = list(films.read(1))
    assert found[-1] == (None, "not a DICOM, PNG, JPEG or TIFF file")
    assert all(read.pixels.shape == (24, 16) for read, _ in found[:-1])


def test_a_single_image_is_one_film(folder, film):
    films = list_films(folder / "late" / "0.png")
    assert films.files == ("0.png",) and films.read_bytes("0.png") == film(0)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_films_are_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        list_films(tmp_path / name)

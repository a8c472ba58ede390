import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.film_bytes import film_of_bytes
from metabone.datasets.own_films import films_in_words, list_films, read_labelled_films
from metabone.errors import InputError
from tests.imaging.conftest import dicom_file


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


@pytest.mark.parametrize("name", ["patient", "group", "Patient ID", "patient_id"])
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
    with pytest.raises(
        InputError, match=r"films/late/1.png: not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF"
    ):
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
    assert found[-1] == (None, "not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file")
    assert all(read.pixels.shape == (24, 16) for read, _ in found[:-1])


def test_a_single_image_is_one_film(folder, film):
    films = list_films(folder / "late" / "0.png")
    assert films.files == ("0.png",) and films.read_bytes("0.png") == film(0)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_films_are_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        list_films(tmp_path / name)


def dicom(path, pixels, patient, **elements):
    """A film of a patient with a name, as one would come from an archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {"PatientID": patient, "PatientName": f"Name^{patient}", **elements}
    path.write_bytes(dicom_file(pixels, **named))


def test_dicom_films_of_any_name_are_read_and_tell_sex_and_patients(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 6), np.uint8)
    names = [f"films/{'ab'[number // 3]}/IM{number:04}" for number in range(6)]
    for number, name in enumerate(names):
        dicom(tmp_path / name, pixels[number], f"P{number // 2}", PatientSex="FM"[number % 2])
    lines = [f"{name},{name.split('/')[1]}" for name in names]
    (tmp_path / "films.csv").write_text("\n".join(["file,label", *lines]))
    for place in (tmp_path / "films", tmp_path / "films.csv"):
        films = read_labelled_films(place)
        found, again = list(films.read(1)), list(films.read(1))
        np.testing.assert_array_equal([film.pixels for film in found], pixels)
        assert [film.sex for film in found] == ["F", "M"] * 3
        groups = [film.group for film in found]
        assert groups[0] == groups[1] != groups[2] == groups[3] != groups[4] == groups[5]
        assert not set(groups) & {film.group for film in again}  # Another salt each time.
        colour = next(films.read(3)).pixels
        np.testing.assert_array_equal(colour, np.repeat(pixels[0][..., None], 3, -1))


def test_damaged_dicom_is_one_line_that_names_no_patient(tmp_path):
    dicom(tmp_path / "x.dcm", np.zeros((4, 6), np.uint8), "Jo-77", Rows=4000)
    ((film, reason),) = list_films(tmp_path / "x.dcm").read(1)
    assert film is None and reason.isprintable() and "Jo-77" not in reason


def pictures():
    """PNG and JPEG of 8 bits, in the modes that they have."""
    rng = np.random.default_rng(0)
    for channels in (1, 2, 3, 4):
        yield Image.fromarray(rng.integers(0, 256, (5, 7, channels), np.uint8).squeeze())
    yield Image.frombytes("CMYK", (7, 5), rng.integers(0, 256, 140, np.uint8).tobytes())
    yield Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).convert("P")
    yield Image.fromarray(rng.integers(0, 256, (5, 7), np.uint8)).convert("1")


@pytest.mark.parametrize("turn", [1, 6])
def test_pixels_of_8_bit_pictures_are_those_that_the_reader_of_images_gives(turn):
    count, exif = 0, Image.Exif()
    exif[0x0112] = turn
    for image in pictures():
        for kind in ("PNG", "JPEG"):
            file = io.BytesIO()
            try:
                image.save(file, kind, exif=exif)
            except OSError:
                continue  # The format has no such mode.
            for channels in (1, 3):
                read = film_of_bytes(file.getvalue(), "x", channels).pixels
                expected = reading.decode(file.getvalue(), "x", channels).image
                np.testing.assert_array_equal(read, expected)
                count += 1
    assert count >= 20


def test_12_bits_in_16_are_the_same_greys_in_any_format_and_channels():
    deep = (np.arange(256, dtype=np.uint16).reshape(16, 16) * 16) + 15
    for channels in (1, 3):
        for kind in ("TIFF", "PNG"):
            file = io.BytesIO()
            Image.fromarray(deep).save(file, kind)
            read = film_of_bytes(file.getvalue(), "x", channels).pixels.reshape(16, 16, -1)
            assert np.abs(read - (deep / 4095 * 255)[..., None]).max() <= 0.51


def test_films_to_be_read_may_be_named_by_a_table_that_tells_sex(table):
    films = list_films(table(["file,sex", "1.png,f", "0.png,"]))
    assert films.files == ("1.png", "0.png") and films.sex == ("F", "")
    assert [film.pixels.shape for film, _ in films.read(1)] == [(24, 16)] * 2
    with pytest.raises(InputError, match=r"films.csv: its first line must name file once"):
        list_films(table(["name", "1.png"]))

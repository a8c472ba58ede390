import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metabone.datasets import prepared, reading, rsna
from metabone.datasets.hand_labels import read_hand_labels
from metabone.datasets.source import load_films
from metabone.errors import InputError
from metabone.radiograph.stages import stages_by_months

REAL = Path(__file__).parents[3] / "shared" / "data" / "rsna_512px"


def load(folder, data_dir, **options):
    options = {"size": 16, "cuts": (100,), **options}
    return load_films(f"rsna:{folder}", data_dir=str(data_dir), **options)


def edit(folder, old, new):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace(old, new, 1))


def zip_images(folder, prefix=""):
    images = folder / "images"
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for file in sorted(images.iterdir()):
            archive.write(file, prefix + file.name)
            file.unlink()
    images.rmdir()


def test_films_carry_their_labels_and_pixels(rsna_dir, data_dir):
    films = load(rsna_dir, data_dir)
    assert films.patients.tolist() == ["100", "101", "102", "103", "104", "105"]
    assert films.bone_age_months.tolist() == [60, 80, 100, 120, 140, 160]
    assert films.sex.tolist() == ["F", "M"] * 3
    assert films.classes.tolist() == [0, 0, 1, 1, 1, 1]
    assert films.class_counts() == {"bone age < 100 months": 2, "bone age >= 100 months": 4}
    assert films.regions.shape == (6, 1, 16, 16, 1) and films.regions.dtype == np.uint8
    for index, name in enumerate(films.patients):
        file = rsna_dir / "images" / f"{name}.png"
        picture = reading.decode(file.read_bytes(), name, 1)
        np.testing.assert_array_equal(films.regions[index, 0], reading.resize(picture.image, 16))


def test_films_of_sixteen_bits_are_scaled_alike_whatever_their_files(rsna_dir, data_dir, encode):
    tops = {"100.png": 4095, "101.tif": 2047}
    for (name, top), turns in zip(tops.items(), (0, 1), strict=True):
        ramp = np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)
        (rsna_dir / "images" / f"{name[:3]}.png").unlink()
        kind = "TIFF" if name.endswith("tif") else "PNG"
        (rsna_dir / "images" / name).write_bytes(encode(np.rot90(ramp, turns), kind))
    films = load(rsna_dir, data_dir)
    # The second is half as exposed, and stays so; others have 8 bits.
    assert films.regions[:2].max((1, 2, 3, 4)).tolist() == [255, 127]
    assert films.examples[1].max() <= 129
    assert "16 to 8 bits, of which 12 are used (2 of 6 films)" in films.provenance.conversions


def test_examples_are_whole_films_of_every_class(rsna_dir, data_dir):
    films = load(rsna_dir, data_dir, examples=3)
    assert films.examples.shape == (3, 512, 512)
    assert films.example_index.tolist() == [0, 1, 2]
    assert films.classes[films.example_index].tolist() == [0, 0, 1]
    assert films.example_boxes.tolist() == [[[0, 0, 512, 512]]] * 3
    assert load(rsna_dir, data_dir, examples=0).examples.shape == (0, 512, 512)


def test_provenance_says_where_films_came_from_and_what_was_done(rsna_dir, data_dir):
    provenance = load(rsna_dir, data_dir).provenance
    assert provenance.source == f"rsna:{rsna_dir}"
    assert (provenance.kind, provenance.count) == ("real", 6)
    assert provenance.conversions == ("padded with black to a square, LANCZOS to 16x16",)
    own = "not stated: the user's own images"
    assert (provenance.citation, provenance.licence) == (own, own)


def test_citation_and_terms_are_those_that_the_folder_states(rsna_dir, data_dir):
    (rsna_dir / "source.json").write_text('{"citation": "Doe\\n(2020)", "licence": "CC0"}')
    provenance = load(rsna_dir, data_dir).provenance
    assert (provenance.citation, provenance.licence) == ("Doe (2020)", "CC0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object of citation and licence"),
        ('{"license": "CC0"}', "expected an object of citation and licence"),
        ('{"licence": 1}', "licence must be text"),
    ],
)
def test_a_statement_of_another_form_is_one_line(text, message, rsna_dir, data_dir, one_line):
    (rsna_dir / "source.json").write_text(text)
    with pytest.raises(InputError) as caught:
        load(rsna_dir, data_dir)
    one_line(caught, message, "source.json")
    assert not data_dir.exists()


@pytest.mark.parametrize("prefix", ["", "images/"])
def test_a_zip_gives_the_same_films_as_a_folder(rsna_dir, data_dir, prefix):
    first = load(rsna_dir, data_dir)
    zip_images(rsna_dir, prefix)
    assert load(rsna_dir, data_dir).provenance == first.provenance


def test_films_are_prepared_once_and_anew_when_files_change(rsna_dir, data_dir, film, monkeypatch):
    first = load(rsna_dir, data_dir)
    monkeypatch.setattr(prepared, "_write", None)
    assert load(rsna_dir, data_dir).provenance == first.provenance
    monkeypatch.undo()
    (rsna_dir / "images" / "103.png").write_bytes(film(99))
    changed = load(rsna_dir, data_dir)
    assert changed.provenance.sha256 != first.provenance.sha256
    edit(rsna_dir, "100,60,F", "100,61,F")
    assert load(rsna_dir, data_dir).bone_age_months[0] == 61
    assert len(list((data_dir / "rsna").iterdir())) == 3


def test_prepared_films_do_not_bring_the_need_to_write(rsna_dir, data_dir, monkeypatch):
    load(rsna_dir, data_dir)
    monkeypatch.setattr(prepared, "_only_writer", None)
    monkeypatch.setenv("METABONE_DATA_DIR", str(data_dir))
    assert len(load_films(f"rsna:{rsna_dir}", size=16)) == 6


def test_other_columns_of_the_labels_are_not_read(rsna_dir, data_dir):
    lines = (rsna_dir / "labels.csv").read_text().split()
    wider = ["name," + lines[0]] + [f"Jane Doe,{line}" for line in lines[1:]]
    (rsna_dir / "labels.csv").write_text("\ufeff" + "\r\n".join(wider), encoding="utf-8")
    assert len(load(rsna_dir, data_dir)) == 6
    assert not any(b"Jane" in file.read_bytes() for file in data_dir.rglob("*") if file.is_file())


def test_films_of_one_patient_stay_together_and_copies_too(rsna_dir, data_dir):
    rows = ["id,boneage,male,patient"]
    rows += [f"{100 + n}.png,{[60, 80, 60][n // 2]},True,{'Doe' if n < 2 else n}" for n in range(6)]
    (rsna_dir / "labels.csv").write_text("\n".join(rows))
    copy_film("105", "101")(rsna_dir)
    edit(rsna_dir, "105.png,60", "105.png,60.0")
    films = load(rsna_dir, data_dir)
    # 105 is a copy of 101, which is of the patient of 100.
    assert films.patients.tolist() == ["100", "100", "102", "103", "104", "100"]
    assert films.provenance.conversions[0] == (
        "1 of 6 films are copies of others and stay with them"
    )
    assert not any(b"Doe" in file.read_bytes() for file in data_dir.rglob("*") if file.is_file())


def test_a_few_films_or_rows_without_a_partner_are_left_out_and_told(
    rsna_dir, data_dir, film, capsys
):
    for n in range(106, 112):
        (rsna_dir / "images" / f"{n}.png").write_bytes(film(n))
    more = "".join(f"{n},120,F\n" for n in range(106, 111))
    (rsna_dir / "labels.csv").write_text((rsna_dir / "labels.csv").read_text() + more + "x,9,U\n")
    films = load(rsna_dir, data_dir)
    told = [
        "1 of 12 rows have no image and are left out",
        "1 of 12 images have no row and are left out",
    ]
    assert len(films) == 11 and set(films.sex) == {"F", "M"}
    assert capsys.readouterr().err.splitlines() == [f"{rsna_dir}: {note}" for note in told]
    assert list(films.provenance.conversions[:2]) == told


@pytest.mark.parametrize("changed", ["{}.0", "{}"])
def test_ids_that_a_spreadsheet_has_changed_find_their_films(rsna_dir, data_dir, changed):
    plain = load(rsna_dir, data_dir)
    for number in range(100, 106):
        edit(rsna_dir, f"{number},", f"{changed.format(number)},")
        (rsna_dir / "images" / f"{number}.png").rename(rsna_dir / "images" / f"00{number}.png")
    films = load(rsna_dir, data_dir)
    assert films.patients.tolist() == [f"00{name}" for name in plain.patients]
    np.testing.assert_array_equal(films.regions, plain.regions)
    told = f"6 of 6 ids are read as the numbers of films, as {changed.format(100)} of 00100"
    assert films.provenance.conversions[0] == told


def test_litter_and_texts_beside_films_are_passed_over_on_the_record(rsna_dir, data_dir, capsys):
    for name in ("Thumbs.db", "README.txt", "boneage.csv", ".DS_Store"):
        (rsna_dir / "images" / name).write_bytes(b"x")
    films = load(rsna_dir, data_dir)
    told = "passed over: .DS_Store, README.txt, Thumbs.db, boneage.csv"
    assert len(films) == 6 and films.provenance.conversions[0] == told
    assert capsys.readouterr().err == f"{rsna_dir}: {told}\n"


def test_films_of_unknown_sex_are_read(rsna_dir, data_dir):
    text = (rsna_dir / "labels.csv").read_text()
    (rsna_dir / "labels.csv").write_text(text.replace(",F", ",").replace(",M", ",U"))
    assert load(rsna_dir, data_dir).sex is None


def drop(name):
    return lambda folder: (folder / name).unlink()


def change(old, new):
    return lambda folder: edit(folder, old, new)


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def copy_film(old, new):
    def spoil(folder):
        films = folder / "images"
        (films / f"{new}.png").write_bytes((films / f"{old}.png").read_bytes())

    return spoil


BAD = {
    "labels missing": (drop("labels.csv"), "labels.csv: no such file"),
    "labels not text": (write("labels.csv", b"\xff\xfe\0\0"), "not a text file in UTF-8"),
    "labels empty": (write("labels.csv", b""), "its first line must name id once"),
    "labels without rows": (write("labels.csv", b"id,bone_age_months,sex\n"), "holds no rows"),
    "column missing": (change("bone_age_months", "age"), "must name bone_age_months or stage"),
    "column twice": (change("sex", "sex,sex"), "must name sex once"),
    "cell missing": (change("101,80,M", "101,80"), "line 3: has another number of cells"),
    "cell too many": (change("101,80,M", "101,80,M,1"), "line 3: has another number of cells"),
    "quote open": (change("101,80,M", '101,"80,M'), "labels.csv, line"),
    "age no number": (change(",80,", ",eighty,"), "line 3: bone_age_months: 'eighty' is no number"),
    "age below range": (change(",80,", ",-1,"), "bone_age_months: -1 is not in 0..300"),
    "age above range": (change(",80,", ",301,"), "bone_age_months: 301 is not in 0..300"),
    "age nan": (change(",80,", ",nan,"), "bone_age_months: nan is not in 0..300"),
    "sex unknown": (change("80,M", "80,x"), "sex 'x' is neither F nor M nor U nor empty"),
    "id twice": (change("101,", "100,"), "line 3: id '100' is there twice"),
    "id a path": (change("101,", "../101,"), "id '../101' must be letters"),
    "image without row": (
        change("101,80,M\n", ""),
        "1 of 6 images have no row (the first is '101'); at most 10%",
    ),
    "row without image": (
        drop("images/101.png"),
        "1 of 6 rows have no image (the first is '101'); at most 10%",
    ),
    "image twice": (write("images/101.jpg", b""), "a second image of '101'"),
    "no image file": (
        write("images/notes.txt", b"x"),
        "notes.txt: expected only <id>.jpg, <id>.png or alike",
    ),
    "text as image": (
        write("images/101.png", b"x"),
        "101.png: not a PNG, JPEG, TIFF, BMP, WebP or GIF image",
    ),
    "stages alone": (write("labels.csv", b"id,stage\n100,3\n"), "must name bone_age_months"),
    "two ages": (copy_film("100", "105"), "are the same image under two ages; remove one"),
    "both places": (write("images.zip", b"x"), "both images.zip and images/"),
}


@pytest.mark.parametrize("spoil", [pytest.param(case, id=name) for name, case in BAD.items()])
def test_bad_input_is_one_line_and_leaves_nothing_behind(spoil, rsna_dir, data_dir, one_line):
    action, message = spoil
    action(rsna_dir)
    with pytest.raises(InputError) as caught:
        load(rsna_dir, data_dir)
    one_line(caught, message, str(rsna_dir))
    assert not data_dir.exists()


def test_a_missing_folder_or_missing_images_are_named(rsna_dir, data_dir, tmp_path, one_line):
    with pytest.raises(InputError, match="no such folder; expected labels"):
        load(tmp_path / "nothing", data_dir)
    zip_images(rsna_dir)
    data = (rsna_dir / "images.zip").read_bytes()
    (rsna_dir / "images.zip").write_bytes(data[:-50])
    with pytest.raises(InputError, match="not a complete zip file") as caught:
        load(rsna_dir, data_dir)
    one_line(caught, "images.zip")
    (rsna_dir / "images.zip").unlink()
    with pytest.raises(InputError, match="and no images/"):
        load(rsna_dir, data_dir)
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 0}, "image size 0"), ({"size": -3}, "image size -3"), ({"cuts": (9, 8)}, "above")],
)
def test_impossible_options_are_refused_before_any_reading(options, message, rsna_dir, data_dir):
    with pytest.raises(InputError, match=message):
        load(rsna_dir, data_dir, **options)
    assert not data_dir.exists()


def test_a_data_dir_that_cannot_be_written_is_named(rsna_dir, tmp_path, one_line):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written") as caught:
        load(rsna_dir, tmp_path / "file" / "below")
    one_line(caught, str(tmp_path / "file" / "below"))


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    rsna_dir, data_dir, monkeypatch, one_line
):
    def fail(self):
        raise RuntimeError("Failed to finalize:\nNo space left on device")
        yield

    monkeypatch.setattr(rsna.Rsna, "_generate_examples", fail)
    with pytest.raises(InputError, match="No space left on device") as caught:
        load(rsna_dir, data_dir)
    one_line(caught, str(data_dir))
    assert [file.name for file in data_dir.iterdir()] == [".lock"]
    monkeypatch.undo()
    assert len(load(rsna_dir, data_dir)) == 6


def test_damaged_records_are_named(rsna_dir, data_dir, one_line):
    load(rsna_dir, data_dir)
    (file,) = data_dir.rglob("*.array_record-*")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="prepared records are damaged") as caught:
        load(rsna_dir, data_dir)
    one_line(caught, str(file.parent))


KILLED = """
import os, signal, sys
from metabone.datasets import rsna
from metabone.datasets.source import load_films

generate = rsna.Rsna._generate_examples
def killed(self):
    for number, record in enumerate(generate(self)):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield record
rsna.Rsna._generate_examples = killed
load_films(f"rsna:{sys.argv[1]}", size=16, data_dir=sys.argv[2])
"""


def test_a_killed_preparation_starts_afresh(rsna_dir, data_dir):
    script = [sys.executable, "-c", KILLED, str(rsna_dir), str(data_dir)]
    killed = subprocess.run(script, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert any(name.startswith("unfinished-") for name in os.listdir(data_dir))
    assert len(load(rsna_dir, data_dir)) == 6
    assert sorted(os.listdir(data_dir)) == [".lock", "rsna"]


def test_reading_is_quiet_and_needs_no_tensorflow(rsna_dir, data_dir):
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from metabone.datasets.source import load_films, parse_source\n"
        "heavy = {'tensorflow_datasets', 'array_record', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "films = load_films(f'rsna:{sys.argv[1]}', size=16, data_dir=sys.argv[2])\n"
        "assert len(films) == 6 and 'tensorflow' not in sys.modules\n"
    )
    script = [sys.executable, "-c", code, str(rsna_dir), str(data_dir)]
    done = subprocess.run(script, capture_output=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/rsna_512px is not on this machine")
def test_real_films_fall_into_classes_of_the_published_sizes():
    rows = read_hand_labels(REAL / "labels.csv")
    classes = stages_by_months([row.bone_age_months for row in rows])
    assert np.bincount(classes).tolist() == [165, 157, 203, 233, 222]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/rsna_512px is not on this machine")
def test_real_films_are_read(tmp_path, data_dir):
    folder = tmp_path / "some"
    (folder / "images").mkdir(parents=True)
    lines = (REAL / "labels.csv").read_text().splitlines()[:31]
    (folder / "labels.csv").write_text("\n".join(lines))
    with zipfile.ZipFile(REAL / "images.zip") as archive:
        for line in lines[1:]:
            name = line.split(",")[0] + ".jpg"
            (folder / "images" / name).write_bytes(archive.read(name))
    films = load(folder, data_dir, size=64)
    assert films.regions.shape == (30, 1, 64, 64, 1)
    assert films.regions.std(axis=(1, 2, 3, 4)).min() > 10

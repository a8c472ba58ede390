import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.chest import list_chest_films, load_chest
from metabone.datasets.held import open_held
from metabone.datasets.near_copies import near_copies
from metabone.datasets.source import load_films, open_images
from metabone.errors import InputError
from metabone.workflows.age_views import load_aged
from metabone.workflows.film_data import FilmTarget
from metabone.workflows.hand_preparation import prepared_source
from metabone.workflows.source_check import check_in_words, check_source

REAL = Path(__file__).parents[3] / "shared" / "data" / "chest_320px"
# Ids are of two films of patient 0, two of patient 1 and so on; ages rise by seven years a film.
ROWS = [
    f"{n // 2:08}_{n % 2:03},{n // 2},{5 + 7 * n},{'FM'[n // 2 % 2]},{'PA' if n % 3 else 'AP'}"
    for n in range(12)
]
IDS = [row.split(",")[0] for row in ROWS]
NIH = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


@pytest.fixture
def chest_dir(tmp_path, film):
    folder = tmp_path / "chests"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(IDS):
        (folder / "images" / f"{name}.png").write_bytes(film(number))
    (folder / "labels.csv").write_text("\n".join(["id,patient,age_years,sex,view", *ROWS]) + "\n")
    return folder


def load(folder, **options):
    return load_chest(folder, source=f"chest:{folder}", **{"size": 16, **options})


def edit(folder, old, new):
    labels = folder / "labels.csv"
    assert old in labels.read_text()
    labels.write_text(labels.read_text().replace(old, new, 1))


def as_nih(folder, parts=1):
    """The same films as the NIH lays them out, in some parts."""
    lines = [NIH]
    for number, row in enumerate(ROWS):
        name, patient, age, sex, view = row.split(",")
        lines.append(f"{name}.png,No Finding,0,{patient},{int(age):03}Y,{sex},{view}")
        place = folder / (f"images_{number % parts + 1:03}/images" if parts > 1 else "images")
        place.mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{name}.png").rename(place / f"{name}.png")
    if parts > 1:
        (folder / "images").rmdir()
    (folder / "labels.csv").unlink()
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")


def test_films_carry_their_ages_in_months_patients_and_pixels(chest_dir, capsys):
    films = load(chest_dir)
    assert films.ids.tolist() == IDS
    assert films.months.tolist() == [12 * (5 + 7 * n) for n in range(12)]
    assert films.months.dtype == np.float32
    assert films.sex.tolist() == ["F", "F", "M", "M"] * 3
    assert films.patients.tolist() == [IDS[n // 2 * 2] for n in range(12)]
    assert films.images.shape == (12, 16, 16, 1) and films.images.dtype == np.uint8
    for row, name in enumerate(IDS):
        file = chest_dir / "images" / f"{name}.png"
        picture = reading.decode(file.read_bytes(), name, 1)
        np.testing.assert_array_equal(films.images[row], reading.resize(picture.image, 16))
    assert films.provenance.conversions == ("padded with black to a square, LANCZOS to 16x16",)
    assert (films.provenance.kind, films.provenance.count) == ("real", 12)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("parts", [1, 3])
def test_the_folders_of_the_nih_hold_the_same_films(chest_dir, parts):
    own = load(chest_dir)
    as_nih(chest_dir, parts)
    films = load(chest_dir)
    assert (films.seals() == own.seals()).all()
    assert films.patients.tolist() == own.patients.tolist()
    assert films.ids.tolist() == own.ids.tolist()
    assert films.provenance.sha256 == own.provenance.sha256
    assert "Wang et al. 2017" in films.provenance.citation
    assert "Wang" not in own.provenance.citation


def test_a_part_of_the_folders_of_the_nih_is_read_though_most_rows_have_no_film(chest_dir, capsys):
    as_nih(chest_dir, 6)
    for number in range(2, 7):
        (chest_dir / f"images_{number:03}").rename(chest_dir / f"kept_elsewhere_{number}")
    # What was fetched as it is given may lie beside what was unpacked.
    (chest_dir / "images_002.tar.gz").write_bytes(b"x")
    films = load(chest_dir)
    assert films.ids.tolist() == [IDS[0], IDS[6]]
    told = "10 of 12 rows have no image and are left out"
    assert films.provenance.conversions[0] == told
    assert capsys.readouterr().err == f"{chest_dir}: {told}\n"


def test_a_zip_gives_the_same_films_as_a_folder(chest_dir):
    own = load(chest_dir)
    with zipfile.ZipFile(chest_dir / "images.zip", "w") as archive:
        for file in (chest_dir / "images").iterdir():
            archive.write(file, f"any/depth/{file.name}")
            file.unlink()
    (chest_dir / "images").rmdir()
    films = load(chest_dir)
    assert films.provenance == own.provenance


def test_a_range_of_ages_is_kept_with_both_its_ends(chest_dir, capsys):
    films = load(chest_dir, ages=(12, 26))
    assert (films.months / 12).tolist() == [12, 19, 26]
    told = "9 of 12 films have another age than the 12 to 26 years that are asked for"
    assert films.provenance.conversions[0] == told
    assert capsys.readouterr().err == f"{chest_dir}: {told}\n"
    # A patient is called alike whatever ages are kept.
    assert films.patients.tolist() == [IDS[0], IDS[2], IDS[2]]


def test_slips_side_views_and_films_without_a_partner_are_left_out_and_counted(
    chest_dir, film, capsys
):
    edit(chest_dir, "_000,0,5,F,AP", "_000,0,405,F,AP")
    edit(chest_dir, "_001,0,12,F,PA", "_001,0,12,F,LATERAL")
    (chest_dir / "images" / f"{IDS[2]}.png").rename(chest_dir / "images" / "other.png")
    (chest_dir / "images" / "README.txt").write_text("x")
    films = load(chest_dir)
    told = [
        "1 of 12 rows have no image and are left out",
        "1 of 12 images have no row and are left out",
        "passed over: README.txt",
        "1 of 11 films are no frontal views and are left out",
        "1 of 10 films have no age from 0 to 100 years and are left out",
    ]
    assert films.ids.tolist() == IDS[3:]
    assert list(films.provenance.conversions[:-1]) == told
    assert capsys.readouterr().err.splitlines() == [f"{chest_dir}: {note}" for note in told]


def copy(folder, old, new):
    films = folder / "images"
    (films / f"{new}.png").write_bytes((films / f"{old}.png").read_bytes())


def test_a_regressor_gets_the_films_squashed_and_nothing_is_kept_of_them(chest_dir, data_dir):
    options = {"size": 16, "ages": (12, 26), "data_dir": str(data_dir)}
    films = load_aged(f"chest:{chest_dir}", view="squashed", **options)
    assert films.seals().tolist() == load(chest_dir, ages=(12, 26)).seals().tolist()
    assert not data_dir.exists()
    with pytest.raises(InputError, match="has no view 'aligned'; expected"):
        load_aged(f"chest:{chest_dir}", view="aligned", **options)


def test_copies_of_one_film_stay_with_one_patient(chest_dir):
    copy(chest_dir, IDS[0], IDS[5])
    edit(chest_dir, "_001,2,40", "_001,2,5")
    films = load(chest_dir)
    assert len(films) == 12
    # A copy binds both patients, of whom the first gives the name.
    assert films.patients[[0, 1, 4, 5]].tolist() == [IDS[0]] * 4
    assert films.provenance.conversions[0] == (
        "1 of 12 films are copies of others and stay with them"
    )


def test_copies_under_two_ages_are_left_out_for_nobody_knows_which_is_right(
    chest_dir, film, capsys
):
    more = [f"{n:08}_000,{n},{n},F,PA" for n in range(20, 30)]
    for number in range(20, 30):
        (chest_dir / "images" / f"{number:08}_000.png").write_bytes(film(number))
    (chest_dir / "labels.csv").write_text((chest_dir / "labels.csv").read_text() + "\n".join(more))
    copy(chest_dir, IDS[0], IDS[1])
    films = load(chest_dir)
    assert films.ids.tolist() == IDS[2:] + [row.split(",")[0] for row in more]
    assert len(films.images) == len(films.looks) == len(films.months) == 20
    told = "2 of 22 films are copies of others under another age and are left out"
    assert films.provenance.conversions[0] == told
    assert capsys.readouterr().err == f"{chest_dir}: {told}\n"


def test_films_of_sixteen_bits_are_scaled_by_one_rule(chest_dir, encode):
    for row, top, turns in ((0, 4095, 0), (1, 2047, 1)):
        ramp = np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)
        file = chest_dir / "images" / f"{IDS[row]}.png"
        file.write_bytes(encode(np.rot90(ramp, turns)))
    films = load(chest_dir)
    # The second is half as exposed, and stays so; others have 8 bits.
    assert films.images[:2].max((1, 2, 3)).tolist() == [255, 127]
    assert "16 to 8 bits, of which 12 are used (2 of 12 films)" in films.provenance.conversions


def test_near_copies_are_found_by_looks(chest_dir, encode):
    rng = np.random.default_rng(0)
    for name in IDS:
        small = Image.fromarray(rng.integers(0, 256, (24, 24)).astype(np.uint8))
        (chest_dir / "images" / f"{name}.png").write_bytes(encode(small.resize((128, 128))))
    with Image.open(chest_dir / "images" / f"{IDS[7]}.png") as film:
        (chest_dir / "images" / f"{IDS[2]}.png").write_bytes(encode(film.resize((90, 90))))
    looks = load(chest_dir).looks
    assert [pair[:2] for pair in near_copies(looks[:6], looks[6:])] == [(2, 1)]


def test_ids_that_a_spreadsheet_has_changed_find_their_films(chest_dir):
    for number, name in enumerate(IDS):
        edit(chest_dir, f"{name},", f"{number},")
        place = chest_dir / "images" / f"{name}.png"
        place.rename(place.with_name(f"{number:04}.png"))
    films = load(chest_dir)
    assert films.ids.tolist() == [f"{number:04}" for number in range(12)]
    assert films.patients.tolist() == [f"{number // 2 * 2:04}" for number in range(12)]


def drop(name):
    return lambda folder: (folder / name).unlink()


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def empty(folder):
    for file in (folder / "images").iterdir():
        file.unlink()
    (folder / "images").rmdir()


def link(folder):
    (folder / "images" / f"{IDS[0]}.png").unlink()
    (folder.parent / "secret.png").write_bytes(b"x")
    os.symlink(folder.parent / "secret.png", folder / "images" / f"{IDS[0]}.png")


def hostile(folder):
    empty(folder)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("../x.png", b"x")


def strangers(folder):
    edit(folder, f"{IDS[3]},", "a,")
    edit(folder, f"{IDS[4]},", "b,")


def copies_of_other_ages(folder):
    copy(folder, IDS[0], IDS[1])


def old(folder):
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(text.replace(",0,5,", ",0,500,").replace(",0,12,", ",0,x,"))
    edit(folder, ",0,x,", ",0,120,")


BAD = {
    "no table": (drop("labels.csv"), "no table of films; expected labels.csv or the NIH's"),
    "two tables": (write("Data_Entry_2017.csv", b"x"), "Data_Entry_2017.csv and labels.csv, keep"),
    "no films": (empty, "no films; expected images/, images.zip, or images_001/"),
    "films without rows": (strangers, "2 of 12 rows have no image (the first is 'a'); at most"),
    "ages of months": (old, "2 of 12 films have no age from 0 to 100 years; at most 10%"),
    "other files": (write("images/x.dcm", b"x"), "x.dcm: expected only <id>.jpg"),
    "a film twice": (write(f"images/{IDS[0]}.jpg", b"x"), f"a second image of '{IDS[0]}'"),
    "no image": (write(f"images/{IDS[4]}.png", b"x"), f"{IDS[4]}.png: not a PNG"),
    "cut short": (
        lambda folder: write(
            f"images/{IDS[4]}.png", (folder / "images" / f"{IDS[4]}.png").read_bytes()[:-60]
        )(folder),
        f"{IDS[4]}.png:",
    ),
    "a link out": (link, "a link that leads out"),
    "a name out of a zip": (hostile, "a name that leads out of the zip"),
    "no zip": (lambda folder: (empty(folder), write("images.zip", b"x")(folder)), "no zip"),
    "copies of other ages": (copies_of_other_ages, "2 of 12 films are copies of others under"),
    "a statement of another form": (write("source.json", b"["), "source.json: not JSON"),
}


@pytest.mark.parametrize("spoil", [pytest.param(case, id=name) for name, case in BAD.items()])
def test_bad_input_is_one_line(spoil, chest_dir, one_line):
    action, message = spoil
    action(chest_dir)
    with pytest.raises(InputError) as caught:
        load(chest_dir)
    one_line(caught, message, str(chest_dir))


def test_one_film_in_two_parts_is_refused(chest_dir, film):
    as_nih(chest_dir, 2)
    (chest_dir / "images_002" / "images" / f"{IDS[0]}.png").write_bytes(film(0))
    with pytest.raises(InputError, match=f"a second image of '{IDS[0]}'"):
        load(chest_dir)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "image size 0"),
        ({"ages": (0, 400)}, "ages 0 to 400 years: expected a range within 0 to 100"),
        ({"ages": (20, 10)}, "ages 20 to 10 years"),
        ({"ages": (float("nan"), 10)}, "ages nan to 10 years"),
        ({"ages": (1, 3)}, "no film is left: 12 of 12 films have another age than the 1 to 3"),
    ],
)
def test_impossible_requests_are_one_line(options, message, chest_dir, one_line):
    with pytest.raises(InputError) as caught:
        load(chest_dir, **options)
    one_line(caught, message)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no such folder; expected labels\.csv"):
        load(tmp_path / "nowhere")


def test_films_that_no_memory_can_hold_are_refused_before_any_is_read(chest_dir, monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 1000}.__getitem__)
    monkeypatch.setattr(reading, "decode", None)
    with pytest.raises(InputError, match=r"12 films of 16x16 take 4\.86e-05 GiB, more than half"):
        load(chest_dir)


def of_a_target(source):
    return FilmTarget(source, 16, 1, "1,2/3", (100,), (1, 1), 0, None).load()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (load_films, "gives no hand films"),
        (open_images, "gives no labelled classes"),
        (prepared_source, "expected rsna:DIR or hands:DIR"),
        (of_a_target, "expected rsna:DIR or hands:DIR"),
    ],
)
def test_where_hands_or_labelled_images_are_asked_for_chests_are_refused(
    use, message, chest_dir, one_line
):
    with pytest.raises(InputError) as caught:
        use(f"chest:{chest_dir}")
    one_line(caught, message, f"'chest:{chest_dir}'")


def test_a_check_tells_counts_sexes_ages_patients_and_what_is_left_out(chest_dir):
    edit(chest_dir, "_000,0,5,F,AP", "_000,0,405,F,AP")
    copy(chest_dir, IDS[3], IDS[4])
    found = check_source(f"chest:{chest_dir}", shots=1, queries=1)
    assert found.holds[:3] == (
        "chest films with the ages of their patients, by sex: 11 images of 2 classes: F 5, M 6",
        "patients: 6, each with 1 to 2 images",
        "ages: 144 to 984 months",
    )
    assert found.drops[0] == "1 of 12 films have no age from 0 to 100 years and are left out"
    assert found.suspects[0].startswith("1 set of identical images that stand under two ages")
    assert found.verdict in check_in_words(found)[-1]


def test_a_check_of_films_of_unknown_sex_has_one_class(chest_dir):
    lines = ["id,patient,age_years", *(",".join(row.split(",")[:3]) for row in ROWS)]
    (chest_dir / "labels.csv").write_text("\n".join(lines))
    assert check_source(f"chest:{chest_dir}", shots=1, queries=1).classes == {"unknown": 12}


def test_a_film_is_read_by_its_place_where_it_is_looked_at(chest_dir):
    as_nih(chest_dir, 3)
    with open_held(f"chest:{chest_dir}") as held, list_chest_films(chest_dir) as listed:
        for row in (0, 5, 11):
            file = listed.files[IDS[row]]
            assert file.where() == f"{chest_dir}/images_{row % 3 + 1:03}/images/{IDS[row]}.png"
            pixels = np.asarray(reading.decode(file.read(), "", 1).image)
            np.testing.assert_array_equal(held.read(row).pixels, pixels)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/chest_320px is not on this machine")
def test_real_films_are_those_that_are_described():
    films = load(REAL, size=16, ages=(0, 20))
    assert len(films) == 79 and films.images.std((1, 2, 3)).min() > 10
    with list_chest_films(REAL) as listed:
        rows = listed.rows
    assert (len(rows), len({row.patient for row in rows})) == (768, 534)
    assert sorted({row.sex for row in rows}) == ["F", "M"]
    ages = np.array([row.months for row in rows]) / 12
    assert np.mean(np.abs(ages - np.median(ages))) == pytest.approx(14, abs=0.5)

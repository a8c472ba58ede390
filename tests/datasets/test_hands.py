"""`hands:DIR`: prepared hands as regions with their labels."""

import numpy as np
import pytest

from metabone.datasets import hands
from metabone.datasets.prepared_hands import FilmRow, read_prepared
from metabone.datasets.source import load_films
from metabone.errors import InputError
from metabone.radiograph.cutting import ROOM, cut_regions
from metabone.radiograph.region_sets import REGION_SETS
from metabone.radiograph.registration import register
from metabone.radiograph.stages import month_names
from metabone.workflows.source_check import check_source
from tests.datasets.hand_folders import edit, hand, write_hands

SIX = REGION_SETS["min_kang_6"]
CUTS = (75, 105)


@pytest.fixture(autouse=True)
def templates(monkeypatch):
    """Templates that take no simulation; where they are from makes no difference here."""
    drawn = np.random.default_rng(0).random((len(SIX), 64, 64, 2)).astype(np.float32)
    monkeypatch.setattr(hands, "simulated_templates", lambda regions: drawn[: len(regions)])
    return drawn


@pytest.fixture
def folder(tmp_path):
    return write_hands(tmp_path / "hands", count=6, refused=(2, 4))


def test_usable_films_come_in_the_order_of_labels_with_age_sex_and_class(folder):
    films = load_films(f"hands:{folder}", cuts=CUTS)
    assert films.patients.tolist() == ["h5", "h3", "h1", "h0"]
    assert films.bone_age_months.tolist() == [160, 120, 80, 60]
    assert films.sex.tolist() == ["M", "M", "M", "F"]
    assert films.classes.tolist() == [2, 2, 1, 0]
    assert films.class_names == month_names(CUTS)
    assert films.region_names == tuple(region.name for region in SIX)


def test_each_region_is_cut_from_its_film_and_moved_onto_its_template(folder, templates):
    films = load_films(f"hands:{folder}", cuts=CUTS)
    prepared = read_prepared(folder)
    for row, number in enumerate((5, 3, 1, 0)):
        crops = cut_regions(hand(number)[0], prepared.points[number], SIX, 64, ROOM)
        for place, template in enumerate(templates):
            expected = register(crops[place][None], template).regions[0]
            np.testing.assert_array_equal(films.regions[row, place, :, :, 0], expected)


def test_other_regions_and_another_size_are_what_is_asked_for(folder):
    whole = load_films(f"hands:{folder}", cuts=CUTS, regions="wrist")
    half = load_films(f"hands:{folder}", cuts=CUTS, regions="wrist", size=32)
    assert whole.regions.shape == (4, 1, 64, 64, 1) and whole.region_names == ("wrist",)
    assert half.regions.shape == (4, 1, 32, 32, 1)
    blocks = whole.regions.reshape(4, 32, 2, 32, 2).astype(float).mean(axis=(2, 4))
    assert np.abs(half.regions[:, 0, :, :, 0] - blocks).mean() < 12
    assert half.provenance.conversions[-1] == "LANCZOS from 64x64 to 32x32"


def test_refused_films_are_counted_by_reason_on_stderr_and_on_the_record(folder, capsys):
    films = load_films(f"hands:{folder}", cuts=CUTS)
    told = "2 of 6 labelled films left out: 2 no hand"
    assert capsys.readouterr().err == f"{folder}: {told}\n"
    provenance = films.provenance
    assert told in provenance.conversions
    assert "key points by made, sha256 111111111111" in provenance.conversions
    assert (provenance.kind, provenance.count) == ("real", 4)
    assert (provenance.citation, provenance.licence) == ("made", "any")


def test_corrected_films_are_used_and_on_the_record(folder, capsys):
    before = load_films(f"hands:{folder}", cuts=CUTS)
    capsys.readouterr()
    x, y = read_prepared(folder).points[2, 4]
    edit(folder, "points.csv", f"h2,thumb tip,{x!s},{y!s},", f"h2,thumb tip,{x + 9!s},{y!s},")
    films = load_films(f"hands:{folder}", cuts=CUTS)
    assert films.patients.tolist() == ["h5", "h3", "h2", "h1", "h0"]
    assert "points of 1 of 5 films corrected by hand" in films.provenance.conversions
    assert "1 of 6 labelled films left out" in capsys.readouterr().err
    assert films.provenance.sha256 != before.provenance.sha256
    # The corrections of one film are nothing to another.
    np.testing.assert_array_equal(films.regions[[0, 1, 3, 4]], before.regions)


def test_examples_are_whole_films_with_boxes_around_the_points_of_regions(folder):
    films = load_films(f"hands:{folder}", cuts=CUTS, examples=3)
    assert films.examples.shape == (3, 512, 512) and films.example_boxes.shape == (3, 6, 4)
    assert films.classes[films.example_index].tolist() == [0, 1, 2]
    film, points = hand(0)
    # 280 x 250 pixels were padded by 15 on both sides.
    at = (points[11] + [15, 0]) * 512 / 280
    x0, y0, x1, y1 = films.example_boxes[0, 1]
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], at, atol=2)
    assert films.examples[0, :, :25].max() < 3 and films.examples[0].max() > film.max() - 20
    assert len(load_films(f"hands:{folder}", cuts=CUTS, examples=0).examples) == 0


def test_films_of_a_patient_stay_together(tmp_path):
    rows = [FilmRow(f"h{n}", status="usable", patient="1" if n else "") for n in range(3)]
    films = load_films(f"hands:{write_hands(tmp_path / 'x', count=3, rows=rows)}", cuts=CUTS)
    assert films.patients.tolist() == ["h2", "h2", "h0"]
    table = "id,patient,bone_age_months\nh0,Doe,60\nh2,Roe,100\nh1,Doe,80\n"
    (tmp_path / "x" / "labels.csv").write_text(table)
    films = load_films(f"hands:{tmp_path / 'x'}", cuts=CUTS)
    assert films.patients.tolist() == ["h0"] * 3  # h1 is of the files' patient 1 and of Doe.


def test_a_row_without_a_film_is_left_out_and_told(tmp_path, capsys):
    folder = write_hands(tmp_path / "ten", count=10)
    with open(folder / "labels.csv", "a") as labels:
        labels.write("h10,99,F\n")
    films = load_films(f"hands:{folder}", cuts=CUTS, regions="wrist")
    told = "1 of 11 labelled films left out: 1 without a film"
    assert len(films) == 10 and told in films.provenance.conversions
    assert capsys.readouterr().err == f"{folder}: {told}\n"


def test_a_copy_that_is_known_by_another_age_is_refused(tmp_path, one_line):
    rows = [FilmRow(f"h{n}", status="usable") for n in range(3)]
    rows[2] = FilmRow("h2", status="copy", reason="a copy: the same pixels as h0")
    folder = write_hands(tmp_path / "x", count=3, rows=rows)
    with pytest.raises(InputError) as caught:
        load_films(f"hands:{folder}", cuts=CUTS)
    one_line(caught, "labels.csv: h2 and h0 are the same film under two ages or stages")
    edit(folder, "labels.csv", "h2,100,", "h2,60,")
    films = load_films(f"hands:{folder}", cuts=CUTS, regions="wrist")
    assert films.patients.tolist() == ["h1", "h0"]


def test_hands_can_be_checked(folder):
    found = check_source(f"hands:{folder}", shots=1, queries=1)
    assert found.images == 4 and "ages: 60 to 160 months" in found.holds
    assert found.drops == ("2 labelled films left out: 2 no hand",)


def test_labels_name_which_films_are_used(folder):
    (folder / "labels.csv").write_text("id,bone_age_months,sex,note\nh1,99,F,x\n")
    films = load_films(f"hands:{folder}", cuts=CUTS)
    assert films.patients.tolist() == ["h1"] and films.bone_age_months.tolist() == [99]


def test_labels_may_be_stages_which_a_table_merges_to_classes(folder, capsys):
    lines = ["id;stage", "h0;2", "h1;3", "h3;11", "h5;1"]
    (folder / "labels.csv").write_text("\n".join(lines))
    films = load_films(f"hands:{folder}", merge=((1, 2), (3,)))
    assert films.patients.tolist() == ["h0", "h1", "h5"]
    assert films.stages.tolist() == [2, 3, 1] and films.classes.tolist() == [0, 1, 0]
    assert films.class_names == ("SMI 1-2", "SMI 3") and films.bone_age_months is None
    # Of sex the files themselves knew.
    assert films.sex.tolist() == ["F", "M", "M"]
    assert "1 of 4 labelled films left out: 1 of a stage in no class" in capsys.readouterr().err


def test_sex_that_nobody_knows_is_none(tmp_path):
    rows = [FilmRow(f"h{n}", status="usable") for n in range(2)]
    folder = write_hands(tmp_path / "x", count=2, rows=rows)
    (folder / "labels.csv").write_text("id,bone_age_months\nh0,60\nh1,90\n")
    assert load_films(f"hands:{folder}", cuts=CUTS).sex is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "labels.csv").unlink(), "labels.csv: no such file; write one of id"),
        (lambda f: edit(f, "labels.csv", "h3,", "h9,"), "films.csv has no film 'h9'"),
        (
            lambda f: (f / "labels.csv").write_text("id,bone_age_months,sex\nh2,90,F\nh4,90,F\n"),
            "none of 2 labelled films can be used",
        ),
        (lambda f: (f / "prepared.json").unlink(), "no prepared hands"),
    ],
)
def test_what_does_not_fit_together_is_one_line(spoil, message, folder, one_line):
    spoil(folder)
    with pytest.raises(InputError) as caught:
        load_films(f"hands:{folder}", cuts=CUTS)
    one_line(caught, message, str(folder))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regions": "toes"}, "regions 'toes': expected one of"),
        ({"size": 1}, "image size 1"),
        ({"cuts": (9, 8)}, "above"),
    ],
)
def test_impossible_options_are_refused_before_any_reading(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_films(f"hands:{tmp_path}", **options)

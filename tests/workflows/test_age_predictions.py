"""Bone ages of films on disk, on films that stand for hands: bright ones."""

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from metabone.commands.predict import PredictSettings, main
from metabone.errors import InputError
from metabone.evaluation.conformal import HalfWidths
from metabone.workflows import age_sight
from metabone.workflows.age_evidence import moves_without_regions
from metabone.workflows.age_model import fingerprints_of_images, save_age_model
from metabone.workflows.age_predictions import LEARNED, NO_SEX, write_age_files
from metabone.workflows.age_sight import NOT_ALIGNED, AgeSight
from metabone.workflows.hand_regions import HandCut
from tests.workflows.aged_hands import age_model

DARK = "no hand: it is dark"


def gate(net, films, regions=()):
    return [SimpleNamespace(refusal=DARK if film.max() < 20 else None) for film in films]


@pytest.fixture(autouse=True)
def hands(monkeypatch):
    monkeypatch.setattr(age_sight, "point_net_of", lambda given: given)
    monkeypatch.setattr(age_sight, "weights_sha256", lambda net: net or "packaged")
    monkeypatch.setattr(age_sight.canonical_hands, "canonical_hands", gate)


@pytest.fixture(scope="module")
def model():
    return age_model(widths=HalfWidths(0.9, 30.0, 10.0, 20.0), about={"Network": "as drawn."})


def film(grey, size=(40, 32)):
    rng = np.random.default_rng(grey)
    return (grey * rng.uniform(0.8, 1.0, size)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "films"
    place.mkdir()
    for name, grey in (("boy", 200), ("girl", 120), ("child", 90), ("dark", 10)):
        Image.fromarray(film(grey)).save(place / f"{name}.png")
    (place / "broken.png").write_bytes(b"no film")
    (place / "films.csv").write_text(
        "file,sex\nboy.png,male\ngirl.png,f\nchild.png,\ndark.png,m\nbroken.png,m\n"
    )
    return place


def seen(grey):
    return age_sight.reading.resize(Image.fromarray(film(grey)), 16)


def test_each_film_has_its_months_interval_sex_and_warning(model, folder, tmp_path):
    model = dataclasses.replace(model, learned=frozenset(fingerprints_of_images(seen(120)[None])))
    read = write_age_files(model, folder / "films.csv", tmp_path / "out")
    assert read.sex.tolist() == ["M", "F", ""]
    images = np.stack([seen(200), seen(120), seen(90)])
    months = model.read_images(images, np.array(["M", "F", ""]))
    np.testing.assert_array_equal(read.months, months)
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for name, own, half in zip(("boy", "girl", "child"), months, (10, 20, 30), strict=True):
        row = rows[f"{name}.png"]
        assert float(row["months"]) == pytest.approx(own, abs=0.051)
        assert float(row["high"]) - own == pytest.approx(half, abs=0.1)
        assert row["level"] == "0.9"
    assert rows["boy.png"]["warning"] == ""
    assert rows["girl.png"]["warning"] == LEARNED
    assert rows["child.png"]["warning"] == NO_SEX
    assert rows["dark.png"]["warning"] == f"Not read: {DARK}." and not rows["dark.png"]["months"]
    assert rows["broken.png"]["warning"].startswith("Could not be read: ")
    page = (tmp_path / "out" / "predictions.html").read_text()
    # A film, and beside it the same under its map: two pictures each, and the map itself.
    assert page.count("data:image/jpeg") == 6 and page.count("data:image/png") == 3
    assert f"{months[0]:.1f} months" in page and DARK in page and "as drawn." in page


def test_a_sex_that_is_none_is_refused_before_anything_is_read(model, folder, tmp_path):
    (folder / "films.csv").write_text("file,sex\nboy.png,older\n")
    with pytest.raises(InputError, match="'OLDER' is neither F nor M"):
        write_age_files(model, folder / "films.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_takes_a_run_of_bone_age(model, folder, tmp_path, capsys):
    save_age_model(tmp_path / "run" / "model", model)
    config = PredictSettings(
        str(tmp_path / "run"), str(folder / "boy.png"), str(tmp_path / "out"), maps=0
    )
    main(SimpleNamespace(config=config))
    said = capsys.readouterr().out
    assert "1 film read" in said and "Of 1 the sex is not known" in said and "as drawn." in said


def test_films_are_not_seen_through_other_key_points(model):
    own = dataclasses.replace(model, key_points="packaged")
    AgeSight(own)
    with pytest.raises(InputError, match="trained with others"):
        AgeSight(own, "elsewhere")


def test_films_are_not_seen_in_another_way_than_those_of_training(model):
    with pytest.raises(InputError, match="train it again"):
        AgeSight(dataclasses.replace(model, method=1))


def test_a_hand_that_cannot_be_aligned_is_read_squashed_with_a_warning(model, monkeypatch):
    def align(net, films, size):
        images = np.full((len(films), size, size), 7, np.uint8)
        return SimpleNamespace(images=images, aligned=np.array([True, False]))

    monkeypatch.setattr(age_sight.aligned_films, "align_films", align)
    aligning = dataclasses.replace(model, view="aligned", method=age_sight.method_of("aligned"))
    sight = AgeSight(aligning)
    first, second, dark, small = sight.see([film(200), film(90), film(10), film(90, (20, 40))])
    assert (first.image == 7).all() and first.warning == ""
    np.testing.assert_array_equal(second.image, seen(90))
    assert second.warning == NOT_ALIGNED
    assert dark.image is None and dark.refusal == DARK
    assert small.image is None and "20 pixels" in small.refusal


def test_regions_are_cut_as_they_were_for_training(monkeypatch):
    cut = np.arange(6 * 16 * 16, dtype=np.uint32).reshape(6, 16, 16).astype(np.uint8)
    found = [HandCut(cut, film(90), (), ""), HandCut(None, film(10), (), DARK)]
    regions = SimpleNamespace(cut=lambda films: found)
    monkeypatch.setattr(age_sight, "hand_regions", lambda name, key_points: regions)
    model = age_model("regions", method=age_sight.method_of("regions"))
    first, second = AgeSight(model).see([film(90), film(10)])
    np.testing.assert_array_equal(first.image, cut[..., None])
    assert second.image is None and second.refusal == DARK
    (moves,) = moves_without_regions(model, first.image[None], np.array(["F"]))
    covered = first.image.copy()
    covered[2] = np.rint(cut[2].mean())
    read = model.read_images(np.stack([first.image, covered]), np.array(["F", "F"]))
    assert list(moves.values())[2] == pytest.approx(float(read[1] - read[0]), abs=1e-3)
    assert len(moves) == 6

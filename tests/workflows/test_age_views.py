"""Films with ages, squashed, aligned and cut, from small folders and a network that is made up."""

import re

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import chest, reading
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.film_sets import SimulatedFilms
from metabone.radiograph.region_sets import REGION_SETS
from metabone.workflows import age_views
from metabone.workflows.age_views import load_aged
from metabone.workflows.aligned_films import AlignedFilms
from tests.datasets.hand_folders import write_hands


@pytest.fixture
def folder(tmp_path):
    """Four films of other sizes; two are of one patient."""
    path = tmp_path / "films"
    (path / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size in {"a": (40, 30), "b": (40, 40), "c": (50, 40), "d": (36, 36)}.items():
        pixels = rng.integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(path / "images" / f"{name}.png")
    (path / "labels.csv").write_text(
        "id,bone_age_months,sex,patient\nb,30,F,p\na,60.5,M,q\nd,90,F,p\nc,120,M,r\n"
    )
    return path


@pytest.fixture
def aligns(monkeypatch):
    """Aligns all films but the second to grey, the third mirrored; counts how often it is asked."""
    calls = []

    def align(net, films, size):
        films = list(films)
        calls.append([film.shape for film in films])
        images = np.full((len(films), size, size), 77, np.uint8)
        aligned = np.arange(len(films)) != 1
        return AlignedFilms(images, aligned, np.arange(len(films)) == 2, ~aligned & False)

    monkeypatch.setattr(age_views, "align_films", align)
    return calls


def load(folder, tmp_path, view="squashed", size=16, **options):
    return load_aged(
        f"rsna:{folder}", view=view, size=size, data_dir=str(tmp_path / "kept"), **options
    )


def test_squashed_films_carry_their_labels_in_the_order_of_the_table(folder, tmp_path):
    films = load(folder, tmp_path)
    assert films.ids.tolist() == ["b", "a", "d", "c"]
    assert films.months.tolist() == [30, 60.5, 90, 120] and films.months.dtype == np.float32
    assert films.sex.tolist() == ["F", "M", "F", "M"]
    assert films.patients[0] == films.patients[2] and len({*films.patients.tolist()}) == 3
    for name, image in zip(films.ids, films.images, strict=True):
        file = (folder / "images" / f"{name}.png").read_bytes()
        picture = reading.decode(file, name, 1).image
        np.testing.assert_array_equal(image, reading.resize(picture, 16))


def test_films_that_cannot_be_aligned_stay_as_they_are_and_are_told(
    folder, tmp_path, aligns, capsys
):
    squashed, films = load(folder, tmp_path), load(folder, tmp_path, "aligned")
    assert aligns == [[(40, 40), (40, 30), (36, 36), (50, 40)]]
    assert (films.images[[0, 2, 3]] == 77).all()
    np.testing.assert_array_equal(films.images[1], squashed.images[1])
    for name in ("months", "sex", "patients", "ids"):
        np.testing.assert_array_equal(getattr(films, name), getattr(squashed, name))
    told = films.provenance.conversions
    assert "1 of 4 films could not be aligned and are squashed as they are" in told
    assert "1 of 4 films mirrored to left hands" in told and not re.search("inverted", str(told))
    assert "1 of 4 films could not be aligned" in capsys.readouterr().err


def test_aligned_films_are_kept_and_told_again(folder, tmp_path, aligns, capsys):
    first = load(folder, tmp_path, "aligned")
    capsys.readouterr()
    again = load(folder, tmp_path, "aligned")
    assert len(aligns) == 1 and "could not be aligned" in capsys.readouterr().err
    np.testing.assert_array_equal(again.images, first.images)
    assert again.provenance == first.provenance
    # Another size or other labels are aligned anew.
    load(folder, tmp_path, "aligned", size=20)
    (folder / "labels.csv").write_text(
        "id,bone_age_months,sex\nb,31,F\na,60.5,M\nd,90,F\nc,120,M\n"
    )
    assert load(folder, tmp_path, "aligned").months.tolist() == [31, 60.5, 90, 120]
    assert len(aligns) == 3


def test_prepared_hands_are_cut_along_their_bones_under_their_own_names(tmp_path):
    place = write_hands(tmp_path / "hands", refused=(1,))
    films = load_aged(f"hands:{place}", view="regions", size=16, regions="min_kang_6")
    assert films.images.shape == (3, 6, 64, 64, 1) and films.looks is not None
    assert films.ids.tolist() == ["h3", "h2", "h0"]
    assert films.months.tolist() == [120, 100, 60] and films.sex.tolist() == ["M", "F", "F"]


def test_prepared_hands_without_ages_are_refused(tmp_path):
    place = write_hands(tmp_path / "hands")
    (place / "labels.csv").write_text("id,stage,sex\nh0,1,F\nh1,2,M\nh2,11,F\n")
    with pytest.raises(InputError, match=r"labels.csv: no bone_age_months"):
        load_aged(f"hands:{place}", view="regions", size=16, regions="min_kang_6")


def test_simulated_hands_come_whole_aligned_and_cut(tmp_path, aligns, monkeypatch):
    drawn = []

    def draw(seed, count, *, regions, keep, progress):
        rng = np.random.default_rng(seed)
        drawn.append((seed, count, [region.name for region in regions]))
        blank = SimulatedFilms(*[np.zeros(count)] * len(SimulatedFilms._fields))
        return blank._replace(
            regions=rng.integers(0, 256, (count, len(regions), 64, 64), dtype=np.uint8),
            films=rng.integers(0, 256, (len(keep), 30, 30), dtype=np.uint8),
            sexes=np.array([1, 0]),
            bone_ages_months=np.array([50.5, 90.0], np.float32),
        )

    monkeypatch.setattr(age_views, "simulate_hands", draw)
    options = dict(size=16, hands=2, seed=3, data_dir=str(tmp_path))
    regions, whole, aligned = (
        load_aged("simulated:hands", view=view, regions="rus_13", **options)
        for view in ("regions", "squashed", "aligned")
    )
    assert drawn[0] == (3, 2, [region.name for region in REGION_SETS["rus_13"]])
    known = draw(3, 2, regions=REGION_SETS["rus_13"], keep=(), progress=None)
    np.testing.assert_array_equal(regions.images[..., 0], known.regions)
    for films in (regions, whole, aligned):
        assert films.months.tolist() == [50.5, 90.0] and films.sex.tolist() == ["M", "F"]
        assert films.provenance.kind == "simulated"
    film = draw(3, 2, regions=REGION_SETS["wrist"], keep=(0, 1), progress=None).films[1]
    np.testing.assert_array_equal(whole.images[1], reading.resize(Image.fromarray(film), 16))
    assert (aligned.images[0] == 77).all() and (aligned.images[1] == whole.images[1]).all()
    # Another seed is another set.
    count = len(drawn)
    load_aged("simulated:hands", view="squashed", **{**options, "seed": 4})
    load_aged("simulated:hands", view="squashed", **options)
    assert len(drawn) == count + 1


def test_chest_films_are_read_by_their_own_reader(tmp_path, monkeypatch):
    asked = {}

    def read(path, **options):
        asked.update(options, path=path)
        origin = Provenance("chest:there", "real", "0" * 64, 0, "", "")
        none = np.zeros(0, str)
        return AgedFilms(np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0), none, none, none, origin)

    monkeypatch.setattr(chest, "load_chest", read)
    assert len(load_aged("chest:there", view="squashed", size=8, ages=(0, 20))) == 0
    assert asked["size"] == 8 and asked["ages"] == (0, 20) and str(asked["path"]) == "there"


@pytest.mark.parametrize(
    ("source", "view", "said"),
    [
        ("rsna:there", "whole", "view 'whole': expected one of squashed, aligned, regions"),
        ("chest:there", "aligned", "has no view 'aligned'; expected rsna:DIR, simulated:hands"),
        ("hands:there", "squashed", "has no view 'squashed'"),
        ("simulated:smi", "squashed", "has no view 'squashed'"),
        ("folder:there", "regions", "has no view 'regions'"),
    ],
)
def test_a_view_that_a_source_does_not_have_is_refused(source, view, said):
    with pytest.raises(InputError, match=re.escape(said)):
        load_aged(source, view=view, size=16)

import numpy as np
import pytest

from metabone.datasets import simulated
from metabone.datasets.source import load_films, load_images
from metabone.errors import InputError
from metabone.radiograph import film_sets
from metabone.radiograph.landmarks import point_number

# A hand of 256 pixels whose fingers all stand upright, side by side.
UPRIGHT = np.float32(
    [[256, 400]] + [[x, y] for x in (296, 276, 256, 236, 216) for y in (340, 260, 200, 144)]
)


@pytest.fixture
def rendered(monkeypatch):
    """Stands in for the renderer, which has tests of its own: film n is n everywhere."""

    def simulate_smi(seed, *, keep, progress):
        stages = film_sets.smi_stages()
        count = len(stages)
        kept = np.asarray(sorted(keep), np.int32)
        progress(count, count)
        value = (np.arange(count) % 256).astype(np.uint8)
        return film_sets.SimulatedFilms(
            regions=np.broadcast_to(value[:, None, None, None], (count, 6, 64, 64)),
            centres=np.zeros((count, 6, 2), np.float32),
            stages=stages,
            sexes=np.arange(count, dtype=np.int32) % 2,
            bone_ages_months=np.linspace(60, 220, count, dtype=np.float32),
            maturities=np.linspace(0, 1, count, dtype=np.float32),
            inverted=np.zeros(count, bool),
            bone_maturities=np.zeros((count, 21), np.float32),
            key_points=np.tile(UPRIGHT, (count, 1, 1)),
            kept=kept,
            films=np.broadcast_to(value[kept, None, None], (len(kept), 512, 512)),
        )

    monkeypatch.setattr(simulated, "simulate_smi", simulate_smi)


def test_films_are_merged_into_the_published_groups(rendered):
    films = load_films("simulated:smi", seed=3)
    assert list(films.class_counts().values()) == [333, 345, 58, 88, 41]
    assert films.regions.shape == (865, 6, 64, 64, 1) and films.regions.dtype == np.uint8
    assert len(films.region_names) == 6
    assert len(set(films.patients.tolist())) == 865
    assert films.sex[:2].tolist() == ["F", "M"]
    assert (films.provenance.kind, films.provenance.count) == ("simulated", 865)
    assert films.provenance.conversions == ("seed 3",)


def test_examples_are_the_films_that_they_say_they_are(rendered):
    films = load_films("simulated:smi", examples=7)
    shown = films.examples[:, 0, 0]
    np.testing.assert_array_equal(shown, films.regions[films.example_index, 0, 0, 0, 0])
    assert films.classes[films.example_index].tolist() == [0, 0, 1, 1, 2, 3, 4]
    assert films.example_boxes.shape == (7, 6, 4)
    # The field of a distal joint is 0.11 of a hand of 256 pixels.
    x0, y0, x1, y1 = films.example_boxes[0, 1].tolist()
    assert (x1 - x0, y1 - y0) == (28, 28)
    middle = UPRIGHT[point_number("middle DIP")]
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], middle, atol=1)


def test_films_of_stages_in_no_class_are_left_out_on_the_record(rendered):
    films = load_films("simulated:smi", merge=((3, 4), (5,)), examples=2)
    assert list(films.class_counts().values()) == [345, 10]
    assert set(films.stages.tolist()) == {3, 4, 5}
    shown = films.examples[:, 0, 0]
    np.testing.assert_array_equal(shown, films.regions[films.example_index, 0, 0, 0, 0])
    assert "510 films of stages in no class left out" in films.provenance.conversions


def test_another_size_is_resized_on_the_record(rendered):
    films = load_films("simulated:smi", size=32)
    assert films.regions.shape == (865, 6, 32, 32, 1)
    assert films.regions[9].min() == films.regions[9].max() == 9
    assert "LANCZOS to 32x32" in films.provenance.conversions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": -1}, "image size -1"),
        ({"merge": ((1, 2),)}, "at least two classes"),
        ({"merge": ((1, 2), (2, 3))}, "stage 2 stands twice"),
    ],
)
def test_impossible_films_are_refused_before_rendering(options, message):
    with pytest.raises(InputError, match=message):
        load_films("simulated:smi", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "image size 0"),
        ({"classes": 1}, r"classes 1 is not in 2\.\.300"),
        ({"classes": 301}, r"classes 301 is not in 2\.\.300"),
        ({"images_per_class": 0}, "images_per_class 0 is not positive"),
        ({"channels": 4}, "channels must be 1"),
    ],
)
def test_impossible_patches_are_refused_before_rendering(options, message):
    with pytest.raises(InputError, match=message):
        load_images("simulated:bones", **options)


def test_patches_are_labelled_by_class_and_the_first_stay_the_same():
    few = load_images("simulated:bones", classes=2, images_per_class=2, seed=1)
    assert few.images.shape == (4, 64, 64, 1) and few.images.dtype == np.uint8
    assert few.labels.tolist() == [0, 0, 1, 1]
    assert few.class_names == ("bone 000", "bone 001")
    assert (few.provenance.kind, few.provenance.count) == ("simulated", 4)
    rgb = load_images("simulated:bones", classes=3, images_per_class=2, seed=1, channels=3)
    np.testing.assert_array_equal(rgb.images[:4], np.repeat(few.images, 3, axis=-1))
    assert "grey repeated to RGB" in rgb.provenance.conversions

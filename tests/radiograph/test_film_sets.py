import numpy as np
import pytest

from metabone.radiograph.anatomy import REGION_BONES
from metabone.radiograph.cutting import cut_regions, stretched
from metabone.radiograph.film_sets import (
    SMI_COUNTS,
    simulate_films,
    simulate_hands,
    smi_stages,
)
from metabone.radiograph.region_sets import REGION_SETS, region_squares

MERGED = ((1, 2), (3, 4), (5, 6), (7, 8, 9), (10, 11))
PER_CLASS, TRAINING = 56, 36


@pytest.fixture(scope="module")
def balanced():
    """Films of the five merged classes, stages within a class at random, in mixed order."""
    rng = np.random.default_rng(0)
    stages = np.concatenate([rng.choice(group, PER_CLASS) for group in MERGED])
    stages = rng.permutation(stages)
    films = simulate_films(5, stages, keep=[3])
    labels = np.select([np.isin(stages, group) for group in MERGED], range(5))
    training = np.concatenate([np.flatnonzero(labels == c)[:TRAINING] for c in range(5)])
    return films, labels, training, np.setdiff1d(np.arange(len(labels)), training)


def test_the_set_has_the_published_counts():
    stages = smi_stages()
    assert len(stages) == 865
    assert tuple(np.bincount(stages)[1:]) == SMI_COUNTS


def test_stages_are_those_asked_for_and_sexes_take_turns(balanced):
    films, labels, *_ = balanced
    np.testing.assert_array_equal(
        np.select([np.isin(films.stages, group) for group in MERGED], range(5)), labels
    )
    assert films.sexes.mean() == 0.5


def test_a_film_does_not_depend_on_its_company(balanced):
    films, *_ = balanced
    alone = simulate_films(5, films.stages[:5], keep=[3])
    np.testing.assert_array_equal(alone.regions, films.regions[:5])
    np.testing.assert_array_equal(alone.films, films.films)


def test_regions_are_cut_along_the_bones_of_the_kept_film_bones_bright(balanced):
    films, *_ = balanced
    assert films.kept.tolist() == [3]
    film = 255 - films.films[0] if films.inverted[3] else films.films[0]
    cut = cut_regions(film, films.key_points[3], REGION_SETS["min_kang_6"])
    np.testing.assert_array_equal(stretched(cut), films.regions[3])


def test_hands_of_any_age_grow_with_it():
    hands = simulate_hands(1, 40, regions=REGION_SETS["wrist"], keep=[2])
    assert hands.regions.shape == (40, 1, 64, 64) and hands.films.shape == (1, 512, 512)
    assert hands.sexes.tolist() == [0, 1] * 20
    assert hands.maturities.min() < 0.0 and hands.maturities.max() > 0.8
    girls = hands.sexes == 0
    order = np.argsort(hands.maturities[girls])
    assert (np.diff(hands.bone_ages_months[girls][order]) > 0).all()
    alone = simulate_hands(1, 3, regions=REGION_SETS["wrist"])
    np.testing.assert_array_equal(alone.regions, hands.regions[:3])


def test_progress_is_told_to_the_end():
    told = []
    simulate_films(0, np.full(20, 4), progress=lambda *at: told.append(at))
    assert told == [(16, 20), (20, 20)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(stages=np.array([0, 3])), "1..11"),
        (dict(stages=np.zeros(0, int)), "1..11"),
        (dict(stages=np.array([3]), sexes=np.array([0, 1])), "2 sexes for 1"),
        (dict(stages=np.array([3]), keep=[1]), r"0\.\.0"),
    ],
)
def test_impossible_requests_name_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_films(0, **arguments)


def test_a_linear_probe_on_raw_pixels_does_not_solve_it(balanced):
    linear_model = pytest.importorskip("sklearn.linear_model")
    films, labels, training, held_out = balanced
    for region in range(6):
        pixels = films.regions[:, region].reshape(len(labels), -1) / 255.0
        probe = linear_model.RidgeClassifierCV(alphas=(10.0, 1e2, 1e3, 1e4))
        probe.fit(pixels[training], labels[training])
        assert probe.score(pixels[held_out], labels[held_out]) < 0.75, region


def test_no_single_pixel_tells_the_class(balanced):
    films, labels, training, held_out = balanced
    pixels = films.regions.reshape(len(labels), -1).astype(np.float32)
    means = np.stack([pixels[training][labels[training] == c].mean(axis=0) for c in range(5)])

    def accuracy(rows):
        nearest = np.stack([np.abs(pixels[rows] - mean) for mean in means]).argmin(axis=0)
        return (nearest == labels[rows, None]).mean(axis=0)

    best = accuracy(training).argmax()
    assert accuracy(held_out)[best] < 0.45


def test_the_six_regions_together_do_tell_the_class(balanced):
    linear_model = pytest.importorskip("sklearn.linear_model")
    films, labels, training, held_out = balanced
    six = films.bone_maturities[:, REGION_BONES]

    def accuracy(features):
        probe = linear_model.LogisticRegression(C=1e3, max_iter=1000)
        return probe.fit(features[training], labels[training]).score(
            features[held_out], labels[held_out]
        )

    together, alone = accuracy(six.mean(axis=1, keepdims=True)), accuracy(six[:, 3:4])
    assert 0.75 < together < 0.97
    assert alone < together


def test_the_key_points_lead_to_the_growth_plates_of_the_regions(balanced):
    films, *_ = balanced
    six = REGION_SETS["min_kang_6"]
    for points, centres in zip(films.key_points, films.centres, strict=True):
        squares = region_squares(points, six)
        away = [np.linalg.norm(s.centre - c) for s, c in zip(squares, centres, strict=True)]
        # A plate lies beside its joint, well within the field.
        assert (np.array(away) < 0.3 * np.array([s.side for s in squares])).all()


def test_a_simulated_film_is_cut_by_the_code_that_cuts_real_ones(balanced):
    films, *_ = balanced
    cut = cut_regions(films.films[0], films.key_points[films.kept[0]], REGION_SETS["min_kang_6"])
    # Along the finger bone is in the middle, and flesh or air on both sides.
    middle, sides = cut[:, :, 28:36].mean(axis=(1, 2)), cut[:, :, [0, -1]].mean(axis=(1, 2))
    brighter = middle > sides
    assert brighter.all() or not brighter.any()

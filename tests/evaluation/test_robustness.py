import numpy as np
import pytest
from scipy import ndimage

from metabone.errors import InputError
from metabone.evaluation.robustness import CHANGES, robustness

CHANGE = dict(CHANGES)


def films(n=2, side=(24, 20), seed=0):
    noise = np.random.default_rng(seed).uniform(0, 255, (n, *side))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    spread = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.rint(40 + 160 * spread).astype(np.uint8)[..., None]


@pytest.mark.parametrize("name", CHANGE)
def test_every_change_keeps_size_and_type_and_alters_the_film_and_leaves_what_it_was_given(name):
    images = films()
    before = images.copy()
    found = CHANGE[name](images)
    assert found.shape == images.shape and found.dtype == np.uint8
    assert (found != images).any((1, 2, 3)).all() and (images == before).all()


@pytest.mark.parametrize("degrees", [10, -10, 20, -20])
def test_a_rotation_turns_counter_clockwise_about_the_middle(degrees):
    image = films(1, (41, 41))
    found = CHANGE[f"rotation {degrees:+d} degrees"](image)[0, 10:31, 10:31, 0].astype(float)
    expected = ndimage.rotate(image[0, ..., 0].astype(float), degrees, reshape=False, order=1)
    assert np.abs(found - expected[10:31, 10:31]).max() < 1.5


def test_greys_change_as_named_and_stay_between_black_and_white():
    image = np.array([0, 50, 100, 250], np.uint8).reshape(1, 2, 2, 1)
    greys = {name: CHANGE[name](image).ravel().tolist() for name in CHANGE}
    assert greys["brightness +20 %"] == [0, 60, 120, 255]
    assert greys["brightness -20 %"] == [0, 40, 80, 200]
    assert greys["contrast 1.4"] == [0, 30, 100, 255] and greys["contrast 0.7"] == [
        30,
        65,
        100,
        205,
    ]
    assert greys["inversion"] == [255, 205, 155, 5] and greys["mirror"] == [50, 0, 250, 100]
    assert greys["half resolution"] == [100] * 4


def test_jpeg_of_low_quality_is_near_the_film_in_eights():
    image = films(1, (16, 16))
    found = CHANGE["JPEG quality 30"](image).astype(float)
    assert 0.5 < np.abs(found - image).mean() < 8
    blocks = (found - image)[0, ..., 0].reshape(2, 8, 2, 8).mean((1, 3))
    assert np.abs(blocks).max() < 2


def test_answers_are_compared_with_those_to_the_films_as_they_are():
    images = np.full((4, 2, 2, 1), 100, np.uint8)
    images[3] = 10

    def mean_grey(given):
        return given.mean((1, 2, 3))

    rows = {row["change"]: row for row in robustness(mean_grey, images, [100, 100, 110, 10])}
    assert list(rows) == ["none", *CHANGE]
    assert rows["none"] == {"change": "none", "moved_12": 0, "mean_move": 0, "mae": 2.5}
    # 100 becomes 120, and 10 becomes 12.
    assert rows["brightness +20 %"] == {
        "change": "brightness +20 %",
        "moved_12": 0.75,
        "mean_move": 62 / 4,
        "mae": (20 + 20 + 10 + 2) / 4,
    }
    assert rows["mirror"]["moved_12"] == 0 and rows["inversion"]["moved_12"] == 1


def test_what_is_no_answer_or_no_film_is_refused_and_says_where():
    images = films()

    def dark_only(given):
        return np.where(given.mean((1, 2, 3)) < images.mean() * 1.1, 100.0, np.nan)

    with pytest.raises(InputError, match=r"2 of 2 answers to films under change 'brightness \+20"):
        robustness(dark_only, images, [1, 2], (("brightness +20 %", CHANGE["brightness +20 %"]),))
    with pytest.raises(ValueError, match=r"answers \(1,\) for 2 films"):
        robustness(lambda given: given[:1, 0, 0, 0], images, [1, 2])
    with pytest.raises(ValueError, match=r"expected uint8 \[N, H, W, 1\]"):
        robustness(lambda given: given, images[0], [1, 2])
    with pytest.raises(ValueError, match=r"months \(3,\) for 2 films"):
        robustness(lambda given: given, images, [1, 2, 3])

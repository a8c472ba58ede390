import numpy as np
import pytest

from metabone.radiograph import canonical
from metabone.radiograph.landmarks import fingers_direction, is_right_hand, mirrored, turned
from tests.radiograph.posed_hands import drawn_hand, left_hand


def test_padding_and_blades_are_taken_off_and_noise_is_kept():
    film = np.random.default_rng(0).integers(0, 256, (60, 50)).astype(np.uint8)
    assert canonical.inner_box(film) == (0, 0, 50, 60)
    framed = np.full((90, 80), 255, np.uint8)
    framed[10:80, 10:75] = 0
    framed[14:74, 20:70] = film
    assert canonical.inner_box(framed) == (20, 14, 70, 74)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_padding_of_any_level_ends_at_the_same_pixels(level):
    film = drawn_hand(left_hand())
    film[:, :6] = 9
    padded = np.pad(film, 31, constant_values=level)
    left, top, right, bottom = canonical.inner_box(film)
    assert canonical.inner_box(padded) == (left + 31, top + 31, right + 31, bottom + 31)


def test_a_film_of_nothing_is_left_whole():
    assert canonical.inner_box(np.full((40, 70), 8)) == (0, 0, 70, 40)
    dot = np.zeros((40, 70))
    dot[20, 30] = 1
    assert canonical.inner_box(dot) == (0, 0, 70, 40)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("invert", [False, True])
def test_a_copy_turns_back_into_the_same_film(quarters, mirror, invert):
    points = left_hand(degrees=10)
    film = drawn_hand(points)
    copy, at = film, points
    if mirror:
        copy, at = copy[:, ::-1], mirrored(at, copy.shape[1])
    at = turned(at, quarters, copy.shape)
    copy = np.rot90(copy, quarters)
    copy = film.max() - (copy - film.min()) if invert else copy

    turn = canonical.how_turned(copy, at)
    assert (turn.mirrored, turn.inverted) == (mirror, invert)
    assert (canonical.turn_film(copy, turn) == film).all()
    back = canonical.turn_points(at, copy.shape, turn)
    np.testing.assert_allclose(back, points, atol=1e-9)
    again = canonical.turn_points_back(back, copy.shape, turn)
    np.testing.assert_allclose(again, at, atol=1e-9)
    assert not is_right_hand(back) and abs(fingers_direction(back) + np.pi / 2) < np.pi / 4


def test_the_box_shows_hand_and_wrist_and_stays_on_the_film():
    points = left_hand(length=100, wrist=(60, 180))
    left, top, right, bottom = canonical.hand_box(points, (200, 300))
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose([left, top], low - 15, atol=1)
    np.testing.assert_allclose(right, high[0] + 15, atol=2)
    assert bottom == 200


def test_exposure_is_the_same_after_dimming():
    film = drawn_hand(left_hand())
    plain = canonical.normal_exposure(film)
    dimmed = canonical.normal_exposure(0.6 * film.astype(float) + 11)
    assert np.abs(plain.astype(int) - dimmed).max() <= 1
    assert (plain.min(), plain.max()) == (0, 255)
    assert not canonical.normal_exposure(np.full((5, 5), 3)).any()

import numpy as np
import pytest

from metabone.radiograph.hand_gate import (
    check_hand,
    cut_within,
    no_hand,
    shape_residual,
    without_hand,
)
from metabone.radiograph.landmarks import mirrored
from metabone.radiograph.region_sets import REGION_SETS
from tests.radiograph.posed_hands import left_hand

SIX = REGION_SETS["min_kang_6"]
SURE = np.full(21, 0.01)
SIZE = (320, 300)


@pytest.mark.parametrize("degrees", [0, 45, 180])
def test_a_hand_passes_whichever_way_it_lies(degrees):
    points = left_hand(150, (200, 200), degrees)
    assert check_hand(points, SURE, (400, 400), SIX) is None
    assert check_hand(mirrored(points, 400), SURE, (400, 400), SIX) is None


def test_the_shape_of_a_hand_is_its_own_at_any_size_and_turn():
    small, large = shape_residual(left_hand(50)), shape_residual(left_hand(500, degrees=70))
    np.testing.assert_allclose(small, large, rtol=1e-9)
    assert small < 0.05


def test_points_strewn_about_are_no_hand():
    points = np.random.default_rng(0).uniform(0, 300, (21, 2))
    assert "off the shape" in check_hand(points, SURE, SIZE)


def test_a_hand_with_its_fingers_exchanged_is_no_hand():
    points = left_hand()
    points[5:9], points[17:21] = points[17:21].copy(), points[5:9].copy()
    assert shape_residual(points) > 2 * shape_residual(left_hand())


def test_unsure_points_are_no_hand_and_an_unsure_region_is_named():
    assert check_hand(left_hand(), np.full(21, 0.4), SIZE).startswith("no hand: its points are uns")
    one = SURE.copy()
    one[15] = 0.3
    assert check_hand(left_hand(), one, SIZE, SIX) == (
        "unsure where ring DIP is, by 30 % of the hand's length"
    )
    # The little finger's joint is in none of the six.
    other = SURE.copy()
    other[19] = 0.3
    assert check_hand(left_hand(), other, SIZE, SIX) is None


def test_a_point_that_gives_only_the_direction_may_be_less_sure():
    tip = SURE.copy()
    tip[16] = 0.45
    assert check_hand(left_hand(), tip, SIZE, SIX) is None
    tip[16] = 0.55
    assert "ring tip" in check_hand(left_hand(), tip, SIZE, SIX)


def test_a_region_beyond_the_film_is_named():
    points = left_hand() - np.array([0, 100])
    assert check_hand(points, SURE, SIZE) is None
    assert check_hand(points, SURE, SIZE, SIX) == "cut off at middle finger, distal phalanx"


def test_a_fingertip_at_the_films_edge_is_cut_off():
    points = left_hand()
    close = points - np.array([0, points[12, 1] - 5])
    assert check_hand(close, SURE, SIZE, SIX) == "cut off at middle finger, distal phalanx"
    assert check_hand(close + np.array([0, 5]), SURE, SIZE, SIX) is None


def test_a_tiny_hand_is_refused():
    assert "20 pixels long" in check_hand(left_hand(20), SURE, SIZE)


def test_a_hand_of_any_size_and_place_is_one_and_what_is_unsure_is_none():
    assert no_hand(left_hand(20, (500, -40)), SURE) is None
    assert "unsure by 13 %" in no_hand(left_hand(), np.full(21, 0.13))


def _fingers(points, size):
    """Bright bands along the digits that fade to nothing at their ends, on a dark film."""
    y, x = np.mgrid[: size[0], : size[1]]
    film = np.zeros(size)
    for tip in (4, 8, 12, 16, 20):
        start, end = points[tip - 1], points[tip]
        along = (end - start) / np.linalg.norm(end - start)
        far = end + 0.03 * 200 * along
        ahead = (x - far[0]) * along[0] + (y - far[1]) * along[1]
        across = (x - far[0]) * along[1] - (y - far[1]) * along[0]
        flesh = np.clip(-ahead / 12, 0, 1) * (np.abs(across) < 8)
        film = np.maximum(film, 200 * flesh * (ahead > -60))
    return film.astype(np.uint8)


def test_a_finger_that_ends_at_the_edge_is_whole_and_one_that_is_cut_there_is_not():
    points = left_hand()
    film = _fingers(points, SIZE)
    top = int(points[12, 1] - 6)
    whole = points - [0, top]
    assert cut_within(film[top:], whole, SIX) is None
    top = int(points[12, 1] + 4)
    cut, at = film[top:], np.maximum(points - [0, top], 0)
    assert cut_within(cut, at, SIX) == "cut off at middle finger, distal phalanx"
    # Whichever way it lies, and whichever way its grays go.
    turned_at = np.stack([cut.shape[0] - 1 - at[:, 1], at[:, 0]], axis=1)
    assert cut_within(np.rot90(cut, -1), turned_at, SIX) is not None
    assert cut_within(255 - cut, at, SIX) is not None
    assert cut_within(cut, at, REGION_SETS["wrist"]) is None


def test_a_hand_is_painted_over_with_the_border_and_nothing_else_is():
    points = left_hand(100, (100, 160))
    film = np.full((200, 400), 90, np.uint8)
    film[10:190, 20:180] = 200
    film[20:60, 300:360] = 250
    rest = without_hand(film, points)
    x, y = np.rint(points).astype(int).T
    assert (rest[y, x] == 90).all()
    np.testing.assert_array_equal(rest[:, 250:], film[:, 250:])
    assert film[100, 100] == 200

import numpy as np
import pytest

from metabone.radiograph import landmarks
from tests.radiograph.posed_hands import left_hand


def test_there_are_21_distinct_points_and_each_knows_its_place():
    assert len(set(landmarks.POINT_NAMES)) == landmarks.POINTS == 21
    assert [landmarks.point_number(n) for n in ("wrist", "thumb tip", "little tip")] == [0, 4, 20]


def test_a_hands_length_runs_along_the_middle_finger_however_it_bends():
    points = np.zeros((21, 2))
    points[[9, 10, 11, 12]] = [[0, -50], [0, -80], [20, -80], [20, -90]]
    assert landmarks.hand_length(points) == 50 + 30 + 20 + 10


@pytest.mark.parametrize("degrees", [0, 35, 90, 179, -120])
def test_a_left_hand_stays_one_when_turned_and_becomes_right_when_mirrored(degrees):
    points = left_hand(degrees=degrees)
    assert not landmarks.is_right_hand(points)
    assert landmarks.is_right_hand(landmarks.mirrored(points, 300))


def test_fingers_point_where_the_hand_was_turned():
    straight = landmarks.fingers_direction(left_hand())
    np.testing.assert_allclose(straight, -np.pi / 2, atol=0.04)
    turned = landmarks.fingers_direction(left_hand(degrees=40))
    np.testing.assert_allclose(turned, straight - np.deg2rad(40), atol=1e-9)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -1])
def test_points_turn_with_the_pixels_that_they_are_on(quarters):
    film = np.arange(12 * 7).reshape(12, 7)
    at = np.array([[0, 0], [6, 11], [2, 9]])
    x, y = landmarks.turned(at, quarters, film.shape).T
    assert np.rot90(film, quarters)[y, x].tolist() == film[at[:, 1], at[:, 0]].tolist()


def test_points_are_mirrored_with_the_pixels_that_they_are_on():
    film = np.arange(12 * 7).reshape(12, 7)
    x, y = landmarks.mirrored(np.array([[2, 9]]), 7).T
    assert film[:, ::-1][y, x] == film[9, 2]

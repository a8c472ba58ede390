import numpy as np
import pytest
from scipy import ndimage

from metabone.radiograph.cutting import cut_regions, jittered_regions, stretched
from metabone.radiograph.landmarks import hand_length, is_right_hand, mirrored
from metabone.radiograph.region_sets import REGION_SETS, region_squares
from metabone.radiograph.regions import REGION_NAMES
from tests.radiograph.posed_hands import drawn_hand, left_hand

SIX = REGION_SETS["min_kang_6"]


def test_the_sets_have_as_many_regions_as_their_names_say_and_no_name_twice():
    sizes = {name: len(regions) for name, regions in REGION_SETS.items()}
    numbered = {"min_kang_6": 6, "hand_11": 11, "fishman_6": 6, "rus_13": 13}
    assert sizes == numbered | {"wrist": 1, "carpals": 1}
    for regions in REGION_SETS.values():
        assert len({region.name for region in regions}) == len(regions)
    assert tuple(region.name for region in SIX) == REGION_NAMES


def test_a_region_lies_at_its_joint_along_the_finger_in_units_of_the_hand():
    points = left_hand(degrees=25)
    square = region_squares(points, SIX)[1]
    assert square.centre.tolist() == points[11].tolist()
    ahead = points[12] - points[10]
    np.testing.assert_allclose(square.direction, np.arctan2(ahead[1], ahead[0]))
    np.testing.assert_allclose(square.side, 0.11 * hand_length(points))


def test_the_radius_lies_on_the_thumbs_side_of_either_hand():
    for points in (left_hand(), mirrored(left_hand(), 300)):
        radius, ulna = region_squares(points, REGION_SETS["rus_13"])[:2]
        thumb = points[1] - points[0]
        assert thumb @ (radius.centre - points[0]) > 0 > thumb @ (ulna.centre - points[0])


@pytest.mark.parametrize("degrees", [17, 90, 200])
def test_a_turned_film_gives_the_same_regions(degrees):
    regions = []
    for turn in (0, degrees):
        points = left_hand(180, (210, 210), turn)
        film = ndimage.gaussian_filter(drawn_hand(points, (420, 420), noise=0).astype(float), 1)
        regions.append(cut_regions(film, points, SIX, 32))
    for first, second in zip(*regions, strict=True):
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99


def test_a_right_hand_gives_the_regions_of_its_mirror_image():
    points = left_hand()
    film = drawn_hand(points)
    plain = cut_regions(film, points, SIX, 32)
    other = cut_regions(film[:, ::-1], mirrored(points, film.shape[1]), SIX, 32)
    assert is_right_hand(mirrored(points, film.shape[1]))
    np.testing.assert_allclose(other, plain, atol=0.01)


def test_room_shows_more_around_the_same_field():
    points = left_hand()
    film = drawn_hand(points)
    close, wide = cut_regions(film, points, SIX, 32), cut_regions(film, points, SIX, 32, 1.5)
    assert wide.shape == (6, 48, 48)
    np.testing.assert_allclose(wide[:, 8:40, 8:40], close, atol=0.01)


def test_jitter_of_nothing_is_the_region_itself_and_copies_differ():
    points = left_hand()
    film = drawn_hand(points)
    rng = np.random.default_rng(0)
    none = jittered_regions(rng, film, points, SIX, 32, shift=0, turn=0, scale=0)
    np.testing.assert_allclose(none, cut_regions(film, points, SIX, 32))
    first, second = (jittered_regions(rng, film, points, SIX, 32) for _ in range(2))
    assert np.abs(first - second).mean(axis=(1, 2)).min() > 1


def test_jitter_moves_the_centre_by_the_share_of_the_hand_asked_for():
    points = left_hand(length=400, wrist=(300, 500))
    film = np.tile(np.arange(700.0), (600, 1))
    # On a film that shows its own columns a crop's mean is where its middle was.
    middles = [
        jittered_regions(np.random.default_rng(seed), film, points, SIX[1:2], 16, shift=0.02).mean()
        for seed in range(200)
    ]
    np.testing.assert_allclose(np.std(middles), 0.02 * 400, rtol=0.15)


def test_stretching_undoes_brightness_and_contrast():
    crops = np.random.default_rng(0).normal(100, 20, (2, 3, 16, 16))
    plain, dimmed = stretched(crops), stretched(0.4 * crops + 13)
    assert np.abs(plain.astype(int) - dimmed.astype(int)).max() <= 1
    assert plain.min() == 0 and plain.max() == 255
    assert not stretched(np.full((1, 4, 4), 9.0)).any()

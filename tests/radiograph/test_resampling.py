import numpy as np
import pytest

from metabone.radiograph.resampling import cut, square_to_film

UP = -np.pi / 2


def test_an_upright_square_of_whole_pixels_is_that_part_of_the_film():
    film = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    part = cut(film, np.array([20.5, 14.5]), UP, 16, 16)
    np.testing.assert_allclose(part, film[7:23, 13:29], atol=1e-3)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_direction_of_the_film_points_up_in_the_square(quarters):
    film = np.random.default_rng(1).integers(0, 256, (30, 30)).astype(np.uint8)
    # After a turn against the clock what pointed right points up.
    direction = UP + quarters * np.pi / 2
    part = cut(film, np.array([14.5, 14.5]), direction, 30, 30)
    np.testing.assert_allclose(part, np.rot90(film, quarters), atol=1e-3)


@pytest.mark.parametrize("side", [20, 64, 200])
def test_a_plane_is_cut_exactly_at_any_scale_and_turn(side):
    y, x = np.mgrid[:400, :420]
    film = 3.0 * x - 2.0 * y + 7.0
    part = cut(film, np.array([210.3, 190.8]), 0.4, side, 16)
    to_film = square_to_film(np.array([210.3, 190.8]), 0.4, side, 16)
    v, u = np.mgrid[:16, :16]
    at_x, at_y = (to_film[i, 0] * u + to_film[i, 1] * v + to_film[i, 2] for i in (0, 1))
    np.testing.assert_allclose(part, 3.0 * at_x - 2.0 * at_y + 7.0, atol=0.02)


def test_what_a_coarser_grid_cannot_show_is_damped_and_what_it_can_is_kept():
    x = np.arange(512)
    fine = np.tile(np.cos(2 * np.pi * x / 5.0), (512, 1))
    coarse = np.tile(np.cos(2 * np.pi * x / 64.0), (512, 1))
    centre = np.array([255.5, 255.5])
    # 4 pixels of the film for each of the result: waves of 5 pixels would come out as others.
    assert np.abs(cut(fine, centre, UP, 512, 128)[8:-8, 8:-8]).max() < 0.1
    assert np.abs(cut(coarse, centre, UP, 512, 128)[8:-8, 8:-8]).max() > 0.9


def test_beyond_the_film_its_border_is_repeated_or_a_level_filled_in():
    film = np.full((20, 20), 100, np.uint8)
    assert np.allclose(cut(film, np.array([0.0, 0.0]), UP, 20, 20), 100, atol=1e-3)
    filled = cut(film, np.array([0.0, 0.0]), UP, 20, 20, fill=7)
    assert filled[0, 0] == 7 and abs(filled[-2, -2] - 100) < 1


def test_a_square_off_the_film_altogether_is_its_border():
    film = np.full((20, 20), 100, np.uint8)
    assert np.allclose(cut(film, np.array([500.0, -90.0]), 0.3, 20, 8), 100)

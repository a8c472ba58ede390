"""Moved films equal SciPy's, by moves within their ranges, and sex stays beside them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from metabone.errors import InputError
from metabone.training.film_augmentation import Moves, draw_moves, move, moved_films

KEY = jax.random.key(0)
moved = jax.jit(move)
STILL = {"shift": 0.0, "rotation": 0.0, "zoom": 0.0, "flip": False}


def films_of(count, height=9, width=7, channels=1):
    shape = (count, height + 1, width, channels)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def moves_of(count, shift=(0.0, 0.0), rotation=0.0, zoom=1.0, flip=False):
    return Moves(
        jnp.tile(jnp.array(shift), (count, 1)),
        jnp.full(count, rotation),
        jnp.full(count, zoom),
        jnp.full(count, flip),
    )


def by_scipy(film, shift, rotation, zoom, flip):
    """One channel moved in float64: mirrored, zoomed and turned about its centre, then shifted."""
    film = np.asarray(film, np.float64)
    angle = np.deg2rad(rotation)
    # Rows go down, so that a turn by a positive angle goes with the clock.
    forward = zoom * np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    ) @ np.diag([1.0, -1.0 if flip else 1.0])  # fmt: skip
    middle = (np.array(film.shape) - 1) / 2
    back = np.linalg.inv(forward)
    offset = middle - back @ (middle + np.array(shift) * film.shape)
    return ndimage.affine_transform(film, back, offset, order=1, mode="nearest")


@pytest.mark.parametrize("flip", [False, True])
def test_films_are_moved_as_scipy_moves_them(flip):
    films = films_of(2, channels=2)
    shift, rotation, zoom = (0.11, -0.17), 17.0, 1.15
    found = moved(jnp.array(films), moves_of(2, shift, rotation, zoom, flip))
    for film, result in zip(films, found, strict=True):
        for channel in (0, 1):
            expected = by_scipy(film[:-1, :, channel], shift, rotation, zoom, flip)
            np.testing.assert_allclose(result[:-1, :, channel], expected, rtol=0, atol=1e-5)


def test_each_film_is_moved_by_its_own_move():
    films = films_of(3)
    drawn = draw_moves(KEY, 3, shift=0.2, rotation=20.0, zoom=0.2, flip=True)
    found = jax.jit(moved_films)(KEY, jnp.array(films))
    for film, result, *own in zip(films, found, *drawn, strict=True):
        expected = by_scipy(film[:-1, :, 0], *map(np.asarray, own))
        np.testing.assert_allclose(result[:-1, :, 0], expected, rtol=0, atol=1e-5)
    assert np.abs(np.asarray(found)[:, :-1] - films[:, :-1]).min(axis=0).max() > 0.1


def test_a_film_that_is_not_moved_is_the_same_to_the_bit():
    films = films_of(3)
    np.testing.assert_array_equal(jax.jit(partial(moved_films, **STILL))(KEY, films), films)


def test_a_mirrored_film_is_the_same_from_right_to_left_to_the_bit():
    films = films_of(2)
    found = moved(jnp.array(films), moves_of(2, flip=True))
    np.testing.assert_array_equal(found[:, :-1], films[:, :-1, ::-1])


def test_a_quarter_turn_goes_with_the_clock():
    films = films_of(1, 7, 7)
    found = moved(jnp.array(films), moves_of(1, rotation=90.0))
    expected = np.rot90(films[0, :-1, :, 0], -1)
    np.testing.assert_allclose(found[0, :-1, :, 0], expected, rtol=0, atol=1e-5)


def test_a_shift_is_down_and_to_the_right_and_repeats_the_border():
    films = films_of(1, 10, 5)
    found = np.asarray(moved(jnp.array(films), moves_of(1, shift=(0.2, 0.4))))[0, :-1, :, 0]
    rows, columns = np.maximum(np.arange(10) - 2, 0), np.maximum(np.arange(5) - 2, 0)
    expected = films[0, :-1, :, 0][rows][:, columns]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_zoom_above_one_makes_larger():
    ramp = np.broadcast_to(np.arange(10.0)[:, None, None], (1, 10, 9, 1)).astype(np.float32)
    found = np.asarray(moved(jnp.array(ramp), moves_of(1, zoom=2.0)))[0, :-1, :, 0]
    expected = np.broadcast_to(4 + (np.arange(9.0)[:, None] - 4) / 2, (9, 9))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sex_stays_beside_its_film_to_the_bit():
    films = films_of(3)
    films[:, -1] = np.array([-1.0, 1.0, 1 / 255]).reshape(-1, 1, 1)
    found = jax.jit(moved_films)(KEY, jnp.array(films))
    np.testing.assert_array_equal(found[:, -1], films[:, -1])


def test_moves_are_uniform_within_their_ranges():
    count = 20_000
    moves = draw_moves(KEY, count, shift=0.2, rotation=20.0, zoom=0.1, flip=True)
    for drawn, low, high in (
        (moves.shift[:, 0], -0.2, 0.2),
        (moves.shift[:, 1], -0.2, 0.2),
        (moves.rotation, -20, 20),
        (moves.zoom, 0.9, 1.1),
    ):
        found = np.quantile(drawn, [0, 0.25, 0.5, 0.75, 1])
        expected = np.linspace(low, high, 5)
        assert low <= found[0] and found[-1] <= high + 1e-6
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * (high - low))
    assert abs(np.mean(moves.flip) - 0.5) < 0.02
    together = np.corrcoef([*moves.shift.T, moves.rotation, moves.zoom, moves.flip])
    np.testing.assert_allclose(together, np.eye(5), rtol=0, atol=0.04)
    unflipped = draw_moves(KEY, count, shift=0.2, rotation=20.0, zoom=0.1, flip=False)
    assert not unflipped.flip.any()
    np.testing.assert_array_equal(unflipped.rotation, moves.rotation)


@pytest.mark.parametrize(
    "wrong", [{"shift": -0.1}, {"rotation": -1.0}, {"zoom": -0.1}, {"zoom": 1.0}]
)
def test_a_wrong_range_is_refused(wrong):
    with pytest.raises(InputError, match="expected 0 or more each, and a zoom below 1"):
        moved_films(KEY, jnp.zeros((1, 3, 2, 1)), **wrong)


@pytest.mark.parametrize("shape", [(1, 1, 2, 1), (1, 2, 3, 2, 1)])
def test_films_without_a_row_or_of_regions_are_refused(shape):
    with pytest.raises(InputError, match=r"expected \[n, H \+ 1, W, C\], the last row sex"):
        moved_films(KEY, jnp.zeros(shape))

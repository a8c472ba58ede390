import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph import alignment
from metabone.radiograph.alignment import (
    FRAME,
    TEMPLATE,
    compose,
    frame_to_template,
    moved,
    place_hands,
    warp,
)
from metabone.radiograph.hand_gate import shape_residual
from metabone.radiograph.landmarks import is_right_hand

SURE = np.full((1, 21), 0.01)
MAPS = {
    "turned": [[80.0, -60.0, 30.0], [60.0, 80.0, 40.0]],
    "squashed": [[160.0, 0.0, 50.0], [0.0, 75.0, 90.0]],
    "mirrored and sheared": [[-100.0, 20.0, 300.0], [5.0, 120.0, 10.0]],
}


def test_the_template_is_a_left_hand_that_stands_upright():
    assert not is_right_hand(TEMPLATE)
    # The shape that hands are held against was written down apart from it.
    assert shape_residual(100 * TEMPLATE) < 0.04
    low, high = TEMPLATE.min(axis=0), TEMPLATE.max(axis=0)
    assert (low - FRAME[:2] > 0.05).all() and (FRAME[2:] - high > 0.05).all()


@pytest.mark.parametrize("at", MAPS.values(), ids=MAPS)
def test_an_affine_copy_of_the_template_is_placed_exactly(at):
    at = np.array([at])
    placed = place_hands(moved(at, TEMPLATE[None]), SURE)
    np.testing.assert_allclose(placed.to_film, at, atol=1e-8)
    assert placed.residual[0] < 1e-9 and placed.fits()[0]
    assert placed.mirrored()[0] == (np.linalg.det(at[0, :, :2]) < 0)


def test_a_few_points_that_are_far_off_hardly_move_the_hand():
    at = np.array([MAPS["turned"]])
    points = moved(at, TEMPLATE[None])
    points[0, [0, 4, 12]] += [60.0, -40.0]
    placed = place_hands(points, SURE)
    # Half a pixel, where least squares alone would be off by more than ten.
    others = np.delete(np.arange(21), [0, 4, 12])
    back = moved(placed.to_film, TEMPLATE[None])
    assert np.abs(back - points)[0, others].max() < 1.0
    design = np.concatenate([TEMPLATE, np.ones((21, 1))], axis=1)
    plain = design @ np.linalg.lstsq(design, points[0], rcond=None)[0]
    assert np.abs(plain - points[0])[others].max() > 10.0


def test_an_unsure_point_weighs_less():
    at = np.array([MAPS["turned"]])
    points = moved(at, TEMPLATE[None])
    points[0, 9] += 5.0
    unsure = SURE.copy()
    unsure[0, 9] = 0.5
    off = [np.abs(place_hands(points, by).to_film - at).max() for by in (SURE, unsure)]
    assert off[1] < 0.05 * off[0]


def test_the_fit_is_the_solution_of_weighted_least_squares(monkeypatch):
    monkeypatch.setattr(alignment, "_REWEIGHTED", 0)
    rng = np.random.default_rng(0)
    points = 100 * TEMPLATE + rng.normal(0, 3, (21, 2))
    unsure = rng.uniform(0, 0.1, (1, 21))
    weight = 1 / np.sqrt(alignment._DEVIATION**2 + unsure[0] ** 2)
    design = np.concatenate([TEMPLATE, np.ones((21, 1))], axis=1)
    meant, *_ = np.linalg.lstsq(weight[:, None] * design, weight[:, None] * points, rcond=None)
    np.testing.assert_allclose(place_hands(points[None], unsure).to_film[0], meant.T, rtol=1e-8)


def test_points_of_no_hand_do_not_fit():
    points = np.random.default_rng(1).uniform(0, 100, (1, 21, 2))
    assert not place_hands(points, SURE).fits()[0]
    thin = moved(np.array([[[400.0, 0.0, 0.0], [0.0, 100.0, 0.0]]]), TEMPLATE[None])
    assert not place_hands(thin, SURE).fits()[0]
    # Nor do points that are all one.
    assert not place_hands(np.ones((1, 21, 2)), SURE).fits()[0]


def test_the_corners_of_the_frame_are_those_of_the_aligned_film():
    at = frame_to_template(10)
    outer = np.array([[[-0.5, -0.5], [9.5, 9.5]]])
    np.testing.assert_allclose(moved(at[None], outer)[0].ravel(), FRAME)


def test_a_composed_map_is_one_after_the_other():
    inner, outer = (np.array(MAPS[name]) for name in ("turned", "squashed"))
    both = moved(compose(outer, inner)[None], TEMPLATE[None])
    np.testing.assert_allclose(both, moved(outer[None], moved(inner[None], TEMPLATE[None])))


def test_a_ramp_is_looked_at_where_the_map_says():
    x, y = np.meshgrid(np.arange(12.0), np.arange(9.0))
    film = jnp.asarray(3 * x + 10 * y, jnp.float32)[None]
    at = np.array([[[0.5, 0.25, 2.0], [-0.25, 0.5, 3.0]]], np.float32)
    seen = warp(film, jnp.asarray(at), jnp.array([7.0]), 6)
    u, v = np.meshgrid(np.arange(6.0), np.arange(6.0))
    x, y = 0.5 * u + 0.25 * v + 2, -0.25 * u + 0.5 * v + 3
    np.testing.assert_allclose(seen[0], 3 * x + 10 * y, rtol=1e-5)


def test_what_lies_beyond_a_film_has_the_level_that_is_given():
    film = jnp.full((2, 4, 4), 100, jnp.uint8)
    at = jnp.tile(jnp.array([[1.0, 0.0, -2.0], [0.0, 1.0, 0.0]]), (2, 1, 1))
    seen = np.asarray(warp(film, at, jnp.array([7.0, 9.0]), 4))
    assert (seen[:, :, 2:] == 100).all()
    assert (seen[0, :, :2] == 7).all() and (seen[1, :, :2] == 9).all()

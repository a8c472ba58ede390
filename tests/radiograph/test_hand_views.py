import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph.hand_views import (
    UPRIGHT_ROOM,
    VIEW_SIZE,
    border_level,
    draw_view,
    pointed_films,
    standardised,
    upright_hand,
    whole_film,
)
from metabone.radiograph.landmarks import is_right_hand
from metabone.radiograph.resampling import square_to_film
from tests.radiograph.posed_hands import drawn_hand, left_hand


@pytest.fixture(scope="module")
def views():
    points = left_hand()
    films = pointed_films([drawn_hand(points, noise=0)], [points])
    one = [jnp.asarray(leaf[0]) for leaf in films]
    keys = jax.random.split(jax.random.key(0), 300)
    drawn, at = jax.jit(lambda k: jax.lax.map(lambda key: draw_view(key, *one), k))(keys)
    return np.asarray(drawn), np.asarray(at)


def test_a_film_lies_in_the_middle_of_its_square_with_its_points():
    film = np.zeros((80, 40), np.uint8)
    film[20:24, 30:34] = 255
    at = np.tile([[31.5, 21.5]], (21, 1))
    films = pointed_films([film], [at])
    y, x = np.mgrid[:160, :160]
    bright = films.images[0] / films.images[0].sum()
    np.testing.assert_allclose([(bright * x).sum(), (bright * y).sum()], films.points[0, 0], atol=1)
    assert films.boxes[0].tolist() == [40, 0, 119, 159] and films.borders[0] == 0


def test_views_are_standardised_and_finite(views):
    drawn, _ = views
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.mean(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(drawn.std(axis=(1, 2)), 1, atol=1e-2)


def test_points_stay_on_their_bones_whatever_the_view(views):
    drawn, at = views
    inside = ((at >= 2) & (at < VIEW_SIZE - 2)).all(axis=-1)
    x, y = np.rint(np.clip(at, 0, VIEW_SIZE - 1)).astype(int).transpose(2, 0, 1)
    there = drawn[np.arange(len(drawn))[:, None], y, x]
    # Bones are the brightest of the drawn film, or the darkest after inversion: on average over
    # a view its points stand out from it, in most of the views.
    away = np.abs(np.where(inside, there, 0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))
    assert np.mean(away > 0.4) > 0.8


def test_views_show_both_sides_all_quarters_and_both_polarities(views):
    drawn, at = views
    assert 0.35 < is_right_hand(at).mean() < 0.65
    axis = at[:, 9] - at[:, 0]
    quarter = np.rint(np.arctan2(axis[:, 1], axis[:, 0]) / (np.pi / 2)) % 4
    share = np.bincount(quarter.astype(int), minlength=4) / len(at)
    # Up, 3 of 4 that pointed there, is what half of the views are and a quarter of the others.
    assert share[3] > 0.5 and share[:3].min() > 0.06
    on_bone = np.median(
        drawn[np.arange(300)[:, None], *np.clip(at, 0, 127).astype(int).transpose(2, 0, 1)[::-1]],
        axis=1,
    )
    assert 0.1 < np.mean(on_bone < 0) < 0.45


def test_standardising_undoes_brightness_and_contrast():
    view = jax.random.normal(jax.random.key(0), (2, 8, 8))
    np.testing.assert_allclose(standardised(3.0 * view - 7.0), standardised(view), atol=1e-4)
    assert not standardised(jnp.full((1, 8, 8), 5.0)).any()


def test_the_whole_film_fits_its_view():
    square = whole_film((100, 60))
    to_film = square_to_film(*square, VIEW_SIZE)
    corners = np.array([[-0.5, -0.5], [127.5, 127.5]]) @ to_film[:, :2].T + to_film[:, 2]
    np.testing.assert_allclose(corners, [[-20.5, -0.5], [79.5, 99.5]], atol=1e-9)


@pytest.mark.parametrize("degrees", [0, 50, 90, 210])
def test_a_hand_stands_upright_in_the_middle_of_its_view(degrees):
    points = left_hand(degrees=degrees)
    to_film = square_to_film(*upright_hand(points, (400, 400)), VIEW_SIZE)
    seen = np.linalg.solve(to_film[:, :2], (points - to_film[:, 2]).T).T
    low, high = seen.min(axis=0), seen.max(axis=0)
    np.testing.assert_allclose(0.5 * (low + high), 63.5, atol=1e-6)
    np.testing.assert_allclose((high - low).max(), VIEW_SIZE / UPRIGHT_ROOM, rtol=1e-6)
    assert seen[12, 1] < seen[0, 1] - 50 and not is_right_hand(seen)


def test_points_that_are_all_one_still_give_a_view():
    square = upright_hand(np.full((21, 2), 30.0), (160, 100))
    assert square.side == 10.0 and np.isfinite(square.centre).all()


def test_the_border_is_the_median_of_the_outermost_pixels():
    film = np.full((9, 9), 50)
    film[1:-1, 1:-1] = 200
    film[0, 0] = 0
    assert border_level(film) == 50

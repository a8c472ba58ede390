import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph import heat_maps

heat_map_loss = jax.jit(heat_maps.heat_map_loss)
read_heat_maps = jax.jit(heat_maps.read_heat_maps)


def _bell(at, size=16, sigma=1.2):
    y, x = np.mgrid[:size, :size]
    return -0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / sigma**2


def test_the_loss_is_the_divergence_from_the_gaussian_in_float64():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 16, 16, 3))
    points = rng.uniform(2, 13, (2, 3, 2))
    total = 0.0
    for n, p in np.ndindex(2, 3):
        target = np.exp(_bell(points[n, p]))
        target /= target.sum()
        logs = logits[n, ..., p] - np.log(np.exp(logits[n, ..., p]).sum())
        total += (target * (np.log(target) - logs)).sum()
    loss = heat_map_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(points, jnp.float32))
    np.testing.assert_allclose(loss, total / 6, rtol=1e-4)


def test_the_loss_of_what_is_taught_is_zero():
    points = np.array([[[7.3, 6.1]]], np.float32)
    logits = jnp.asarray(_bell(points[0, 0]), jnp.float32)[None, :, :, None]
    np.testing.assert_allclose(heat_map_loss(logits, jnp.asarray(points)), 0.0, atol=1e-4)


def test_points_off_the_map_count_for_nothing():
    logits = jax.random.normal(jax.random.key(0), (1, 16, 16, 2))
    both = jnp.asarray([[[5.0, 5.0], [-4.0, 3.0]]])
    np.testing.assert_allclose(
        heat_map_loss(logits, both), heat_map_loss(logits[..., :1], both[:, :1]), rtol=1e-5
    )
    assert heat_map_loss(logits, jnp.full((1, 2, 2), 99.0)) == 0.0


def test_a_point_between_cells_is_read_from_its_map():
    at = np.array([[7.3, 6.1], [5.0, 8.6]])
    logits = jnp.asarray(np.stack([_bell(p) for p in at], axis=-1), jnp.float32)[None]
    reading = read_heat_maps(logits)
    np.testing.assert_allclose(reading.points[0], at, atol=0.01)
    np.testing.assert_allclose(reading.spread[0], np.sqrt(2) * 1.2, rtol=0.05)


def test_the_higher_of_two_peaks_is_read_and_the_other_makes_it_unsure():
    one = np.exp(_bell((4, 4)))
    logits = np.log(one + 0.5 * np.exp(_bell((12, 12))) + 1e-9)
    reading = read_heat_maps(jnp.asarray(logits, jnp.float32)[None, :, :, None])
    np.testing.assert_allclose(reading.points[0, 0], [4, 4], atol=0.05)
    # A third of the mass is 8 * sqrt(2) cells away.
    np.testing.assert_allclose(reading.spread[0, 0], 8 * np.sqrt(2 / 3), rtol=0.05)


def test_an_even_map_is_as_unsure_as_a_square_is_wide():
    reading = read_heat_maps(jnp.zeros((1, 16, 16, 1)))
    assert reading.spread[0, 0] > 6

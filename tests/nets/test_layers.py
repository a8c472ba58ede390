import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.nets.layers import max_pool_2x2


def _reduce_window(images):
    return jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_max_pool_equals_reduce_window(size):
    images = jax.random.normal(jax.random.key(0), (2, *size, 3))
    np.testing.assert_array_equal(max_pool_2x2(images), _reduce_window(images))


def test_max_pool_has_the_second_derivatives_of_reduce_window(x64):
    images = jax.random.normal(jax.random.key(0), (1, 4, 4, 2), jnp.float64)

    def gradient_norm(pool):
        return lambda x: jnp.sum(jax.grad(lambda y: jnp.sum(jnp.sin(pool(y) ** 2)))(x) ** 2)

    mine = jax.jit(jax.grad(gradient_norm(max_pool_2x2)))(images)
    reference = jax.grad(gradient_norm(_reduce_window))(images)
    np.testing.assert_allclose(mine, reference, rtol=1e-12)
    step = 1e-5
    index = tuple(np.argwhere(np.asarray(reference) != 0)[0])
    up, down = images.at[index].add(step), images.at[index].add(-step)
    value = gradient_norm(max_pool_2x2)
    np.testing.assert_allclose(mine[index], (value(up) - value(down)) / (2 * step), rtol=1e-6)


def test_tied_pixels_give_their_gradient_to_the_first_alone():
    gradient = jax.grad(lambda x: max_pool_2x2(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[1, 0], [0, 0]])

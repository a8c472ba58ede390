"""The short ways through a block against its layers one after the other, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from metabone.nets.blocks import normalised_pool, thin_block
from metabone.nets.convolution import conv3x3

pytestmark = pytest.mark.optimized

EPSILON = 1e-3


def _layers(images, kernel, scale, bias):
    """XLA's convolution and max-pool, and batch normalisation by its definition."""
    hidden = conv3x3(images, kernel, 1, "lax")
    mean, variance = hidden.mean((0, 1, 2)), hidden.var((0, 1, 2))
    hidden = jax.nn.relu((hidden - mean) / jnp.sqrt(variance + EPSILON) * scale + bias)
    window = (1, 2, 2, 1)
    return lax.reduce_window(hidden, -jnp.inf, lax.max, window, window, "VALID"), mean, variance


def _picked_first(images, kernel, scale, bias):
    return normalised_pool(conv3x3(images, kernel, 1, "lax"), scale, bias, EPSILON)


def _thin(images, kernel, scale, bias):
    return thin_block(images, kernel, scale, bias, EPSILON)


BLOCKS = [(_picked_first, (3, 7, 6, 4)), (_thin, (3, 8, 6, 3))]


def _arguments(shape):
    rng = np.random.default_rng(1)
    scale = rng.normal(size=5)
    assert scale.min() < 0 < scale.max()  # a negative scale turns the largest into the smallest
    arrays = (
        rng.normal(size=shape),
        rng.normal(size=(3, 3, shape[-1], 5)),
        scale,
        rng.normal(size=5),
    )
    return tuple(map(jnp.array, arrays))


@pytest.mark.parametrize(("block", "shape"), BLOCKS)
def test_a_block_gives_what_its_layers_give(x64, block, shape):
    arguments = _arguments(shape)
    for found, expected in zip(block(*arguments), _layers(*arguments), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("block", "shape"), BLOCKS)
def test_its_gradients_of_both_orders_are_theirs_in_every_argument(x64, block, shape, order):
    arguments = _arguments(shape)

    def derived(through):
        def scalar(arguments):
            return sum(jnp.sum(jnp.sin(3 * output)) for output in through(*arguments))

        for _ in range(order - 1):
            scalar = _squared_gradient(scalar)
        return jax.jit(jax.grad(scalar))(arguments)

    for found, expected in zip(derived(block), derived(_layers), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def _squared_gradient(scalar):
    return lambda arguments: sum(jnp.sum(g**2) for g in jax.grad(scalar)(arguments))


def test_statistics_far_from_zero_do_not_cancel_in_float32():
    images, kernel, scale, bias = (a.astype(jnp.float32) for a in _arguments((4, 8, 8, 3)))
    bright = images * 0.01 + 100.0
    with jax.enable_x64(True):
        wide = [jnp.array(np.asarray(a), jnp.float64) for a in (bright, kernel, scale, bias)]
        expected = np.asarray(_layers(*wide)[0])
    naive = np.asarray(_layers(bright, kernel, scale, bias)[0])
    found = np.asarray(_thin(bright, kernel, scale, bias)[0])
    assert np.abs(found - expected).max() < 2 * np.abs(naive - expected).max() + 1e-5


def test_a_kernel_that_sees_nothing_of_bright_images_leaves_finite_gradients():
    # Its output cancels but for rounding, which may leave the quadratic form below zero.
    rng = np.random.default_rng(0)
    third = np.float32(0.3)
    bright = (255 * rng.random((4, 16, 16, 1))).astype(np.float32)
    images = jnp.array(np.concatenate([bright, third * bright], axis=-1))
    weights = (30 * rng.normal(size=(3, 3, 1, 8))).astype(np.float32)
    kernel = jnp.array(np.concatenate([third * weights, -weights], axis=2))

    def total(kernel):
        return jnp.sum(_thin(images, kernel, jnp.ones(8), jnp.zeros(8))[0])

    value, gradient = jax.value_and_grad(total)(kernel)
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(gradient))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_of_tied_pixels_the_first_alone_moves_the_output(x64, sign):
    values = sign * jnp.array([[1.0, 2.0], [2.0, 2.0]])
    scale, bias = jnp.array([sign]), jnp.array([5.0])

    def pooled(values):
        return normalised_pool(values.reshape(1, 2, 2, 1), scale, bias, EPSILON)[0].sum()

    def second_pixel(values):
        spread = jnp.sqrt(values.var() + EPSILON)
        return (values[0, 1] - values.mean()) / spread * sign + 5.0

    np.testing.assert_allclose(pooled(values), second_pixel(values), rtol=1e-12)
    found, expected = jax.grad(pooled)(values), jax.grad(second_pixel)(values)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert abs(expected[0, 1] - expected[1, 0]) > 0.1

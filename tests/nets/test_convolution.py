from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.nets.convolution import conv3x3

pytestmark = pytest.mark.optimized

SHAPES = [((2, 5, 6, 3), 1), ((2, 8, 8, 1), 2), ((1, 7, 5, 2), 2), ((2, 7, 8, 2), 3)]


def _arrays(shape):
    rng = np.random.default_rng(0)
    return jnp.array(rng.normal(size=shape)), jnp.array(rng.normal(size=(3, 3, shape[-1], 4)))


def _double_backward(form, stride, images, kernel):
    """A scalar made of first gradients, so that its gradient is of second order."""

    def inner(images, kernel):
        return jnp.sum(jnp.sin(conv3x3(images, kernel, stride, form)))

    def outer(images, kernel):
        by_image, by_kernel = jax.grad(inner, argnums=(0, 1))(images, kernel)
        return jnp.sum(jnp.cos(by_image)) + jnp.sum(jnp.cos(by_kernel))

    return outer, jax.grad(outer, argnums=(0, 1))(images, kernel)


@pytest.mark.parametrize("form", ["rule", "dense"])
@pytest.mark.parametrize(("shape", "stride"), SHAPES)
def test_every_form_and_its_gradients_of_both_orders_equal_lax(x64, shape, stride, form):
    images, kernel = _arrays(shape)
    np.testing.assert_allclose(
        conv3x3(images, kernel, stride, form),
        conv3x3(images, kernel, stride, "lax"),
        atol=1e-12,
    )
    mine, mine_gradients = _double_backward(form, stride, images, kernel)
    theirs, theirs_gradients = _double_backward("lax", stride, images, kernel)
    np.testing.assert_allclose(mine(images, kernel), theirs(images, kernel), rtol=1e-10)
    for ours, reference in zip(mine_gradients, theirs_gradients, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-9, atol=1e-10)


def test_one_output_pixel_is_the_sum_over_its_neighbourhood():
    images = jnp.arange(16.0).reshape(1, 4, 4, 1)
    kernel = jnp.ones((3, 3, 1, 1))
    for form in ("rule", "dense", "lax"):
        outputs = conv3x3(images, kernel, 1, form)[0, :, :, 0]
        assert outputs[1, 1] == 0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10
        assert outputs[0, 0] == 0 + 1 + 4 + 5
        strided = conv3x3(images, kernel, 2, form)[0, :, :, 0]
        np.testing.assert_array_equal(strided, outputs[::2, ::2])


def test_weights_that_differ_by_task_can_be_mapped(x64):
    images, kernel = _arrays((2, 6, 6, 2))
    kernels = jnp.stack([kernel, 2 * kernel])
    mapped = jax.vmap(partial(conv3x3, form="rule"), in_axes=(None, 0))(images, kernels)
    np.testing.assert_allclose(mapped[1], 2 * mapped[0], rtol=1e-12)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match=r"'winograd'.*expected 'auto', 'rule', 'dense' or 'lax'"):
        conv3x3(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), form="winograd")

"""Class activation maps and Grad-CAM against their formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.evaluation.activation_maps import cam, grad_cam, maps_and_score
from metabone.nets.networks import conv_net, fully_connected
from tests.evaluation.planted_cue import drawn

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 8, 3)).astype(np.float32)
WEIGHTS = np.array([0.5, -2.0, 1.0], np.float32)


def blocks(images):
    """Maps that NumPy knows: the mean of 2x2 pixels of each channel."""
    return images.reshape(-1, 4, 2, 4, 2, 3).mean((2, 4))


def linear(maps, images):
    return maps.mean((1, 2)) @ WEIGHTS + 7


def bent(maps, images):
    return jnp.tanh(linear(maps, images) - 7)


def upsampled(maps):
    """Bilinear, by a factor of two: weights 3/4 and 1/4, the border repeated."""
    for axis in (1, 2):
        maps = np.moveaxis(maps, axis, -1)
        padded = np.concatenate([maps[..., :1], maps, maps[..., -1:]], axis=-1)
        even = 0.75 * padded[..., 1:-1] + 0.25 * padded[..., :-2]
        odd = 0.75 * padded[..., 1:-1] + 0.25 * padded[..., 2:]
        both = np.stack([even, odd], axis=-1).reshape(*maps.shape[:-1], -1)
        maps = np.moveaxis(both, -1, axis)
    return maps


def test_cam_is_the_weighted_sum_of_the_maps_at_the_size_of_the_image():
    found = cam(blocks, linear, IMAGES, together=2)
    expected = upsampled(blocks(IMAGES.astype(np.float64)) @ WEIGHTS / 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_cam_adds_up_over_the_places_of_the_maps_to_the_score_less_its_bias():
    added = 16 * cam(blocks, linear, IMAGES).mean((1, 2))
    np.testing.assert_allclose(added, linear(blocks(IMAGES), IMAGES) - 7, atol=1e-5)


def test_grad_cam_of_a_linear_head_on_averaged_maps_is_cam():
    found = grad_cam(blocks, linear, IMAGES, signed=True, together=3)
    np.testing.assert_allclose(found, cam(blocks, linear, IMAGES), atol=1e-5)


def test_grad_cam_weighs_by_the_slope_at_each_image():
    # The source's equation 1 by hand: d tanh(z) = (1 - tanh(z)^2) dz.
    maps = blocks(IMAGES.astype(np.float64))
    slope = 1 - np.tanh(maps.mean((1, 2)) @ WEIGHTS) ** 2
    expected = upsampled(slope[:, None, None] * (maps @ WEIGHTS / 16))
    found = grad_cam(blocks, bent, IMAGES, signed=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_unsigned_grad_cam_cuts_off_what_lowers_the_score_before_it_is_resized():
    maps = blocks(IMAGES.astype(np.float64)) @ WEIGHTS / 16
    found = grad_cam(blocks, linear, IMAGES, signed=False)
    np.testing.assert_allclose(found, upsampled(np.maximum(maps, 0)), atol=1e-5)
    assert (grad_cam(blocks, linear, IMAGES, signed=True) < 0).any()


def by_place(maps, images):
    return (maps * jnp.arange(16.0).reshape(4, 4, 1)).sum((1, 2, 3))


def relu_layer(maps, images):
    return jnp.maximum(maps.mean((1, 2)) @ jnp.ones((3, 4)), 0).sum(-1)


@pytest.mark.parametrize("score_of", [bent, by_place, relu_layer])
def test_cam_of_another_head_is_refused_and_names_grad_cam(score_of):
    with pytest.raises(InputError, match=r"not linear in the mean of each map.*Grad-CAM"):
        cam(blocks, score_of, IMAGES)


def test_a_row_below_an_image_is_heard_by_the_score_but_not_seen_on_the_map():
    with_row = np.concatenate([IMAGES, np.full((5, 1, 8, 3), 2, np.float32)], axis=1)
    found = grad_cam(
        lambda images: blocks(images[:, :-1]),
        lambda maps, images: images[:, -1, 0, 0] * linear(maps, images),
        *(with_row,),
        signed=True,
        height=8,
    )
    np.testing.assert_allclose(found, 2 * cam(blocks, linear, IMAGES), atol=1e-5)


def test_a_network_of_ours_is_cut_at_its_maps():
    network = conv_net(3, blocks=2, filters=4, halvings=1, average=True)
    params, stats = drawn(network, 0)
    images = RNG.normal(size=(2, 8, 8, 1)).astype(np.float32)
    maps_of, score_of = maps_and_score(network, params, stats, output=2)
    logits, _ = jax.jit(network.apply, static_argnums=3)(params, stats, images, False)
    scores = jax.jit(lambda images: score_of(maps_of(images), images))(images)
    np.testing.assert_allclose(scores, logits[:, 2], atol=1e-6)
    bias = params["head"]["classes"]["bias"][2]
    found = cam(maps_of, score_of, images)
    np.testing.assert_allclose(16 * found.mean((1, 2)) + bias, logits[:, 2], atol=1e-6)


def test_what_does_not_fit_is_told_before_anything_is_compiled():
    with pytest.raises(InputError, match="without body and head"):
        maps_and_score(fully_connected(2), {}, {})
    with pytest.raises(InputError, match=r"maps of shape \(5, 3\).*before they are averaged"):
        cam(lambda images: images.mean((1, 2)), linear, IMAGES)
    with pytest.raises(InputError, match=r"scores of shape \(5, 4, 4\)"):
        cam(blocks, lambda maps, images: maps @ WEIGHTS, IMAGES)
    with pytest.raises(InputError, match="uint8"):
        grad_cam(blocks, linear, IMAGES.astype(np.uint8), signed=True)
    with pytest.raises(InputError, match=r"height \(=9\): expected 1 to the 8 rows"):
        grad_cam(blocks, linear, IMAGES, signed=True, height=9)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from metabone.nets.conv_norm import convolve, convolve_depthwise, pads
from metabone.nets.efficientnet import efficientnet_lite0
from metabone.nets.pools import average_pool_3x3, max_pool_3x3
from metabone.nets.resnet import resnet18

_RNG = np.random.default_rng(0)


def _images(height, width, channels=3):
    return _RNG.normal(size=(2, height, width, channels)).astype(np.float32)


def test_padding_is_tensorflows_pytorchs_or_none():
    # 6 pixels, kernel 3, stride 2: three windows meet 7 pixels, the seventh below.
    assert pads("same", (6, 7), (3, 3), 2) == ((0, 1), (1, 1))
    assert pads("centred", (6, 7), (7, 3), 2) == ((3, 3), (1, 1))
    assert pads("none", (6, 7), (3, 3), 2) == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("padding", "side", "stride"),
    [
        *(("same", 3, 1), ("same", 5, 2), ("centred", 3, 2), ("none", 3, 2), ("same", 1, 2)),
        *(("centred", 7, 2), ("none", 5, 1)),
    ],
)
def test_both_convolutions_are_their_definition(padding, side, stride):
    images = _images(8, 7)
    kernel = _RNG.normal(size=(side, side, 3, 4)).astype(np.float32)
    depthwise = kernel[:, :, :1, :3]
    around = pads(padding, (8, 7), (side, side), stride)
    framed = np.pad(images.astype(np.float64), ((0, 0), *around, (0, 0)))
    rows, columns = ((size - side) // stride + 1 for size in framed.shape[1:3])
    expected, apart = np.zeros((2, rows, columns, 4)), np.zeros((2, rows, columns, 3))
    for r, c in np.ndindex(rows, columns):
        window = framed[:, r * stride : r * stride + side, c * stride : c * stride + side]
        expected[:, r, c] = np.einsum("nijc,ijco->no", window, kernel)
        apart[:, r, c] = np.einsum("nijc,ijc->nc", window, depthwise[:, :, 0])
    found = convolve(jnp.asarray(images), jnp.asarray(kernel), stride, padding)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = convolve_depthwise(jnp.asarray(images), jnp.asarray(depthwise), stride, padding)
    np.testing.assert_allclose(found, apart, atol=1e-5)


def test_a_depthwise_convolution_is_differentiated_as_xlas():
    images, kernel = _images(5, 6), _RNG.normal(size=(3, 3, 1, 3)).astype(np.float32)

    def grouped(images, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=numbers, feature_group_count=3
        )

    def gradients(apply):
        def total(images, kernel):
            return jnp.square(apply(images, kernel)).sum()

        return jax.jit(jax.grad(total, (0, 1)))(images, kernel)

    ours = gradients(lambda images, kernel: convolve_depthwise(images, kernel, 2, "same"))
    for found, expected in zip(ours, gradients(grouped), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["same", "centred", "none"])
def test_a_max_pool_is_xlas_also_of_negative_numbers(padding):
    images = -np.abs(_images(6, 7)) - 1
    around = ((0, 0), *pads(padding, (6, 7), (3, 3), 2), (0, 0))
    expected = lax.reduce_window(
        images, np.float32(-np.inf), lax.max, (1, 3, 3, 1), (1, 2, 2, 1), around
    )
    np.testing.assert_array_equal(max_pool_3x3(jnp.asarray(images), padding), expected)


@pytest.mark.parametrize("size", [(4, 5), (2, 1)])
def test_an_average_pool_counts_padding_or_not(size):
    images = _images(*size)
    framed = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    there = np.pad(np.ones(size), 1)
    for row, column in np.ndindex(size):
        window = framed[:, row : row + 3, column : column + 3].sum((1, 2))
        present = there[row : row + 3, column : column + 3].sum()
        for count_padding, pixels in ((True, 9), (False, present)):
            found = average_pool_3x3(jnp.asarray(images), count_padding)[:, row, column]
            np.testing.assert_allclose(found, window / pixels, atol=1e-6)


def test_a_body_ends_in_means_or_in_maps_and_its_head_gives_the_classes():
    def shapes(average):
        network = efficientnet_lite0(7, width=1 / 16, average=average)

        def look(key, images):
            params, stats = network.init(key, (40, 40, 3))
            features = network.body(params, stats, images, False)[0]
            return features, network.head(params, features)

        images = jax.ShapeDtypeStruct((2, 40, 40, 3), jnp.float32)
        return [found.shape for found in jax.eval_shape(look, jax.random.key(0), images)]

    assert shapes(average=True) == [(2, 80), (2, 7)]
    assert shapes(average=False) == [(2, 2, 2, 80), (2, 7)]


def test_initial_weights_are_he_normal_and_normalisation_changes_nothing():
    params, stats = resnet18(5, width=1 / 8).init(jax.random.key(0), (32, 32, 3))
    for unit, inputs in (("stem", 7 * 7 * 3), ("stage_4_block_1_conv_2", 3 * 3 * 64)):
        kernel = np.asarray(params[unit]["kernel"])
        # The standard error of a deviation is its 1 / sqrt(2 n).
        error = 4 / np.sqrt(2 * kernel.size)
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / inputs), rtol=error)
        np.testing.assert_array_equal(params[unit]["norm"]["scale"], 1)
        np.testing.assert_array_equal(params[unit]["norm"]["bias"], 0)
        np.testing.assert_array_equal(stats[unit]["norm"]["mean"], 0)
        np.testing.assert_array_equal(stats[unit]["norm"]["var"], 1)
    twins = (params[f"stage_1_block_1_conv_{number}"]["kernel"] for number in (1, 2))
    assert not np.array_equal(*twins)
    head = params["head"]["classes"]
    np.testing.assert_allclose(np.asarray(head["kernel"]).std(), 0.01, rtol=0.2)
    np.testing.assert_array_equal(head["bias"], 0)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.frozen import feature_program, features, on_frozen
from metabone.nets.network import Network
from metabone.nets.networks import conv_net, fully_connected, smi_net, vgg16


def _count(network: Network, shape) -> int:
    params = jax.eval_shape(lambda k: network.init(k, shape)[0], jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_vgg16_has_the_published_number_of_convolution_parameters():
    # Simonyan and Zisserman 2015: 14,714,688 weights and biases in thirteen convolutions.
    assert _count(vgg16(0, widths=()), (64, 64, 3)) == 14_714_688


def test_mamls_network_has_the_published_number_of_parameters():
    # Four blocks of 64 on 28x28x1: convolutions without bias, scale and offset, a linear layer.
    expected = 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64 + (64 * 5 + 5)
    assert _count(conv_net(5), (28, 28, 1)) == expected


def test_without_a_scale_a_batch_norm_is_one_whose_scale_is_one():
    """MAML's published code normalises so; its Omniglot network then has 4 x 64 numbers fewer."""
    settings = dict(blocks=2, filters=3, halvings=2)
    whole, less = (conv_net(0, norm_scale=each, **settings) for each in (True, False))
    images = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
    params, stats = whole.init(jax.random.key(0), (8, 8, 1))
    without, _ = less.init(jax.random.key(0), (8, 8, 1))
    assert {name: set(without[name]) for name in ("norm_0", "norm_1")} == {
        "norm_0": {"bias"},
        "norm_1": {"bias"},
    }
    for own in (True, False):
        expected, found = (
            network.apply(given, stats, images, own)[0]
            for network, given in ((whole, params), (less, without))
        )
        np.testing.assert_array_equal(found, expected)


def test_mamls_omniglot_network_classifies_the_mean_of_its_last_maps():
    # Its published code: strides leave 2x2 pixels, whose mean meets a 64x5 matrix.
    network = conv_net(5, downsample="stride", average=True)
    params, stats = network.init(jax.random.key(0), (28, 28, 1))
    images = jax.random.normal(jax.random.key(1), (6, 28, 28, 1))
    logits, _ = network.apply(params, stats, images, True)
    maps, _ = network.body(params, stats, images, True)
    assert maps.shape == (6, 2, 2, 64)
    last = params["head"]["classes"]
    assert last["kernel"].shape == (64, 5)
    expected = np.asarray(maps).mean((1, 2)) @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.head(params, maps), logits)


@pytest.mark.parametrize("downsample", ["stride", "pool"])
def test_the_seeds_network_sees_a_region_at_4x4_before_its_256_nodes(downsample):
    network = smi_net(5, filters=8, downsample=downsample)
    params, stats = jax.eval_shape(lambda k: network.init(k, (64, 64, 1)), jax.random.key(0))
    assert params["head"]["hidden_0"]["kernel"].shape == (4 * 4 * 8, 256)
    assert params["head"]["hidden_1"]["kernel"].shape == (256, 256)
    assert len([name for name in params if name.startswith("conv_")]) == 7
    logits, _ = jax.eval_shape(
        lambda p, s: network.apply(p, s, jnp.ones((3, 64, 64, 1)), True), params, stats
    )
    assert logits.shape == (3, 5)


def test_batch_statistics_are_those_of_the_batch_at_hand():
    network = conv_net(5, blocks=1, filters=4, halvings=0)
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    params, stats = network.init(jax.random.key(0), (8, 8, 1))
    by_batch, batch_stats = network.apply(params, stats, images, True)
    by_stored, unchanged = network.apply(params, batch_stats, images, False)
    np.testing.assert_allclose(by_batch, by_stored, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, unchanged, batch_stats)
    # An independent reference: the statistics of the convolution's own output.
    conv = jax.lax.conv_general_dilated(
        images,
        params["conv_0"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    found = batch_stats["norm_0"]
    np.testing.assert_allclose(found["mean"], conv.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(found["var"], conv.var((0, 1, 2)), rtol=1e-4)


def test_stored_features_equal_a_fresh_forward_pass():
    backbone = vgg16(0, width=1 / 16, widths=(), batch_norm=True)
    head = fully_connected(5, (16,))
    images = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 1), np.uint8)

    def prepare(x):
        return x.astype(jnp.float32) / 255

    network = on_frozen(backbone, head)
    weights, stats = jax.jit(lambda k: network.init(k, (32, 32, 1)))(jax.random.key(0))
    body = weights["backbone"]
    program = feature_program(backbone, prepare)
    stored = features(program, body["params"], body["norm_stats"], images, batch=2)
    assert stored.shape == (5, 1, 1, 32) and stored.dtype == np.float32
    through = jax.jit(network.apply, static_argnums=3)(weights, stats, prepare(images), True)[0]
    from_store = head.apply(weights["head"], {}, stored, True)[0]
    np.testing.assert_allclose(from_store, through, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conv_net(-1), r"classes \(=-1\)"),
        (lambda: conv_net(5, halvings=5), r"halvings \(=5\).*blocks \(=4\)"),
        (lambda: conv_net(5, downsample="avg"), "'avg'.*stride, pool"),
        (lambda: vgg16(5, width=0), r"width \(=0\)"),
    ],
)
def test_impossible_networks_are_refused_in_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()

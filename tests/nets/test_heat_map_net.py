import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.heat_map_net import heat_map_net


def test_width_16_has_about_half_a_million_weights():
    params, _ = jax.eval_shape(
        lambda key: heat_map_net(21).init(key, (64, 64, 1)), jax.random.key(0)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert 450_000 < count < 700_000


def test_maps_have_half_the_sides_and_one_channel_a_point():
    net = heat_map_net(5, width=2)

    def maps(key):
        params, stats = net.init(key, (32, 32, 1))
        return net.apply(params, stats, jnp.ones((2, 64, 96, 1)), False)[0]

    assert jax.eval_shape(maps, jax.random.key(0)).shape == (2, 32, 48, 5)


def test_a_moved_image_gives_moved_maps():
    net = heat_map_net(3, width=2, form="lax")
    image = np.zeros((1, 192, 192, 1), np.float32)
    image[0, 80:100, 80:90] = 1.0
    # By 32 pixels, what the coarsest level counts as one.
    both = np.concatenate([image, np.roll(image, 32, axis=2)])

    @jax.jit
    def maps(key):
        params, stats = net.init(key, (32, 32, 1))
        return net.apply(params, stats, jnp.asarray(both), False)[0]

    plain, moved = maps(jax.random.key(1))
    np.testing.assert_allclose(moved[40:56, 56:72], plain[40:56, 40:56], atol=1e-5)
    assert plain[40:56, 40:56].std() > 1e-5


def test_no_points_is_an_error():
    with pytest.raises(InputError, match=r"points \(=0\)"):
        heat_map_net(0)

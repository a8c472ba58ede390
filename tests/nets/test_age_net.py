"""The head of a bone age network equals the same computed by hand, in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.age_net import age_features, age_maps, age_net
from metabone.nets.film_nets import over_regions
from metabone.nets.network import Network
from metabone.nets.networks import conv_net

KEY = jax.random.key(0)
SHAPE = (4, 4, 1)


def small_body():
    return conv_net(0, blocks=1, filters=3, halvings=1, form="lax")


def as_they_are():
    """A body without parameters, whose maps are the images."""
    return Network(lambda key, shape: ({}, {}), lambda params, stats, images, use: (images, stats))


def with_row(images, sex):
    row = np.broadcast_to(
        np.reshape(sex, (-1, *(1,) * (images.ndim - 1))),
        (*images.shape[:-3], 1, *images.shape[-2:]),
    )
    return np.concatenate([images, row], axis=-3).astype(np.float32)


def films_of(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def dense(layer, inputs):
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    return inputs @ kernel + bias


def by_hand(head, features, sex):
    """The head of the 2017 winner, in float64."""
    known = np.maximum(dense(head["sex"], np.reshape(sex, (-1, 1))), 0)
    hidden = np.concatenate([features, known], axis=1)
    for name in ("hidden_0", "hidden_1"):
        hidden = np.maximum(dense(head[name], hidden), 0)
    return dense(head["age"], hidden)


def drawn(network, shape):
    """Parameters of the network in which no bias is zero; statistics are ones."""
    params, stats = jax.eval_shape(lambda: network.init(KEY, shape))
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), params)
    return params, jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), stats)


def test_the_head_is_that_of_the_winner_of_2017():
    network = age_net(small_body(), sex_width=5, widths=(6, 7))
    params, stats = drawn(network, (5, 4, 1))
    films, sex = films_of(3, *SHAPE), np.array([-1.0, 1.0, 0.0])
    own = {name: leaf for name, leaf in params.items() if name != "head"}
    maps, expected_stats = small_body().apply(own, stats, jnp.array(films), True)
    expected = by_hand(params["head"], np.asarray(maps, np.float64).mean((1, 2)), sex)
    look = jax.jit(network.apply, static_argnums=3)
    found, found_stats = look(params, stats, with_row(films, sex), True)
    assert found.shape == (3, 1) and np.ptp(expected) > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    same = partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(same, found_stats, expected_stats)


def test_its_published_widths_are_32_1000_1000_and_1():
    network = age_net(small_body())
    head = jax.eval_shape(lambda: network.init(KEY, (5, 4, 1)))[0]["head"]
    kernels = {name: layer["kernel"].shape for name, layer in head.items()}
    assert kernels == {
        "sex": (1, 32),
        "hidden_0": (3 + 32, 1000),
        "hidden_1": (1000, 1000),
        "age": (1000, 1),
    }


def test_its_first_answers_are_close_to_the_mean_age():
    network = age_net(as_they_are(), widths=(100, 100))
    films = with_row(films_of(8, *SHAPE), np.ones(8))

    @jax.jit
    def first_answers(films):
        return network.apply(*network.init(KEY, (5, 4, 1)), films, False)[0]

    found = np.abs(first_answers(films))
    assert 0 < found.max() < 0.2


def test_it_is_cut_before_its_head_where_sex_is_the_last_column():
    network = age_net(small_body(), sex_width=2, widths=(4,))
    params, stats = drawn(network, (5, 4, 1))
    sex = np.array([-1.0, 1.0, 0.0], np.float32)
    films = jnp.array(with_row(films_of(3, *SHAPE), sex))
    features, same_stats = network.body(params, stats, films, True)
    outputs, batch_stats = network.apply(params, stats, films, True)
    assert set(params) == {"conv_0", "norm_0", "head"} and features.shape == (3, 4)
    np.testing.assert_array_equal(features[:, -1], sex)
    np.testing.assert_array_equal(network.head(params, features), outputs)
    jax.tree.map(np.testing.assert_array_equal, batch_stats, same_stats)


def test_the_body_does_not_see_sex():
    network = age_net(as_they_are(), sex_width=2, widths=())
    films = films_of(2, *SHAPE)
    features, _ = network.body({}, {}, jnp.array(with_row(films, np.array([5.0, -5.0]))), False)
    np.testing.assert_allclose(features[:, 0], films.mean((1, 2, 3)), rtol=1e-5)


def test_without_a_width_sex_is_not_looked_at():
    network = age_net(as_they_are(), sex_width=0, widths=())
    params, stats = drawn(network, (5, 4, 1))
    films = films_of(2, *SHAPE)
    female, male = (
        network.apply(params, stats, jnp.array(with_row(films, sex * np.ones(2))), False)[0]
        for sex in (-1, 1)
    )
    assert set(params["head"]) == {"age"}
    np.testing.assert_array_equal(female, male)
    expected = dense(params["head"]["age"], films.mean((1, 2)))
    np.testing.assert_allclose(female, expected, rtol=1e-5)


def test_a_pool_of_pixels_keeps_where_things_are_and_drops_what_is_left_over():
    films = films_of(2, 5, 7, 3)
    expected = np.stack(
        [films[:, i : i + 2, j : j + 2].mean((1, 2)) for i in (0, 2) for j in (0, 2, 4)], axis=1
    )
    rowed = jnp.array(with_row(films, np.array([1.0, -1.0])))
    found = age_features(jnp.array(films), rowed, pool=2)
    np.testing.assert_allclose(found[:, :-1], expected.reshape(2, -1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:, -1], [1.0, -1.0])
    network = age_net(as_they_are(), sex_width=1, widths=(), pool=2)
    np.testing.assert_array_equal(network.body({}, {}, rowed, False)[0], found)


def test_regions_of_a_film_share_a_body_and_their_vectors_are_not_pooled():
    body = over_regions(small_body(), 2, average=True)
    network = age_net(body, sex_width=5, widths=(6, 7), pool=2)
    params, stats = drawn(network, (2, 5, 4, 1))
    films, sex = films_of(3, 2, *SHAPE), np.array([-1.0, 1.0, 0.0])
    own = {name: leaf for name, leaf in params.items() if name != "head"}
    each = [small_body().apply(own, stats, jnp.array(films[:, r]), False)[0] for r in (0, 1)]
    vectors = np.concatenate([np.asarray(maps).mean((1, 2)) for maps in each], axis=1)
    found, _ = network.apply(params, stats, jnp.array(with_row(films, sex)), False)
    expected = by_hand(params["head"], vectors, sex)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_maps_lead_to_the_same_answers():
    network = age_net(small_body(), sex_width=2, widths=(4,), pool=2)
    params, stats = drawn(network, (5, 4, 1))
    films = jnp.array(with_row(films_of(3, *SHAPE), np.array([-1.0, 1.0, 0.0])))
    maps = age_maps(small_body())(params, stats, films)
    assert maps.shape == (3, 2, 2, 3)
    answers = network.head(params, age_features(maps, films, pool=2))
    np.testing.assert_array_equal(answers, network.apply(params, stats, films, False)[0])


def test_maps_of_regions_are_those_of_each():
    films = jnp.array(with_row(films_of(2, 3, *SHAPE), np.array([-1.0, 1.0])))
    params, stats = drawn(small_body(), SHAPE)
    maps_of = age_maps(small_body())
    found = maps_of(params, stats, films)
    each = jnp.stack([maps_of(params, stats, films[:, r]) for r in range(3)], axis=1)
    np.testing.assert_allclose(found, each, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sex_width": -1}, "sex_width (=-1): expected 0 or more"),
        ({"widths": (4, 0)}, "widths (=(4, 0)): expected each at least 1"),
        ({"pool": 0}, "pool 0: expected 'mean' or a number of pixels, at least 1"),
        ({"pool": "max"}, "pool 'max': expected 'mean' or a number of pixels, at least 1"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings, message):
    with pytest.raises(InputError) as raised:
        age_net(small_body(), **settings)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("body", "pool", "shape", "message"),
    [
        (conv_net(2, blocks=1, filters=3, halvings=1), "mean", (5, 4, 1), "a head of its own"),
        (as_they_are(), 5, (5, 4, 1), "maps of 4x4 pixels: expected at least pool (=5)"),
        (as_they_are(), "mean", (2, 5, 4, 1), "features of shape (1, 2, 4, 4, 1)"),
        (as_they_are(), "mean", (1, 4, 1), "the last row what is known beside the image"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_used(body, pool, shape, message):
    with pytest.raises(InputError) as raised:
        jax.eval_shape(lambda: age_net(body, pool=pool).init(KEY, shape))
    assert message in str(raised.value)

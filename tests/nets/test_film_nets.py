"""A network over regions equals its body on each of them, put together by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.base import cross_entropy
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.maml import maml
from metabone.learners.ordinal import score_and_cuts
from metabone.nets.film_nets import over_regions
from metabone.nets.heads import with_head
from metabone.nets.networks import conv_net
from metabone.nets.stored_features import stored_features

KEY = jax.random.key(0)
REGIONS, WAYS = 2, 3
FILM = (REGIONS, 4, 4, 1)


def small_body():
    return conv_net(0, blocks=1, filters=2, halvings=1, downsample="stride", form="lax")


def films_of(count, seed=0):
    return jax.random.normal(jax.random.key(seed), (count, *FILM))


@pytest.mark.parametrize("average", [False, True])
def test_features_are_those_of_each_region_and_statistics_of_all(average):
    body, network = small_body(), over_regions(small_body(), REGIONS, average=average)
    params, stats = network.init(KEY, FILM)
    films = films_of(3)
    for use_batch_stats in (True, False):
        features, found = network.apply(params, stats, films, use_batch_stats)
        everything = jnp.concatenate([films[:, region] for region in range(REGIONS)])
        maps, expected = body.apply(params, stats, everything, use_batch_stats)
        maps = np.asarray(maps).reshape(REGIONS, 3, 2, 2, 2)
        parts = [each.mean((1, 2)) if average else each.reshape(3, -1) for each in maps]
        np.testing.assert_allclose(features, np.concatenate(parts, axis=-1), rtol=1e-5, atol=1e-6)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_one_region_is_the_plain_network():
    film = with_head(over_regions(small_body(), 1), WAYS, beside=0.2)
    plain = with_head(small_body(), WAYS, beside=0.2)
    params, stats = film.init(KEY, (1, 5, 4, 1))
    expected_params, expected_stats = plain.init(KEY, (5, 4, 1))
    jax.tree.map(np.testing.assert_array_equal, (params, stats), (expected_params, expected_stats))
    images = jax.random.normal(KEY, (3, 5, 4, 1))
    found, expected = (
        film.apply(params, stats, images[:, None], True),
        plain.apply(params, stats, images, True),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)


def test_what_is_known_of_a_film_is_joined_once():
    network = with_head(over_regions(stored_features(), REGIONS), 0, beside=0.5)
    films = films_of(3)
    rows = jnp.broadcast_to(jnp.array([-1.0, 0, 1]).reshape(3, 1, 1, 1, 1), (3, REGIONS, 1, 4, 1))
    features, _ = network.apply({}, {}, jnp.concatenate([films, rows], axis=2), False)
    expected = np.concatenate([films.reshape(3, -1), [[-0.5], [0], [0.5]]], axis=-1)
    np.testing.assert_array_equal(features, expected)


def test_slopes_are_those_of_finite_differences(x64):
    network = with_head(over_regions(small_body(), REGIONS), WAYS)
    params, stats = jax.tree.map(lambda leaf: leaf.astype(float), network.init(KEY, FILM))
    labels = jnp.array([0, 1, 2])

    def loss(params, films):
        outputs, _ = network.apply(params, stats, films, True)
        return cross_entropy(outputs, labels)

    check_grads(jax.jit(loss), (params, films_of(3)), order=1, modes=("rev",), eps=1e-6)


def learner_of(make):
    outputs = {maml: WAYS, score_and_cuts: 1}.get(make, 0)
    network = with_head(over_regions(small_body(), REGIONS, average=True), outputs, beside=0.1)
    if make is maml:
        return maml(network, inner_steps=1, test_steps=1)
    return make(network, WAYS)


@pytest.mark.parametrize("make", [maml, protonet, r2d2, score_and_cuts])
def test_learners_take_films_as_they_take_images(make):
    learner, shape = learner_of(make), (REGIONS, 5, 4, 1)
    labels = jnp.tile(jnp.arange(WAYS), 2)
    films = jax.random.normal(KEY, (2, 6, *shape))
    episode = Episode(Examples(films[0], labels), Examples(films[1], labels))
    start = learner.init(KEY, shape)

    @jax.jit
    def learned(start):
        gradient, _ = learner.meta_gradient(start, episode, KEY)
        return gradient, learner.predict(learner.adapt(start, episode.support, KEY), films[1])

    gradient, logits = learned(start)
    assert logits.shape == (6, WAYS) and np.isfinite(logits).all()
    assert np.asarray(gradient.weights["conv_0"]["kernel"]).any()


def test_films_of_other_regions_are_refused():
    network = over_regions(conv_net(0), 6)
    with pytest.raises(InputError, match=r"shape \(5, 64, 64, 1\): expected 6 regions"):
        network.init(KEY, (5, 64, 64, 1))
    with pytest.raises(InputError, match=r"shape \(64, 64, 1\): expected 6 regions"):
        network.apply({}, {}, jnp.zeros((2, 64, 64, 1)), False)
    with pytest.raises(InputError, match=r"regions \(=0\)"):
        over_regions(conv_net(0), 0)

"""A head on a body equals the two by hand, whatever is known beside the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.sampling import scale
from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.ordinal import score_and_cuts
from metabone.learners.variants import anil
from metabone.nets.heads import with_head
from metabone.nets.hog import hog_net
from metabone.nets.networks import conv_net, smi_net
from metabone.nets.stored_features import stored_features
from metabone.radiograph.sex import with_sex_row

KEY = jax.random.key(0)
SHAPE = (4, 4, 1)


def small_body():
    return conv_net(0, blocks=1, filters=3, halvings=1, form="lax")


def images_of(count, seed=0):
    return jax.random.normal(jax.random.key(seed), (count, *SHAPE))


def with_row(images, known):
    row = jnp.broadcast_to(known[:, None, None, None], (len(images), 1, *images.shape[2:]))
    return jnp.concatenate([images, row], axis=1)


@pytest.mark.parametrize("average", [False, True])
def test_a_linear_head_is_that_of_the_network_made_in_one(average):
    whole = conv_net(5, blocks=1, filters=3, halvings=1, form="lax", average=average)
    made = with_head(small_body(), 5, average=average)
    params, stats = made.init(KEY, SHAPE)
    expected_shapes = jax.eval_shape(lambda: whole.init(KEY, SHAPE))
    found_shapes = jax.eval_shape(lambda: (params, stats))
    assert found_shapes == expected_shapes
    images = images_of(6)
    for use_batch_stats in (True, False):
        found, expected = (
            net.apply(params, stats, images, use_batch_stats) for net in (made, whole)
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


@pytest.mark.parametrize("ordinal", [False, True])
def test_it_is_cut_before_its_head(ordinal):
    network = with_head(small_body(), 5, (4,), ordinal=ordinal, average=True, beside=0.5)
    params, stats = network.init(KEY, (5, 4, 1))
    assert set(params) == {"conv_0", "norm_0", "head"}
    images = with_row(images_of(6), jnp.ones(6))
    outputs, batch_stats = network.apply(params, stats, images, True)
    features, same_stats = network.body(params, stats, images, True)
    assert features.shape == (6, 4)
    np.testing.assert_allclose(network.head(params, features), outputs, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, batch_stats, same_stats)
    if ordinal:
        np.testing.assert_allclose(jnp.exp(outputs).sum(-1), 1, rtol=1e-5)


def test_the_row_is_one_more_feature_and_the_body_does_not_see_it():
    body = small_body()
    network = with_head(body, 2, beside=0.3)
    params, stats = network.init(KEY, (5, 4, 1))
    images, known = images_of(3), jnp.array([-1.0, 0.0, 1.0])
    own = {name: leaf for name, leaf in params.items() if name != "head"}
    maps, expected_stats = body.apply(own, stats, images, True)
    features = np.concatenate([np.reshape(maps, (3, -1)), 0.3 * known[:, None]], axis=-1)
    head = params["head"]["classes"]
    outputs, found_stats = network.apply(params, stats, with_row(images, known), True)
    np.testing.assert_allclose(outputs, features @ head["kernel"] + head["bias"], rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, found_stats, expected_stats)


def test_without_a_last_layer_the_features_are_the_output():
    network = with_head(small_body(), 0, average=True, beside=2.0)
    params, stats = network.init(KEY, (5, 4, 1))
    assert set(params) == {"conv_0", "norm_0"} and network.head is None
    images = images_of(3)
    outputs, _ = network.apply(params, stats, with_row(images, jnp.ones(3)), False)
    expected = small_body().apply(params, stats, images, False)[0].mean((1, 2))
    np.testing.assert_allclose(outputs[:, :-1], expected, rtol=1e-6)
    np.testing.assert_array_equal(outputs[:, -1], 2.0)
    hidden = with_head(small_body(), 0, (7,))
    assert jax.eval_shape(lambda: hidden.init(KEY, SHAPE))[0]["head"].keys() == {"hidden_0"}


def test_sex_below_an_image_reaches_the_head_from_uint8():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    network = with_head(hog_net(4), 0, beside=0.1)
    images = scale(jnp.array(with_sex_row(pixels, np.array(["F", "M", ""]))))
    features, _ = network.apply({}, {}, images, False)
    np.testing.assert_allclose(features[:, -1], [-0.1, 0.1, 0.1 / 255], rtol=1e-4)
    expected = hog_net(4).apply({}, {}, scale(jnp.array(pixels)), False)[0]
    np.testing.assert_array_equal(features[:, :-1], expected)


def ordered_task():
    labels = jnp.tile(jnp.arange(3), 2)
    sides = Examples(with_row(images_of(6), jnp.ones(6)), labels)
    return Episode(sides, Examples(with_row(images_of(6, 1), -jnp.ones(6)), labels))


def test_learners_of_the_head_alone_look_at_the_images_once():
    seen = []
    body = small_body()

    def counted(*given):
        seen.append(given[3])
        return body.apply(*given)

    network = with_head(body._replace(apply=counted), 3, ordinal=True, beside=1.0)
    learner = anil(network, inner_steps=3)
    start, episode = learner.init(KEY, (5, 4, 1)), ordered_task()
    seen.clear()
    gradient, _ = jax.jit(learner.meta_gradient)(start, episode, KEY)
    assert seen == [True, False]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.asarray(gradient.weights["conv_0"]["kernel"]).any()


def test_a_score_of_one_output_takes_cut_points():
    learner = score_and_cuts(with_head(small_body(), 1, beside=1.0), 3)
    start, episode = learner.init(KEY, (5, 4, 1)), ordered_task()
    logits = jax.jit(
        lambda start: learner.predict(
            learner.adapt(start, episode.support, KEY), episode.query.images
        )
    )(start)
    assert logits.shape == (6, 3) and np.isfinite(logits).all()


def test_bodies_of_no_parameters_and_of_the_paper_take_it():
    features = with_head(stored_features(), 4, (6,))
    params, stats = features.init(KEY, (2, 3))
    assert params["head"]["hidden_0"]["kernel"].shape == (6, 6) and stats == {}
    paper = with_head(smi_net(0, filters=2, widths=()), 4, (8,), ordinal=True)
    shapes = jax.eval_shape(lambda: paper.init(KEY, (64, 64, 1)))[0]
    assert shapes["head"]["hidden"]["hidden_0"]["kernel"].shape == (4 * 4 * 2, 8)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"ways \(=1\): expected at least 2"):
        with_head(small_body(), 1, ordinal=True)
    with pytest.raises(InputError, match=r"ways \(=-1\): expected at least 0"):
        with_head(small_body(), -1)
    with pytest.raises(InputError, match="has a head of its own"):
        with_head(conv_net(3, blocks=1, filters=1, halvings=1), 2).init(KEY, SHAPE)
    with pytest.raises(InputError, match=r"features of shape \(1, 36\): expected maps"):
        with_head(hog_net(2), 2, average=True).init(KEY, SHAPE)
    with pytest.raises(InputError, match="the last row what is known"):
        with_head(stored_features(), 2, beside=1.0).init(KEY, (7,))

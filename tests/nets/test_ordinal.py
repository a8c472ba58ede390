"""Proportional odds against its definition in high precision, and in learners as any other head."""

from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.learners.base import cross_entropy
from metabone.learners.maml import maml
from metabone.learners.reptile import reptile
from metabone.learners.transfer import fine_tune, scratch
from metabone.learners.variants import anil
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.ordinal import (
    cut_points,
    even_cuts,
    ordinal_log_probabilities,
)
from metabone.nets.stored_features import stored_features

KEY = jax.random.key(0)


def log_probability(score, cuts, k):
    """log(sigmoid(cuts_k - score) - sigmoid(cuts_(k-1) - score)), to 120 digits."""
    with localcontext() as context:
        context.prec = 120

        def at_most(index):
            if index < 0 or index == len(cuts):
                return Decimal(int(index >= 0))
            return 1 / (1 + (Decimal(float(score)) - Decimal(float(cuts[index]))).exp())

        return float((at_most(k) - at_most(k - 1)).ln())


def test_log_probabilities_are_right_however_far_the_score():
    scores = np.array([-80, -20, -1.5, 0, 0.3, 7, 40, 90], np.float32)
    cuts = np.array([-2, -1.75, 0.5, 30], np.float32)
    found = ordinal_log_probabilities(jnp.array(scores), jnp.array(cuts))
    expected = [[log_probability(score, cuts, k) for k in range(5)] for score in scores]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(jax.nn.logsumexp(found, axis=-1), 0, atol=1e-5)


def test_slopes_are_those_of_finite_differences(x64):
    rng = np.random.default_rng(0)
    scores, labels = jnp.array(rng.normal(size=6) * 3), jnp.array([0, 1, 2, 3, 3, 1])
    start = {"scores": scores, "first": jnp.array(-1.0), "gaps": jnp.array([-3.0, 0.5])}

    def loss(tree):
        cuts = cut_points(tree["first"], tree["gaps"])
        return cross_entropy(ordinal_log_probabilities(tree["scores"], *cuts), labels)

    jax.test_util.check_grads(
        jax.jit(loss), (start,), order=2, modes=("rev",), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("score", [-1e4, 1e4])
@pytest.mark.parametrize("gap", [-200.0, 200.0])
def test_values_and_slopes_stay_finite_where_steps_went_too_far(score, gap):
    def loss(score, first, gaps):
        cuts = cut_points(first, gaps)
        return cross_entropy(ordinal_log_probabilities(score[None], *cuts), jnp.array([1]))

    given = jnp.array(score), jnp.array(0.5), jnp.array([gap, gap])
    value, slopes = jax.value_and_grad(loss, argnums=(0, 1, 2))(*given)
    assert np.isfinite(value) and all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("ways", [2, 3, 5])
def test_classes_are_equally_likely_before_anything_is_learned(ways):
    cuts, distances = cut_points(*map(jnp.array, even_cuts(ways)))
    assert cuts.shape == (ways - 1,)
    shares = jnp.exp(ordinal_log_probabilities(jnp.zeros(2), cuts, distances))
    np.testing.assert_allclose(shares, 1 / ways, rtol=1e-5)


def plain_body():
    """Features as they are, with a layer that can adapt."""

    def apply(params, norm_stats, images, use_batch_stats):
        return images * params["layer"]["scale"], norm_stats

    return Network(lambda key, shape: ({"layer": {"scale": jnp.ones(shape)}}, {}), apply)


def ordered_task(shape, seed=0):
    """Images whose brightness grows with the class."""
    rng = np.random.default_rng(seed)

    def examples(each):
        labels = np.repeat(np.arange(4, dtype=np.int32), each)
        images = (
            labels.reshape(-1, *(1,) * len(shape)) - 1.5 + 0.1 * rng.normal(size=(4 * each, *shape))
        )
        return Examples(jnp.array(images, jnp.float32), jnp.array(labels))

    return Episode(examples(3), examples(4))


@pytest.mark.parametrize("make", [maml, anil, reptile, fine_tune, scratch])
def test_learners_adapt_it_as_any_other_head(make):
    if make in (maml, anil):
        settings = {"inner_rate": 0.3, "inner_steps": 1, "test_steps": 60}
    elif make is reptile:
        settings = {"optimizer": optax.adam(0.1), "inner_batch": 12, "test_steps": 60}
    else:
        settings = {"optimizer": optax.adam(0.1), "steps": 60}
    network = with_head(plain_body(), 4, ordinal=True)
    learner, episode = make(network, **settings), ordered_task((3,))
    params = learner.init(KEY, (3,))
    if make is anil:  # through the body and the head; others differ in what they do with it
        gradient, metrics = learner.meta_gradient(params, episode, KEY)
        assert np.isfinite(metrics["loss"])
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        assert float(optax.tree.norm(gradient)) > 0
    adapted = learner.adapt(params, episode.support, KEY)
    logits = learner.predict(adapted, episode.query.images)
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-5)
    assert (logits.argmax(-1) == episode.query.labels).mean() > 0.9
    # One score orders all: of a class far away it is never surer than of one that is nearer.
    lowest = logits[np.asarray(episode.query.labels) == 0]
    assert (jnp.diff(lowest, axis=-1) < 0).all()


def test_two_classes_are_those_of_logistic_regression():
    network = with_head(stored_features(), 2, ordinal=True)
    params, _ = network.init(KEY, (3,))
    assert set(params["head"]) == {"score", "first_cut"}  # no empty array to trip over
    features = jax.random.normal(KEY, (5, 3))
    outputs = network.apply(params, {}, features, False)[0]
    odds = features @ params["head"]["score"]["kernel"][:, 0] - params["head"]["first_cut"]
    np.testing.assert_allclose(jnp.diff(outputs)[:, 0], odds, rtol=1e-5, atol=1e-7)

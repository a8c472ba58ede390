"""The logistic head against scikit-learn's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.logistic import logistic_head
from metabone.nets.network import Network
from metabone.nets.networks import conv_net

KEY = jax.random.key(0)


@pytest.mark.parametrize("unit", [False, True])
def test_it_solves_scikit_learns_problem(x64, unit):
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    features = rng.normal(size=(12, 5)) + 2 * rng.normal(size=(3, 5))[labels]
    queries = rng.normal(size=(20, 5))
    network = Network(lambda key, shape: ({}, {}), lambda p, s, images, batch: (images, s))
    learner = logistic_head(network, 3, strength=0.05, unit=unit)

    def scaled(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows

    reference = LogisticRegression(C=1 / (0.05 * 12), tol=1e-10, max_iter=1000)
    reference.fit(scaled(features), labels)
    adapted = learner.adapt(
        learner.init(KEY, (5,)), Examples(jnp.array(features), jnp.array(labels)), KEY
    )
    shares = jax.nn.softmax(learner.predict(adapted, jnp.array(queries)))
    np.testing.assert_allclose(shares, reference.predict_proba(scaled(queries)), atol=1e-4)


@pytest.mark.parametrize("norm", ["inductive", "running"])
def test_features_are_normalised_by_the_statistics_that_the_norm_mode_names(x64, norm):
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 3
    support = rng.normal(size=(12, 5)) + 2 * rng.normal(size=(3, 5))[labels]
    queries = rng.normal(size=(20, 5)) + 1

    def apply(params, stats, images, use_batch_stats):
        if use_batch_stats:
            stats = {"mean": images.mean(0), "std": images.std(0)}
        return (images - stats["mean"]) / stats["std"], stats

    stored = {"mean": rng.normal(size=5), "std": rng.uniform(0.5, 2, size=5)}
    network = Network(lambda key, shape: ({}, jax.tree.map(jnp.array, stored)), apply)
    settings = dict(strength=0.05, unit=False)
    learner = logistic_head(network, 3, norm=norm, **settings)
    adapted = learner.adapt(
        learner.init(KEY, (5,)), Examples(jnp.array(support), jnp.array(labels)), KEY
    )
    own = {"mean": support.mean(0), "std": support.std(0)}
    by = stored if norm == "running" else own
    reference = LogisticRegression(C=1 / (0.05 * 12), tol=1e-10, max_iter=1000)
    reference.fit((support - by["mean"]) / by["std"], labels)
    answers = [(learner, by)]
    if norm == "inductive":
        # What has adapted is the same to a learner that is asked transductively.
        of_queries = {"mean": queries.mean(0), "std": queries.std(0)}
        answers.append((logistic_head(network, 3, norm="transductive", **settings), of_queries))
    for asked, stats in answers:
        shares = jax.nn.softmax(asked.predict(adapted, jnp.array(queries)))
        expected = reference.predict_proba((queries - stats["mean"]) / stats["std"])
        np.testing.assert_allclose(shares, expected, atol=1e-3)


def test_features_of_nothing_stay_nothing():
    network = Network(lambda key, shape: ({}, {}), lambda p, s, images, batch: (0 * images, s))
    learner = logistic_head(network, 2, steps=3)
    examples = Examples(jnp.ones((4, 5)), jnp.arange(4) % 2)
    adapted = learner.adapt(learner.init(KEY, (5,)), examples, KEY)
    np.testing.assert_allclose(learner.predict(adapted, examples.images), 0, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"ways": 1}, {"strength": 0.0}, {"steps": -1}, {"norm": "own"}]
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        logistic_head(conv_net(0), **{"ways": 5} | settings)

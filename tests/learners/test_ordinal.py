"""Ordinal learners against scikit-learn's, SciPy's and finite differences' answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.embedding import EmbeddingParams
from metabone.learners.ordinal import (
    fit_cuts,
    ordinal_head,
    score_and_cuts,
    scores_left_out,
)
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.ordinal import cut_points

KEY = jax.random.key(0)
AS_THEY_ARE = Network(lambda key, shape: ({}, {}), lambda p, s, images, batch: (images, s))
LINEAR = Network(
    lambda key, shape: ({"kernel": jnp.ones((*shape, 1))}, {}),
    lambda p, s, images, batch: (images @ p["kernel"], s),
)


def features_of(ways, each, rng):
    labels = np.repeat(np.arange(ways), each)
    maturity = labels + rng.normal(0, 0.6, len(labels))
    features = rng.normal(size=(len(labels), 4)) + 2 + maturity[:, None] * [1, 0.5, 0, -0.2]
    return features * [1, 20, 3, 0.1], labels


def shares_of(learner, features, labels, queries):
    support = Examples(jnp.array(features), jnp.array(labels))
    adapted = jax.jit(learner.adapt)(learner.init(KEY, features.shape[1:]), support, KEY)
    return np.exp(learner.predict(adapted, jnp.array(queries)))


def proportional_odds(features, labels, strength, ways):
    """The same problem in SciPy: differences of sigmoids, slopes by finite differences."""

    def probabilities(at, rows):
        weights, cuts = at[: features.shape[1]], at[features.shape[1] :].copy()
        cuts[1:] = cuts[0] + np.cumsum(np.exp(cuts[1:]))
        at_most = expit(cuts - (rows @ weights)[:, None])
        return np.diff(at_most, prepend=0, append=1, axis=1)

    def objective(at):
        told = probabilities(at, features)[np.arange(len(labels)), labels]
        return -np.log(told).mean() + strength / 2 * np.sum(at[: features.shape[1]] ** 2)

    start = np.concatenate([np.zeros(features.shape[1]), [-1.0], np.zeros(ways - 2)])
    found = minimize(objective, start, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
    return lambda rows: probabilities(found.x, rows)


@pytest.mark.parametrize(("scaling", "beside"), [("none", 0), ("total", 1), ("each", 1)])
def test_the_head_solves_scipys_problem(x64, scaling, beside):
    rng = np.random.default_rng(0)
    features, labels = features_of(4, 6, rng)
    queries = features_of(4, 5, rng)[0]
    learner = ordinal_head(
        AS_THEY_ARE, 4, strength=0.05, steps=500, scaling=scaling, beside=beside, left_out=False
    )
    spread = features.std(0)
    by = {"none": np.ones(4), "each": spread, "total": np.full(4, np.sqrt(np.sum(spread[:3] ** 2)))}
    scale = by[scaling]
    if beside:
        scale[-1] = 1.0
    expected = proportional_odds(features / scale, labels, 0.05, 4)(queries / scale)
    np.testing.assert_allclose(shares_of(learner, features, labels, queries), expected, atol=2e-4)


def test_of_two_classes_it_is_scikit_learns_logistic_regression(x64):
    rng = np.random.default_rng(1)
    features, labels = features_of(2, 8, rng)
    features = features / features.std(0)
    queries = features_of(2, 5, rng)[0]
    learner = ordinal_head(AS_THEY_ARE, 2, strength=0.02, steps=500, scaling="none", left_out=False)
    reference = LogisticRegression(C=1 / (0.02 * 16), tol=1e-10, max_iter=2000)
    expected = reference.fit(features, labels).predict_proba(queries)
    np.testing.assert_allclose(shares_of(learner, features, labels, queries), expected, atol=1e-4)


def test_a_feature_that_the_support_set_does_not_vary_in_is_not_blown_up():
    rng = np.random.default_rng(2)
    features, labels = features_of(3, 5, rng)
    features[:, 3] = 1.0
    queries = features.copy()
    queries[:, 3] = 2.0
    learner = ordinal_head(AS_THEY_ARE, 3, scaling="each")
    features, queries = features.astype(np.float32), queries.astype(np.float32)
    shares = shares_of(learner, features, labels, np.concatenate([features, queries]))
    np.testing.assert_allclose(shares[:15], shares[15:], atol=1e-5)


def test_scores_left_out_are_those_of_weights_fitted_to_the_others(x64):
    rng = np.random.default_rng(6)
    features, labels = features_of(3, 5, rng)
    features = (features - features.mean(0)) / features.std(0)
    strength, count = 0.05, len(labels)
    learner = ordinal_head(
        AS_THEY_ARE, 3, strength=strength, steps=500, scaling="none", left_out=False
    )
    support = Examples(jnp.array(features), jnp.array(labels))
    head = jax.jit(learner.adapt)(learner.init(KEY, (4,)), support, KEY).head
    given = {name: head[name] for name in ("weights", "first_cut", "gaps")}
    # The head centres features, which moves all scores and cut points alike.
    rows = features - np.asarray(head["shift"])
    found = np.asarray(scores_left_out(given, jnp.array(rows), support.labels, strength))
    cuts = np.asarray(cut_points(head["first_cut"], head["gaps"])[0])

    def objective(weights, others):
        at_most = expit(cuts - (rows @ weights)[:, None])
        told = np.diff(at_most, prepend=0, append=1, axis=1)[np.arange(count), labels]
        return -np.log(told[others]).sum() / count + strength / 2 * np.sum(weights**2)

    exact = []
    for place in range(count):
        others = np.arange(count) != place
        fitted = minimize(objective, np.zeros(4), (others,), method="BFGS")
        exact.append(rows[place] @ fitted.x)
    # One Newton step goes nearly all of the way from the image's own score.
    missed, far = np.abs(found - exact), np.abs(rows @ np.asarray(head["weights"]) - exact)
    assert missed.max() < 0.15 * far.max() and missed.mean() < 0.05 * far.mean()


def test_with_more_features_than_images_not_all_is_of_a_middle_class():
    rng = np.random.default_rng(7)

    def images(each):
        labels = np.repeat(np.arange(5), each)
        features = rng.normal(size=(5 * each, 1000))
        features[:, 0] += 5 * (labels - 2)
        return features.astype(np.float32), labels

    (features, labels), (queries, truth) = images(5), images(40)
    told = {
        left_out: shares_of(
            ordinal_head(AS_THEY_ARE, 5, left_out=left_out), features, labels, queries
        ).argmax(-1)
        for left_out in (False, True)
    }
    ends = np.isin(truth, (0, 4))
    assert (told[False] == truth)[ends].mean() < 0.1 < 0.8 < (told[True] == truth)[ends].mean()
    assert (told[False] == truth).mean() < 0.6 < 0.8 < (told[True] == truth).mean()


def test_cuts_solve_their_equations_and_differ_as_implicit_functions_do(x64):
    rng = np.random.default_rng(3)
    scores, above = rng.normal(0, 4, 15), np.array([0.8, 0.6, 0.2])
    cuts = fit_cuts(jnp.array(scores), jnp.array(above))
    expected = [brentq(lambda c, a=a: expit(scores - c).mean() - a, -50, 50) for a in above]
    np.testing.assert_allclose(cuts, expected, atol=1e-9)
    assert (np.diff(cuts) > 0).all()
    weight = expit(scores[:, None] - cuts) * expit(cuts - scores[:, None])
    slopes = jax.jacobian(fit_cuts)(jnp.array(scores), jnp.array(above))
    np.testing.assert_allclose(slopes, (weight / weight.sum(0)).T, atol=1e-8)


@pytest.mark.parametrize("spread", [0.0, 1e-3, 1e3])
def test_cuts_of_any_scores_are_finite_and_so_are_their_slopes(spread):
    scores = spread * jnp.linspace(-1, 1, 10)
    above = jnp.array([0.8, 0.5, 0.1])
    cuts, slopes = fit_cuts(scores, above), jax.jacobian(fit_cuts)(scores, above)
    assert np.isfinite(cuts).all() and np.isfinite(slopes).all()
    means = jax.nn.sigmoid(scores[:, None] - cuts).mean(0)
    np.testing.assert_allclose(means, above, atol=2e-3)


def task(rng):
    features, labels = features_of(3, 4, rng)
    queries, truth = features_of(3, 3, rng)
    scale = features.std(0)
    return Episode(
        Examples(jnp.array(features / scale), jnp.array(labels)),
        Examples(jnp.array(queries / scale), jnp.array(truth)),
    )


def test_the_scores_slope_is_that_of_finite_differences(x64):
    learner, episode = score_and_cuts(LINEAR, 3), task(np.random.default_rng(4))
    kernel = jnp.array([[0.7], [0.4], [0.1], [-0.3]])
    params = EmbeddingParams({"kernel": kernel}, {}, {"log_slope": jnp.array(0.2)})

    @jax.jit
    def loss(params):
        return learner.meta_gradient(params, episode, KEY)[1]["loss"]

    gradient, _ = jax.jit(learner.meta_gradient)(params, episode, KEY)
    step = 1e-5
    for leaf in range(4):
        moved = [
            params._replace(weights={"kernel": kernel.at[leaf].add(sign * step)})
            for sign in (1, -1)
        ]
        by_differences = (loss(moved[0]) - loss(moved[1])) / (2 * step)
        np.testing.assert_allclose(gradient.weights["kernel"][leaf, 0], by_differences, rtol=1e-5)
    moved = [params._replace(head={"log_slope": jnp.array(0.2 + sign * step)}) for sign in (1, -1)]
    by_differences = (loss(moved[0]) - loss(moved[1])) / (2 * step)
    np.testing.assert_allclose(gradient.head["log_slope"], by_differences, rtol=1e-5)


def test_adaptation_moves_the_cut_points_alone():
    learner = score_and_cuts(LINEAR, 3)
    episode = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float32 if leaf.ndim > 1 else jnp.int32),
        task(np.random.default_rng(5)),
    )
    params = learner.init(KEY, (4,))
    adapted = learner.adapt(params, episode.support, KEY)
    assert (
        adapted.weights is params.weights
        or (adapted.weights["kernel"] == params.weights["kernel"]).all()
    )
    assert adapted.head["cuts"].shape == (2,) and adapted.head["slope"] == 1
    logits = learner.predict(adapted, episode.query.images)
    # All scores one further, support's and queries': the cuts follow.
    moved = Episode(*(part._replace(images=part.images + 0.25) for part in episode))
    again = learner.adapt(params, moved.support, KEY)
    np.testing.assert_allclose(
        learner.predict(again, moved.query.images), logits, rtol=1e-3, atol=1e-3
    )
    order = np.argsort(np.asarray(episode.query.images @ params.weights["kernel"])[:, 0])
    assert (np.diff(np.asarray(logits.argmax(-1))[order]) >= 0).all()


@pytest.mark.parametrize(
    "settings",
    [{"ways": 1}, {"strength": 0.0}, {"steps": -1}, {"beside": -1}, {"scaling": "unit"}],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        ordinal_head(conv_net(0), **{"ways": 5} | settings)


def test_networks_that_do_not_fit_are_refused():
    support = Examples(jnp.ones((4, 2)), jnp.arange(4) % 2)
    head = ordinal_head(AS_THEY_ARE, 2, beside=2)
    with pytest.raises(InputError, match=r"beside \(=2\) of 2 features"):
        head.adapt(head.init(KEY, (2,)), support, KEY)
    cuts = score_and_cuts(AS_THEY_ARE, 2)
    with pytest.raises(InputError, match=r"one output, and this one has 2, such as conv_net\(1\)"):
        cuts.adapt(cuts.init(KEY, (2,)), support, KEY)
    with pytest.raises(InputError, match=r"ways \(=1\)"):
        score_and_cuts(conv_net(1), 1)

"""The probes against scikit-learn, SciPy, loops over left-out images, and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.linear_model import Ridge, RidgeCV

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.ordinal_probe import fit_ordinal_probe, ordinal_probe, ordinal_probe_logits
from metabone.learners.probe import (
    LOG_STRENGTHS,
    fit_probe,
    meta_probe,
    probe,
    probe_logits,
    whitening_of,
)
from metabone.learners.ridge import left_out_by_strength, ridge_fit
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.stored_features import stored_features

KEY = jax.random.key(0)
FIT = jax.jit(fit_probe, static_argnums=2)
FIT_ORDINAL = jax.jit(fit_ordinal_probe, static_argnums=2)
STRENGTHS = 10.0 ** np.array(LOG_STRENGTHS)


def _task(ways=3, each=4, width=20, apart=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(ways), each))[: ways * each - 1]
    centres = apart * rng.normal(size=(ways, width))
    return centres[labels] + rng.normal(size=(len(labels), width)) + 2, labels


def _unit(features):
    return np.square(features - features.mean(0)).sum(-1).mean()


def _left_out(features, targets, strength):
    """Fits the others for each image; what is said beyond the mean of their targets."""
    said = np.empty_like(targets)
    for row in range(len(targets)):
        others = np.arange(len(targets)) != row
        ridge = Ridge(alpha=strength * _unit(features), solver="svd")
        ridge.fit(features[others], targets[others])
        said[row] = ridge.predict(features[row : row + 1])[0] - targets[others].mean(0)
    return said


def _targets(labels, ways):
    members = np.eye(ways)[labels]
    return members / members.mean(0) - 1


def _support(features, labels):
    return Examples(jnp.array(features), jnp.array(labels))


@pytest.mark.parametrize("width", [5, 30], ids=["fewer_features", "fewer_images"])
def test_images_left_out_are_told_what_fits_of_the_others_tell(x64, width):
    features, labels = _task(width=width)
    targets = _targets(labels, 3)
    found = jax.jit(left_out_by_strength)(features, targets, STRENGTHS)
    for strength, each in zip(STRENGTHS, found, strict=True):
        expected = _left_out(features, targets, strength)
        np.testing.assert_allclose(each, expected, rtol=1e-6, atol=1e-9)
    cv = RidgeCV(STRENGTHS * _unit(features), store_cv_results=True).fit(features, targets)
    with_mean = found - targets / (len(labels) - 1)
    squares = np.moveaxis(np.square(with_mean - targets), 0, -1)
    np.testing.assert_allclose(squares, cv.cv_results_, rtol=1e-6)

    fit = jax.jit(ridge_fit)(features, targets, STRENGTHS[4])
    np.testing.assert_allclose(fit.left_out, found[4], rtol=1e-8, atol=1e-10)
    ridge = Ridge(alpha=STRENGTHS[4] * _unit(features)).fit(features, targets)
    np.testing.assert_allclose(fit.weights, ridge.coef_.T, rtol=1e-8)


def test_the_probe_chooses_what_a_search_over_left_out_images_chooses(x64):
    features, labels = _task(apart=0.5)
    queries = _task(apart=0.5, seed=1)[0]
    targets, members = _targets(labels, 3), np.eye(3)[labels]
    shares = members.mean(0)

    def searched(left_out):
        def loss(log_sharpness):
            logs = log_softmax(np.log(shares) + np.exp(log_sharpness) * left_out, axis=-1)
            return (log_sharpness / 0.7) ** 2 / 2 - (members * logs).sum()

        found = minimize_scalar(loss, bounds=(-4, 5), method="bounded", options={"xatol": 1e-10})
        return found.x, found.fun

    tried = [searched(_left_out(features, targets, strength)) for strength in STRENGTHS]
    losses = [
        loss + (log - 1) ** 2 / 2 for (_, loss), log in zip(tried, LOG_STRENGTHS, strict=True)
    ]
    best = int(np.argmin(losses))
    assert 0 < best < len(STRENGTHS) - 1
    head = FIT(features, labels, 3)
    assert head["log_strength"] == LOG_STRENGTHS[best]
    np.testing.assert_allclose(head["log_sharpness"], tried[best][0], atol=1e-6)
    ridge = Ridge(alpha=STRENGTHS[best] * _unit(features)).fit(features, targets)
    expected = np.log(shares) + np.exp(tried[best][0]) * ridge.predict(queries)
    np.testing.assert_allclose(probe_logits(queries, head), expected, atol=1e-5)


def test_of_one_image_a_class_the_prior_decides(x64):
    features = _task(ways=2, each=2)[0]
    head = FIT(features, np.arange(3), 3)
    assert (head["log_strength"], head["log_sharpness"]) == (1.0, 0.0)


def test_labels_that_are_noise_are_told_with_the_shares_of_the_classes():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(3, 60, 40)), np.repeat([0, 1], [40, 20])
    heads = jax.jit(jax.vmap(lambda each: fit_probe(each, labels, 2)))(np.float32(features))
    said = jax.nn.softmax(jax.vmap(probe_logits, (None, 0))(jnp.float32(features[::-1][0]), heads))
    np.testing.assert_allclose(said[:2].mean((0, 1)), [2 / 3, 1 / 3], atol=0.03)
    assert np.abs(said[:2] - np.array([2 / 3, 1 / 3])).max() < 0.25


def test_features_are_whitened_by_the_source_and_then_of_length_one(x64):
    features, labels = _task(width=6)
    source = np.random.default_rng(2).normal(3, [1, 2, 3, 4, 5, 0], (50, 6))
    variance = source.var(0)
    white = (features - source.mean(0)) / np.sqrt(variance + 0.01 * variance.mean())
    white /= np.linalg.norm(white, axis=-1, keepdims=True)
    learner = probe(stored_features(), 3, whitening=whitening_of(source))
    adapted = jax.jit(learner.adapt)(learner.init(KEY, (6,)), _support(features, labels), KEY)
    plain = FIT(white, labels, 3)
    np.testing.assert_allclose(
        learner.predict(adapted, jnp.array(features)), probe_logits(white, plain), atol=1e-10
    )


def test_batch_norms_are_the_trainings_own_the_supports_or_the_queries():
    features, labels = np.float32(_task(width=6)[0]), _task(width=6)[1]
    asked = features[::-1] * 2

    def apply(params, stats, images, own):
        mean = images.mean(0) if own else stats["mean"]
        return images - mean, {"mean": mean}

    network = Network(lambda key, shape: ({}, {"mean": jnp.ones(shape)}), apply)
    for norm, seen, met in (
        ("running", features - 1, asked - 1),
        ("inductive", features - features.mean(0), asked - features.mean(0)),
        ("transductive", features - features.mean(0), asked - asked.mean(0)),
    ):
        learner = probe(network, 3, unit=False, norm=norm)
        adapted = jax.jit(learner.adapt)(learner.init(KEY, (6,)), _support(features, labels), KEY)
        expected = probe_logits(met, FIT(seen, labels, 3))
        np.testing.assert_allclose(learner.predict(adapted, asked), expected, atol=2e-4)


def _check_gradient(loss, at, gradient, seed=3):
    leaves, structure = jax.tree.flatten(at)
    rng = np.random.default_rng(seed)
    for index, found in enumerate(jax.tree.leaves(gradient)):
        direction = jnp.array(rng.normal(size=leaves[index].shape))
        up, down = (
            loss(structure.unflatten([*leaves[:index], moved, *leaves[index + 1 :]]))
            for moved in (leaves[index] + 1e-6 * direction, leaves[index] - 1e-6 * direction)
        )
        slope = jnp.vdot(found, direction)
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_meta_gradients_through_the_probe_equal_finite_differences(x64):
    learner = meta_probe(conv_net(0, blocks=1, filters=2, halvings=1, form="lax"), 3)
    labels = jnp.array([2, 0, 1, 0, 1, 2, 2])
    images = jnp.array(np.random.default_rng(3).normal(size=(2, 7, 4, 4, 1)))
    episode = Episode(Examples(images[0], labels), Examples(images[1], labels))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), learner.init(KEY, (4, 4, 1)))

    @jax.jit
    def query_loss(params):
        adapted = learner.adapt(params, episode.support, KEY)
        logs = jax.nn.log_softmax(learner.predict(adapted, episode.query.images))
        return -logs[jnp.arange(7), labels].mean()

    gradient, metrics = jax.jit(learner.meta_gradient)(params, episode, KEY)
    np.testing.assert_allclose(metrics["loss"], query_loss(params), rtol=1e-9)
    _check_gradient(query_loss, params, gradient)


@pytest.mark.parametrize("ordered", [False, True])
def test_gradients_are_right_where_images_are_copies(x64, ordered):
    features, labels = _task()
    features[1], labels[1] = features[0], labels[0]

    @jax.jit
    def loss(features):
        if ordered:
            head = fit_ordinal_probe(features, labels, (0, 1, 2))
            said = ordinal_probe_logits(features, head)
        else:
            said = probe_logits(features, fit_probe(features, labels, 3))
        return -jax.nn.log_softmax(said)[jnp.arange(len(labels)), (labels + 1) % 3].mean()

    features = jnp.array(features)
    _check_gradient(loss, features, jax.jit(jax.grad(loss))(features))


def test_the_ordinal_probe_solves_scipys_problem(x64):
    rng, places = np.random.default_rng(1), (0.0, 1.0, 4.0, 5.0)
    labels = rng.permutation(np.repeat(np.arange(4), [3, 6, 5, 4]))
    maturity = np.array(places)[labels] + rng.normal(size=18)
    features = rng.normal(size=(18, 30)) + 0.2 * maturity[:, None] * rng.normal(size=30)
    queries = rng.normal(size=(5, 30)) + 1
    aims = np.array(places)[labels]
    targets = (aims - aims.mean())[:, None]
    left_out = [_left_out(features, targets, strength) for strength in STRENGTHS]
    errors = np.array([np.square(each - targets).sum() for each in left_out])
    best = int(np.argmin(9 * np.log(errors) + np.square(LOG_STRENGTHS) / 2))
    score = left_out[best][:, 0]
    usual = 1.8138 / np.sqrt(errors[best] / 18)

    def objective(at):
        cuts = at[1] + np.append(0, np.cumsum(np.exp(at[2:])))
        at_most = expit(cuts - usual * at[0] * score[:, None])
        told = np.diff(at_most, prepend=0, append=1, axis=1)[np.arange(18), labels]
        return ((at[0] - 1) / 0.5) ** 2 / 2 - np.log(np.maximum(told, 1e-300)).sum()

    found = minimize(objective, [1.0, -1.0, 0.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x
    cuts = found[1] + np.append(0, np.cumsum(np.exp(found[2:])))
    head = FIT_ORDINAL(features, labels, places)
    assert head["log_strength"] == LOG_STRENGTHS[best]
    np.testing.assert_allclose(head["cuts"], cuts, atol=1e-4)
    ridge = Ridge(alpha=STRENGTHS[best] * _unit(features)).fit(features, targets[:, 0])
    scores = usual * found[0] * ridge.predict(queries)
    expected = np.diff(expit(cuts - scores[:, None]), prepend=0, append=1, axis=1)
    np.testing.assert_allclose(np.exp(ordinal_probe_logits(queries, head)), expected, atol=1e-4)


def test_what_stands_beside_the_features_is_not_scaled_with_them(x64):
    features, labels = _task(width=6)
    learner = ordinal_probe(stored_features(), 3, beside=1)
    adapted = jax.jit(learner.adapt)(learner.init(KEY, (6,)), _support(features, labels), KEY)
    scale = 1 / np.sqrt(features[:, :5].var(0).sum())
    np.testing.assert_allclose(adapted.head["scales"], [*[scale] * 5, 1])


def test_one_image_a_class_or_one_that_is_clear_leaves_finite_cut_points():
    features = np.float32(np.outer(np.arange(5), np.ones(3)))
    for each in (1, 3):
        labels = np.repeat(np.arange(5), each)
        head = FIT_ORDINAL(features[labels], labels, tuple(range(5)))
        assert np.isfinite(head["cuts"]).all() and (np.diff(head["cuts"]) > 0).all()
        said = ordinal_probe_logits(features, head)
        np.testing.assert_array_equal(said.argmax(-1), np.arange(5))


def test_what_cannot_be_is_refused():
    for make in (probe, meta_probe, ordinal_probe):
        with pytest.raises(InputError, match=r"ways \(=1\)"):
            make(conv_net(0), 1)
    with pytest.raises(InputError, match=r"beside \(=-1\)"):
        ordinal_probe(conv_net(0), 3, beside=-1)
    for spacing in ((0, 1), (0, 2, 2)):
        with pytest.raises(InputError, match="expected 3 ascending numbers"):
            ordinal_probe(conv_net(0), 3, spacing=spacing)
    learner = ordinal_probe(stored_features(), 3, beside=4)
    with pytest.raises(InputError, match=r"beside \(=4\) of 4 features"):
        learner.adapt(learner.init(KEY, (4,)), _support(np.ones((3, 4)), [0, 1, 2]), KEY)

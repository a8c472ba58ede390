"""MAML against a closed form, finite differences, and itself by other routes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.base import cross_entropy, query_logits
from metabone.learners.maml import MamlParams, maml
from metabone.learners.roles import body_adapts, head_adapts, head_only, norms_stay
from metabone.learners.variants import anil, boil, first_order_maml, meta_sgd
from metabone.nets.network import Network
from metabone.nets.networks import conv_net

RATE, STEPS = 0.1, 3


def _closed_form(task):
    """Adapted parameters, and the meta-gradients of second and first order, by linear algebra."""
    contraction = jnp.linalg.matrix_power(jnp.eye(3) - RATE * task.hessian, STEPS)
    adapted = task.centre + contraction @ (task.theta - task.centre)
    at_query = task.hessian @ (adapted - task.query_centre)
    return adapted, contraction.T @ at_query, at_query


@pytest.mark.parametrize("by", [{"inner_rate": RATE}, {"optimizer": optax.sgd(RATE)}])
@pytest.mark.parametrize("remat", [False, True])
def test_meta_gradients_equal_the_closed_form_of_a_quadratic_task(quadratic, remat, by):
    adapted, second, first = _closed_form(quadratic)
    params = MamlParams({"theta": quadratic.theta}, {}, [])
    key = jax.random.key(0)
    for order, expected in ((2, second), (1, first)):
        learner = maml(
            quadratic.network,
            inner_steps=STEPS,
            test_steps=STEPS,
            order=order,
            remat=remat,
            loss=quadratic.loss,
            **by,
        )
        found, _ = learner.meta_gradient(params, quadratic.episode, key)
        np.testing.assert_allclose(found.weights["theta"], expected, rtol=1e-9)
        reached = learner.adapt(params, quadratic.episode.support, key).weights["theta"]
        np.testing.assert_allclose(reached, adapted, rtol=1e-9)
    assert not np.allclose(first, second, rtol=1e-2)


@pytest.mark.parametrize("rate", [np.float32(0.1), np.array(0.1), np.float64(0.1)])
def test_a_rate_of_numpy_is_the_number_that_it_is(quadratic, rate):
    params = MamlParams({"theta": quadratic.theta}, {}, [])
    found, expected = (
        maml(quadratic.network, inner_rate=each, loss=quadratic.loss)
        .adapt(params, quadratic.episode.support, jax.random.key(0))
        .weights["theta"]
        for each in (rate, float(rate))
    )
    np.testing.assert_array_equal(found, expected)


def test_adam_in_the_inner_loop_has_the_meta_gradient_of_finite_differences(quadratic):
    def learner_with(optimizer):
        return maml(
            quadratic.network, optimizer=optimizer, inner_steps=2, test_steps=2, loss=quadratic.loss
        )

    learner = learner_with(optax.adam(0.1, eps_root=1e-8))
    support, query = quadratic.episode
    key = jax.random.key(0)

    def params(theta):
        return MamlParams({"theta": theta}, {}, [])

    def query_loss(theta):
        adapted = learner.adapt(params(theta), support, key)
        return quadratic.loss(learner.predict(adapted, query.images), None)

    found, _ = learner.meta_gradient(params(quadratic.theta), quadratic.episode, key)
    steps = 1e-6 * np.eye(3)
    slopes = [
        (query_loss(quadratic.theta + step) - query_loss(quadratic.theta - step)) / 2e-6
        for step in steps
    ]
    np.testing.assert_allclose(found.weights["theta"], slopes, rtol=1e-6)
    with pytest.raises(InputError, match="eps_root=1e-8"):
        learner_with(optax.adam(0.1)).meta_gradient(params(quadratic.theta), quadratic.episode, key)
    first_order = maml(quadratic.network, optimizer=optax.adam(0.1), order=1, loss=quadratic.loss)
    first_order.meta_gradient(params(quadratic.theta), quadratic.episode, key)


def _conv_task(norm, **settings):
    settings = {"inner_rate": 0.3, "inner_steps": 2, "norm": norm} | settings
    network = conv_net(3, blocks=2, filters=4, halvings=2, widths=(5,), form="lax")
    learner = maml(network, **settings)
    params = learner.init(jax.random.key(0), (8, 8, 1))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    # Far enough from the near-zero first logits for curvature to matter.
    params.weights["head"]["classes"]["kernel"] *= 50
    rng = np.random.default_rng(1)
    images = jnp.array(rng.normal(size=(2, 6, 8, 8, 1)))
    labels = jnp.array([0, 0, 1, 1, 2, 2])
    episode = Episode(Examples(images[0], labels), Examples(images[1], labels))
    return network, learner, params, episode


def _by_hand(network, params, episode, norm, rate=0.3, steps=2):
    """The query loss of an inner loop written out step by step."""
    weights = params.weights
    for _ in range(steps):

        def support_loss(w):
            logits, _ = network.apply(w, params.norm_stats, episode.support.images, True)
            return cross_entropy(logits, episode.support.labels)

        weights = jax.tree.map(lambda w, g: w - rate * g, weights, jax.grad(support_loss)(weights))
    stats = network.apply(weights, params.norm_stats, episode.support.images, True)[1]
    logits = network.apply(weights, stats, episode.query.images, norm == "transductive")[0]
    return cross_entropy(logits, episode.query.labels)


@pytest.mark.parametrize("norm", ["inductive", "transductive"])
def test_meta_gradients_of_a_conv_network_equal_finite_differences(x64, norm):
    network, learner, params, episode = _conv_task(norm)
    found, metrics = jax.jit(learner.meta_gradient)(params, episode, jax.random.key(0))
    loss = jax.jit(lambda p: _by_hand(network, p, episode, norm))
    np.testing.assert_allclose(metrics["loss"], loss(params), rtol=1e-9)
    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = jax.tree.map(lambda leaf: jnp.array(rng.normal(size=leaf.shape)), params)
        up, down = (
            loss(jax.tree.map(lambda p, d, s=sign: p + s * 1e-5 * d, params, direction))
            for sign in (1, -1)
        )
        slope = sum(
            jnp.vdot(g, d)
            for g, d in zip(jax.tree.leaves(found), jax.tree.leaves(direction), strict=True)
        )
        np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-5)


def test_first_order_is_not_second_order_silently(x64):
    _, second, params, episode = _conv_task("inductive")
    _, first, _, _ = _conv_task("inductive", order=1)
    key = jax.random.key(0)
    full, approximate = (
        jax.tree.leaves(jax.jit(each.meta_gradient)(params, episode, key)[0].weights)
        for each in (second, first)
    )
    apart = sum(jnp.sum((a - b) ** 2) for a, b in zip(full, approximate, strict=True))
    assert apart > 1e-2 * sum(jnp.sum(a**2) for a in full)


def test_frozen_parameters_get_no_gradient_and_do_not_adapt():
    learner = maml(conv_net(3, blocks=1, filters=4, halvings=1), roles=head_only, test_steps=2)
    params = learner.init(jax.random.key(0), (8, 8, 1))
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    examples = Examples(images, jnp.array([0, 0, 1, 1, 2, 2]))
    gradient, _ = jax.jit(learner.meta_gradient)(
        params, Episode(examples, examples), jax.random.key(0)
    )
    assert not np.any(gradient.weights["conv_0"]["kernel"])
    assert np.any(gradient.weights["head"]["classes"]["kernel"])
    learned = learner.learned(params)
    assert learned.weights["conv_0"]["kernel"] is learned.norm_stats["norm_0"]["var"] is False
    assert learned.weights["head"]["classes"]["kernel"] is True
    adapted = jax.jit(learner.adapt)(params, examples, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, adapted.weights["conv_0"], params.weights["conv_0"])
    assert np.any(
        adapted.weights["head"]["classes"]["kernel"] != params.weights["head"]["classes"]["kernel"]
    )


def test_batch_norms_that_stay_are_learned_by_the_outer_loop_alone(normed):
    """The published inner loop, whose weights do not hold batch norms' variables."""
    network, weights, stats, episode = normed
    learner = maml(network, inner_rate=RATE, inner_steps=2, test_steps=2, roles=norms_stay)
    params, key = MamlParams(weights, stats, []), jax.random.key(0)
    adapted = jax.jit(learner.adapt)(params, episode.support, key).weights
    jax.tree.map(np.testing.assert_array_equal, adapted["norm_0"], weights["norm_0"])
    assert np.all(adapted["layer"]["kernel"] != weights["layer"]["kernel"])

    @jax.jit
    def query_loss(bias):
        norm = {**weights["norm_0"], "bias": bias}
        moved = params._replace(weights={**weights, "norm_0": norm})
        reached = learner.adapt(moved, episode.support, key)
        return cross_entropy(
            query_logits(network, reached, episode.query.images, "inductive"), episode.query.labels
        )

    found, _ = jax.jit(learner.meta_gradient)(params, episode, key)
    bias, step = weights["norm_0"]["bias"], 1e-6
    slopes = [
        (query_loss(bias + step * unit) - query_loss(bias - step * unit)) / (2 * step)
        for unit in jnp.eye(len(bias))
    ]
    np.testing.assert_allclose(found.weights["norm_0"]["bias"], slopes, rtol=1e-6, atol=1e-9)


def test_a_body_that_does_not_adapt_is_still_meta_learned():
    learner = maml(conv_net(3, blocks=1, filters=4, halvings=1), roles=head_adapts)
    params = learner.init(jax.random.key(0), (8, 8, 1))
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    examples = Examples(images, jnp.array([0, 0, 1, 1, 2, 2]))
    gradient, _ = jax.jit(learner.meta_gradient)(
        params, Episode(examples, examples), jax.random.key(0)
    )
    assert np.any(gradient.weights["conv_0"]["kernel"])
    adapted = jax.jit(learner.adapt)(params, examples, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, adapted.weights["conv_0"], params.weights["conv_0"])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("norm", ["inductive", "transductive"])
def test_a_head_on_features_computed_once_learns_as_the_whole_network_does(x64, norm, order):
    network, _, params, episode = _conv_task(norm)
    settings = dict(inner_rate=0.3, inner_steps=3, norm=norm, order=order, roles=head_adapts)
    whole = Network(network.init, network.apply)
    key = jax.random.key(0)
    (cut, cut_metrics), (plain, plain_metrics) = (
        jax.jit(maml(each, **settings).meta_gradient)(params, episode, key)
        for each in (network, whole)
    )
    assert np.any(np.abs(plain.weights["conv_0"]["kernel"]) > 1e-3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        (cut, cut_metrics),
        (plain, plain_metrics),
    )
    adapted = [
        jax.jit(maml(each, **settings).adapt)(params, episode.support, key)
        for each in (network, whole)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), *adapted)


def test_learned_rates_have_the_gradient_of_the_closed_form(quadratic):
    # One step: d loss / d rate_i = -(gradient at the query)_i * (gradient at the support)_i.
    learner = meta_sgd(quadratic.network, inner_rate=RATE, inner_steps=1, loss=quadratic.loss)
    theta, hessian = quadratic.theta, quadratic.hessian
    params = MamlParams({"theta": theta}, {}, [jnp.full(3, RATE)])
    found, _ = learner.meta_gradient(params, quadratic.episode, jax.random.key(0))
    at_support = hessian @ (theta - quadratic.centre)
    at_query = hessian @ (theta - RATE * at_support - quadratic.query_centre)
    np.testing.assert_allclose(found.rates[0], -at_query * at_support, rtol=1e-9)


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        (first_order_maml, {"order": 1}),
        (anil, {"roles": head_adapts}),
        (boil, {"roles": body_adapts}),
    ],
)
def test_named_variants_are_maml_by_these_settings(normed, variant, settings):
    network, weights, stats, episode = normed
    params, key = MamlParams(weights, stats, []), jax.random.key(0)
    found, expected = (
        jax.jit(learner.meta_gradient)(params, episode, key)
        for learner in (variant(network), maml(network, **settings))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    adapted = jax.jit(variant(network).adapt)(params, episode.support, key).weights
    moved = tuple(
        bool(np.any(adapted[part]["kernel"] != weights[part]["kernel"]))
        for part in ("layer", "head")
    )
    assert moved == {first_order_maml: (1, 1), anil: (0, 1), boil: (1, 0)}[variant]


@pytest.mark.optimized
def test_mapped_prediction_equals_the_batched_form():
    network = conv_net(5, blocks=2, filters=8, halvings=2)
    learner = maml(network, test_steps=1)
    params = learner.init(jax.random.key(0), (16, 16, 1))
    images = jax.random.normal(jax.random.key(1), (10, 16, 16, 1))
    adapted = jax.jit(learner.adapt)(
        params, Examples(images, jnp.arange(10) % 5), jax.random.key(0)
    )
    np.testing.assert_allclose(
        learner.predict(adapted, images),
        query_logits(network, adapted, images, "inductive"),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": -1}, r"inner_steps \(=-1\)"),
        ({"inner_rate": 0.0}, r"inner_rate \(=0.0\)"),
        ({"order": 3}, r"order \(=3\)"),
        ({"learn_rates": True, "optimizer": optax.sgd(0.1)}, "without an inner optimiser"),
        ({"norm": "batch"}, "norm 'batch'.*inductive, transductive"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        maml(conv_net(5), **settings)

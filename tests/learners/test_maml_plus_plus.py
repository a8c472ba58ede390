"""Each switch of MAML++ against plain MAML, or two steps worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.learners import roles
from metabone.learners.base import cross_entropy
from metabone.learners.carried import Carried
from metabone.learners.maml import MamlParams, maml
from metabone.learners.maml_plus_plus import (
    MamlPlusPlusParams,
    annealed_step_weights,
    maml_plus_plus,
)
from metabone.nets.networks import conv_net

KEY = jax.random.key(0)
RATE, STEPS = 0.3, 2
OFF = dict(learn_rates=False, step_affine=False, step_stats=False)
LABELS = jnp.array([0, 0, 1, 1, 2, 2])
SHAPE = (2, 2, 1)  # of the images of `normed`


def _assert_close(found, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected
    )


def _plain(network, weights, stats, episode, **settings):
    settings = dict(inner_rate=RATE, inner_steps=STEPS) | settings
    learner = maml(network, **settings)
    return jax.jit(learner.meta_gradient)(MamlParams(weights, stats, []), episode, KEY)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("norm", ["inductive", "transductive"])
def test_with_every_switch_off_it_is_maml(normed, norm, order):
    network, weights, stats, episode = normed
    settings = dict(norm=norm, order=order, inner_rate=RATE, inner_steps=STEPS)
    learner = maml_plus_plus(network, **settings, **OFF, roles=roles.everything, test_steps=3)
    params = MamlPlusPlusParams(weights, stats, [])
    found, metrics = jax.jit(learner.meta_gradient)(params, episode, KEY)
    expected, plain_metrics = _plain(*normed, norm=norm, order=order)
    _assert_close((found.weights, found.norm_stats, metrics), (*expected[:2], plain_metrics))
    adapted = jax.jit(learner.adapt)(params, episode.support, KEY)
    other = maml(network, inner_rate=RATE, test_steps=3)
    _assert_close(adapted, other.adapt(MamlParams(weights, stats, []), episode.support, KEY))


def test_a_loss_after_each_step_adds_the_gradients_of_fewer_steps(normed):
    network, weights, stats, episode = normed
    shares = jnp.array([0.2, 0.0, 0.8])
    learner = maml_plus_plus(
        network,
        inner_rate=RATE,
        inner_steps=3,
        step_weights=shares,
        roles=roles.everything,
        **OFF,
    )
    found, _ = jax.jit(learner.meta_gradient)(MamlPlusPlusParams(weights, stats, []), episode, KEY)
    one, three = (_plain(*normed, inner_steps=n)[0].weights for n in (1, 3))
    expected = jax.tree.map(lambda a, b: 0.2 * a + 0.8 * b, one, three)
    _assert_close(found.weights, expected)


def test_rates_of_steps_have_the_gradient_worked_by_hand(quadratic):
    hessian, theta, rates = quadratic.hessian, quadratic.theta, jnp.array([0.1, 0.25])
    learner = maml_plus_plus(
        quadratic.network, inner_steps=2, test_steps=4, loss=quadratic.loss, step_stats=False
    )
    params = MamlPlusPlusParams({"theta": theta}, {}, [rates])
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    first = hessian @ (theta - quadratic.centre)
    middle = theta - rates[0] * first
    second = hessian @ (middle - quadratic.centre)
    end = middle - rates[1] * second
    at_query = hessian @ (end - quadratic.query_centre)
    shrink = [jnp.eye(3) - rate * hessian for rate in rates]
    expected = jnp.array([-at_query @ shrink[1] @ first, -at_query @ second])
    np.testing.assert_allclose(found.rates[0], expected, rtol=1e-9)
    np.testing.assert_allclose(found.weights["theta"], shrink[0] @ shrink[1] @ at_query, rtol=1e-9)
    # In tests steps beyond the last have the last one's rate.
    offset = shrink[1] @ shrink[1] @ shrink[1] @ shrink[0] @ (theta - quadratic.centre)
    adapted = learner.adapt(params, quadratic.episode.support, KEY)
    np.testing.assert_allclose(adapted.weights["theta"], quadratic.centre + offset, rtol=1e-9)


def _two_steps_by_hand(network, stats, episode):
    """The query loss of two steps, each with a batch norm of its own that does not adapt."""

    def query_loss(adapting, scales, biases):
        def logits(adapting, step, images):
            norm = {"scale": scales[step], "bias": biases[step]}
            return network.apply(adapting | {"norm_0": norm}, stats, images, True)[0]

        for step in (0, 1):

            def support_loss(adapting, step=step):
                return cross_entropy(logits(adapting, step, episode.support.images), LABELS)

            gradient = jax.grad(support_loss)(adapting)
            adapting = jax.tree.map(lambda w, g: w - RATE * g, adapting, gradient)
        return cross_entropy(logits(adapting, 1, episode.query.images), LABELS)

    return query_loss


def test_batch_norms_of_steps_have_the_gradient_worked_by_hand(normed):
    network, weights, stats, episode = normed
    rng = np.random.default_rng(4)
    scales, biases = (jnp.array(rng.normal(size=(2, 4))) for _ in range(2))
    learner = maml_plus_plus(
        network, inner_rate=RATE, inner_steps=2, norm="transductive", **OFF | {"step_affine": True}
    )
    merged = weights | {"norm_0": {"scale": scales, "bias": biases}}
    params = MamlPlusPlusParams(merged, stats, [])
    adapting = {name: leaf for name, leaf in weights.items() if name != "norm_0"}
    expected = jax.jit(jax.grad(_two_steps_by_hand(network, stats, episode), argnums=(0, 1, 2)))(
        adapting, scales, biases
    )
    found, _ = jax.jit(learner.meta_gradient)(params, episode, KEY)
    norm = found.weights["norm_0"]
    rest = {name: leaf for name, leaf in found.weights.items() if name != "norm_0"}
    _assert_close((rest, norm["scale"], norm["bias"]), expected)
    # A test of one step answers by the first step's norms, one of three by the last's.
    for steps, row in ((1, 0), (3, 1)):
        learner = maml_plus_plus(
            network, inner_steps=2, test_steps=steps, **OFF | {"step_affine": True}
        )
        adapted = jax.jit(learner.adapt)(params, episode.support, KEY).weights["norm_0"]
        np.testing.assert_array_equal(adapted["scale"], scales[row])


def _after_steps(network, weights, stats, episode, count):
    """Plain MAML's weights after so many steps, and the support's statistics under them."""
    plain = maml(network, inner_rate=RATE, test_steps=count, roles=roles.norms_stay)
    return plain.adapt(MamlParams(weights, stats, []), episode.support, KEY)


@pytest.mark.parametrize("norm", ["inductive", "transductive", "running"])
def test_running_statistics_follow_what_normalised_the_queries_of_each_step(normed, norm):
    network, weights, _, episode = normed
    settings = dict(inner_rate=RATE, inner_steps=2, test_steps=2)
    learner = maml_plus_plus(
        network,
        norm=norm,
        step_weights=jnp.array([0.5, 0.5]),
        **settings,
        **OFF | {"step_stats": True},
    )
    params = learner.init(KEY, SHAPE)._replace(weights=weights)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
    found, _ = jax.jit(learner.meta_gradient)(params, episode, KEY)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(found.norm_stats))
    stats = params.norm_stats
    for row in (0, 1):
        adapted = _after_steps(network, weights, stats, episode, row + 1)
        part = episode.support if norm == "inductive" else episode.query
        batch = network.apply(adapted.weights, stats, part.images, True)[1]["norm_0"]
        expected = {"mean": 0.1 * batch["mean"], "var": 0.9 + 0.1 * batch["var"]}
        _assert_close(jax.tree.map(lambda s, r=row: s[r], found.running.value["norm_0"]), expected)


def test_each_norm_mode_answers_by_its_own_statistics(normed):
    network, weights, stats, episode = normed
    rng = np.random.default_rng(5)
    kept = jax.tree.map(lambda leaf: jnp.array(rng.uniform(0.5, 2, (2, *leaf.shape))), stats)
    params = MamlPlusPlusParams(weights, stats, [], Carried(kept))
    adapted = _after_steps(network, weights, stats, episode, 2)
    last = jax.tree.map(lambda leaf: leaf[1], kept)
    images = episode.query.images
    for norm, by, own in (
        ("inductive", adapted.norm_stats, False),
        ("transductive", stats, True),
        ("running", last, False),
    ):
        learner = maml_plus_plus(
            network,
            inner_rate=RATE,
            inner_steps=2,
            test_steps=2,
            norm=norm,
            **OFF | {"step_stats": True},
        )
        found = learner.predict(learner.adapt(params, episode.support, KEY), images)
        expected = network.apply(adapted.weights, by, images, own)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_statistics_of_steps_whose_queries_do_not_count_stay(normed):
    network, _, _, episode = normed
    learner = maml_plus_plus(network, inner_steps=3)
    params = learner.init(KEY, SHAPE)
    gradient, _ = jax.jit(learner.meta_gradient)(params, episode, KEY)
    after = gradient.running.value["norm_0"]["mean"]
    assert not np.any(after[:2])
    assert np.all(after[2] != 0)


def test_running_statistics_that_were_not_kept_are_refused(normed):
    network, weights, stats, episode = normed
    with pytest.raises(InputError, match="norm 'running': expected one of inductive, transductive"):
        maml_plus_plus(network, norm="running", step_stats=False)
    learner = maml_plus_plus(network, norm="running", **OFF | {"step_stats": True})
    with pytest.raises(InputError, match="hold no running statistics"):
        learner.adapt(MamlPlusPlusParams(weights, stats, []), episode.support, KEY)


def test_a_schedule_gives_the_values_of_its_step(normed):
    network, _, _, episode = normed
    shares = jnp.array([[0.0, 1.0], [0.25, 0.75]])
    scheduled = maml_plus_plus(
        network,
        inner_steps=2,
        order=lambda step: jnp.where(step < 1, 1, 2),
        step_weights=lambda step: shares[step],
    )
    params = scheduled.init(KEY, SHAPE)
    by_step = jax.jit(lambda step: scheduled.meta_gradient(params, episode, KEY, step=step))
    for step in (0, 1):
        fixed = maml_plus_plus(network, inner_steps=2, order=step + 1, step_weights=shares[step])
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
            by_step(jnp.int32(step)),
            jax.jit(fixed.meta_gradient)(params, episode, KEY),
        )


def test_step_weights_anneal_as_published():
    # From the published code's rule, worked for 5 steps: the least is 0.03 / 5, reached at 0.97.
    for progress, early in ((0, 0.2), (0.5, 0.1), (0.9, 0.02), (0.98, 0.006), (1, 0), (7, 0)):
        found = annealed_step_weights(5, progress)
        np.testing.assert_allclose(found, [early] * 4 + [1 - 4 * early], atol=1e-7)


def _published_importance(steps, epoch, epochs):
    """`get_per_step_loss_importance_vector` in words of our own, and its switch to the last."""
    if epoch >= epochs:
        return np.eye(steps)[-1]
    early = max(1 / steps - epoch / steps / epochs, 0.03 / steps)
    last = min(1 / steps + epoch * (steps - 1) / steps / epochs, 1 - (steps - 1) * 0.03 / steps)
    return np.array([early] * (steps - 1) + [last])


@pytest.mark.parametrize("epochs", [10, 15, 40])
def test_by_epochs_step_weights_are_those_of_the_published_code(epochs):
    each = 50  # outer steps of an epoch
    for step in range(0, (epochs + 2) * each, 13):
        progress = np.float32(step) / (epochs * each)
        found = annealed_step_weights(5, progress, epochs=epochs)
        expected = _published_importance(5, step // each, epochs)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": 0}, r"inner_steps \(=0\)"),
        ({"test_steps": -1}, r"test_steps \(=-1\)"),
        ({"inner_rate": 0.0}, r"inner_rate \(=0.0\)"),
        ({"order": 3}, r"order \(=3\)"),
        ({"order": np.int64(3)}, r"order \(=3\)"),
        ({"norm": "batch"}, "norm 'batch'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        maml_plus_plus(conv_net(5), **settings)


def test_batch_norms_cannot_both_adapt_and_differ_by_step():
    with pytest.raises(InputError, match="step_affine"):
        maml_plus_plus(conv_net(5), roles=roles.everything).init(KEY, (16, 16, 1))

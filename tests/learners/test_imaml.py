"""iMAML against a closed form, and against MAML unrolled for long."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.base import cross_entropy
from metabone.learners.imaml import imaml
from metabone.learners.transfer import TrainedParams
from metabone.nets.networks import fully_connected

KEY = jax.random.key(0)


def test_its_meta_gradient_is_the_closed_form_of_a_quadratic_task(quadratic):
    strength = 0.8
    learner = imaml(
        quadratic.network,
        inner_rate=0.1,
        inner_steps=600,
        test_steps=600,
        strength=strength,
        loss=quadratic.loss,
    )
    params = TrainedParams({"theta": quadratic.theta}, {})
    stiff = quadratic.hessian + strength * jnp.eye(3)
    end = jnp.linalg.solve(stiff, quadratic.hessian @ quadratic.centre + strength * quadratic.theta)
    at_query = quadratic.hessian @ (end - quadratic.query_centre)
    expected = strength * jnp.linalg.solve(stiff, at_query)
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    np.testing.assert_allclose(found.weights["theta"], expected, rtol=1e-8)
    adapted = learner.adapt(params, quadratic.episode.support, KEY)
    np.testing.assert_allclose(adapted.weights["theta"], end, rtol=1e-8)


def test_it_agrees_with_long_unrolled_maml_on_a_strongly_convex_task(x64):
    strength, rate, steps = 0.5, 0.3, 300
    network = fully_connected(3, widths=())  # logistic regression
    rng = np.random.default_rng(0)
    images = jnp.array(rng.normal(size=(2, 9, 2, 2, 1)))
    labels = jnp.arange(9) % 3
    episode = Episode(Examples(images[0], labels), Examples(images[1], labels))
    learner = imaml(network, inner_rate=rate, inner_steps=steps, strength=strength, solver_steps=30)
    params = learner.init(KEY, (2, 2, 1))
    params = jax.tree.map(lambda p: jnp.array(rng.normal(size=p.shape)), params)

    def loss(weights, part):
        return cross_entropy(network.apply(weights, {}, part.images, True)[0], part.labels)

    def unrolled(start):
        def step(weights, _):
            gradient = jax.grad(loss)(weights, episode.support)
            move = jax.tree.map(
                lambda w, g, c: w - rate * (g + strength * (w - c)), weights, gradient, start
            )
            return move, None

        return loss(jax.lax.scan(step, start, None, length=steps)[0], episode.query)

    found, metrics = jax.jit(learner.meta_gradient)(params, episode, KEY)
    expected = jax.jit(jax.grad(unrolled))(params.weights)
    np.testing.assert_allclose(metrics["loss"], unrolled(params.weights), rtol=1e-9)
    for ours, theirs in zip(jax.tree.leaves(found.weights), jax.tree.leaves(expected), strict=True):
        assert jnp.abs(ours - theirs).max() < 1e-4 * jnp.abs(theirs).max()


def test_its_solver_is_cut_where_asked(quadratic):
    params = TrainedParams({"theta": quadratic.theta}, {})
    one, all_ = (
        imaml(quadratic.network, solver_steps=steps, loss=quadratic.loss)
        .meta_gradient(params, quadratic.episode, KEY)[0]
        .weights["theta"]
        for steps in (1, 5)
    )
    assert not np.allclose(one, all_, rtol=1e-3)


@pytest.mark.parametrize(
    "settings", [{"strength": 0.0}, {"inner_rate": -1.0}, {"solver_steps": 0}, {"test_steps": -1}]
)
def test_numbers_that_cannot_be_are_refused(settings):
    with pytest.raises(InputError, match=rf"{next(iter(settings))} \(="):
        imaml(fully_connected(2), **settings)

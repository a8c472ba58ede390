"""Reptile against gradient descent worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.errors import InputError
from metabone.learners.reptile import reptile
from metabone.learners.transfer import TrainedParams
from metabone.nets.networks import conv_net

RATE, STEPS = 0.1, 3
KEY = jax.random.key(0)


def test_its_gradient_is_the_way_back_from_where_full_batches_lead(quadratic):
    learner = reptile(
        quadratic.network,
        optax.sgd(RATE),
        inner_steps=STEPS,
        inner_batch=6,
        test_steps=STEPS,
        test_batch=4,
        loss=quadratic.loss,
    )
    params = TrainedParams({"theta": quadratic.theta}, {})
    contraction = jnp.linalg.matrix_power(jnp.eye(3) - RATE * quadratic.hessian, STEPS)
    centre = (4 * quadratic.centre + 2 * quadratic.query_centre) / 6
    reached = centre + contraction @ (quadratic.theta - centre)
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    np.testing.assert_allclose(found.weights["theta"], quadratic.theta - reached, rtol=1e-9)

    adapted = learner.adapt(params, quadratic.episode.support, KEY)
    reached = quadratic.centre + contraction @ (quadratic.theta - quadratic.centre)
    np.testing.assert_allclose(adapted.weights["theta"], reached, rtol=1e-9)


def test_minibatches_show_each_image_once_before_any_again(quadratic):
    # Three minibatches of two of the six images: the order is found by trying all.
    learner = reptile(
        quadratic.network, optax.sgd(RATE), inner_steps=3, inner_batch=2, loss=quadratic.loss
    )
    params = TrainedParams({"theta": quadratic.theta}, {})
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    images = jnp.concatenate([part.images for part in quadratic.episode])

    def reached(rows):
        theta = quadratic.theta
        for pair in rows:
            centre = images[jnp.array(pair)].mean(0)
            theta = theta - RATE * quadratic.hessian @ (theta - centre)
        return theta

    def pairings(left):
        if not left:
            yield []
        for i, first in enumerate(left):
            for second in left[i + 1 :]:
                rest = [row for row in left if row not in (first, second)]
                yield from ([(first, second), *others] for others in pairings(rest))

    ends = [reached(rows) for rows in pairings(list(range(6)))]
    assert len(ends) == 90
    apart = [float(jnp.abs(quadratic.theta - found.weights["theta"] - end).max()) for end in ends]
    assert sum(a < 1e-12 for a in apart) == 1
    other, _ = learner.meta_gradient(params, quadratic.episode, jax.random.key(1))
    assert not np.allclose(other.weights["theta"], found.weights["theta"])


@pytest.mark.parametrize("name", ["inner_steps", "test_steps", "inner_batch", "test_batch"])
def test_numbers_that_cannot_be_are_refused(name):
    with pytest.raises(InputError, match=rf"{name} \(=-1\)"):
        reptile(conv_net(2), optax.sgd(0.1), **{name: -1})

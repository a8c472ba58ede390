"""Batch normalisation against what automatic differentiation makes of its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.nets.normalisation import normalise_batch

pytestmark = pytest.mark.optimized


def _plain(inputs, scale, bias):
    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2))
    return (inputs - mean) / jnp.sqrt(variance + 1e-3) * scale + bias, mean, variance


def test_values_and_gradients_of_first_and_second_order_are_those_of_the_definition(x64):
    rng = np.random.default_rng(0)
    arguments = [jnp.array(rng.normal(size=s)) for s in ((3, 4, 5, 2), (2,), (2,))]
    weights = [jnp.array(rng.normal(size=s)) for s in ((3, 4, 5, 2), (2,), (2,))]
    direction = [jnp.array(rng.normal(size=a.shape)) for a in arguments]

    def value(normalise):
        # All three outputs count: an inductive query is normalised by the support's statistics.
        return lambda *a: sum(
            jnp.vdot(w, jnp.sin(out)) for w, out in zip(weights, normalise(*a), strict=True)
        )

    def slope(normalise):
        gradient = jax.grad(value(normalise), argnums=(0, 1, 2))
        return lambda *a: sum(jnp.vdot(d, g) for d, g in zip(direction, gradient(*a), strict=True))

    def ours(inputs, scale, bias):
        return normalise_batch(inputs, scale, bias, 1e-3)

    for make in (value, slope):
        np.testing.assert_allclose(make(ours)(*arguments), make(_plain)(*arguments), rtol=1e-12)
        for found, expected in zip(
            *(jax.grad(make(each), argnums=(0, 1, 2))(*arguments) for each in (ours, _plain)),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)

"""Networks of other libraries, and what is said of those that do not fit."""

import importlib.util

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from metabone.errors import InputError
from metabone.nets.network import Network, network
from metabone.nets.networks import fully_connected

SHAPE = (4, 4, 1)


class Linen(linen.Module):
    momentum: float = 0.0
    dropout: float = 0.0

    @linen.compact
    def __call__(self, images, train):
        hidden = linen.Dense(4, name="layer")(images.reshape(len(images), -1))
        hidden = linen.BatchNorm(use_running_average=not train, momentum=self.momentum)(hidden)
        hidden = linen.Dropout(self.dropout, deterministic=False)(hidden)
        return linen.Dense(3, name="head")(hidden)


class Plain(linen.Module):
    @linen.compact
    def __call__(self, images):
        return linen.Dense(3)(images.reshape(len(images), -1))


class Asks(linen.Module):
    def __call__(self, images, mask):
        return images * mask


class Nnx(nnx.Module):
    def __init__(self, rngs, momentum=0.0, dropout=False):
        self.layer = nnx.Linear(16, 4, rngs=rngs)
        self.norm_0 = nnx.BatchNorm(4, momentum=momentum, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs) if dropout else None
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, images):
        hidden = self.norm_0(self.layer(images.reshape(len(images), -1)))
        return self.head(hidden if self.dropout is None else self.dropout(hidden))


def _plain_pair():
    def init(key, shape):
        return {"head": jax.random.normal(key, (int(np.prod(shape)), 3))}, {}

    def apply(params, norm_stats, images, use_batch_stats):
        return images.reshape(len(images), -1) @ params["head"], norm_stats

    return init, apply


FITTING = {
    "pair": _plain_pair,
    "network": lambda: fully_connected(3),
    "linen": Plain,
    "linen with a batch norm": Linen,
    "nnx": lambda: Nnx(nnx.Rngs(0)),
    "function to nnx": lambda: lambda shape, key: Nnx(nnx.Rngs(key)),
}


def _keeps_its_promises(made):
    images = jax.random.normal(jax.random.key(1), (6, *SHAPE))
    params, stats = made.init(jax.random.key(0), SHAPE)
    together, same = made.apply(params, stats, images, False)
    assert together.shape == (6, 3)
    np.testing.assert_allclose(
        made.apply(params, stats, images[:1], False)[0], together[:1], rtol=1e-4, atol=1e-5
    )
    jax.tree.map(np.testing.assert_array_equal, same, stats)
    by_batch, found = made.apply(params, stats, images, True)
    again = made.apply(params, found, images, False)[0]
    np.testing.assert_allclose(again, by_batch, rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda params: made.apply(params, stats, images, True)[0].sum())(params)
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    return params, made.init(jax.random.key(2), SHAPE)[0]


@pytest.mark.parametrize("kind", FITTING)
def test_a_network_of_any_library_keeps_the_promises(kind):
    made = network(FITTING[kind](), SHAPE, outputs=3)
    assert isinstance(made, Network)
    params, others = _keeps_its_promises(made)
    same = all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(others), strict=True)
    )
    # A module brings its parameters along; all others draw them.
    assert same == (kind == "nnx")


class AlwaysBatch(linen.Module):
    @linen.compact
    def __call__(self, images):
        normed = linen.BatchNorm(use_running_average=False, momentum=0.0)(images)
        return linen.Dense(3)(normed.reshape(len(images), -1))


class TwoOutputs(linen.Module):
    @linen.compact
    def __call__(self, images):
        features = images.reshape(len(images), -1)
        return linen.Dense(3)(features), features


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: Linen(momentum=0.9), r"smooths its statistics \(momentum=0.9\)"),
        (lambda: Nnx(nnx.Rngs(0), momentum=0.99), r"smooths its statistics \(momentum=0.99\)"),
        (lambda: Linen(dropout=0.5), "Linen needs random numbers"),
        (lambda: Nnx(nnx.Rngs(0), dropout=True), "Nnx needs random numbers"),
        (Asks, "Asks.__call__ needs mask"),
        (lambda: fully_connected(4), r"outputs of shape \(4,\): expected \(3,\)"),
        (lambda: lambda shape, key: jnp.zeros(3), "expected an NNX or Equinox module"),
        (lambda: Nnx, "expected a Network, a pair"),
        (lambda: (lambda key, shape: ({}, {}),), "expected a Network, a pair"),
        (lambda: 3, "expected a Network, a pair"),
        (AlwaysBatch, "AlwaysBatch takes the statistics of the batch even when it should not"),
        (TwoOutputs, "outputs are a tuple: expected one array"),
    ],
)
def test_what_does_not_fit_is_said_at_once(source, message):
    with pytest.raises(InputError, match=message):
        network(source(), SHAPE, outputs=3)


def test_without_a_shape_it_is_said_at_the_first_initialisation():
    late = network(Linen(momentum=0.9))
    with pytest.raises(InputError, match="smooths its statistics"):
        late.init(jax.random.key(0), SHAPE)


@pytest.mark.skipif(importlib.util.find_spec("equinox") is None, reason="equinox is not installed")
def test_an_equinox_module_is_given_one_image_at_a_time():
    import equinox as eqx

    class Mlp(eqx.Module):
        layer: eqx.nn.Linear
        dropout: eqx.nn.Dropout

        def __init__(self, key, rate=0.0):
            self.layer, self.dropout = eqx.nn.Linear(16, 3, key=key), eqx.nn.Dropout(rate)

        def __call__(self, image):
            return self.layer(self.dropout(image.reshape(-1)))

    _keeps_its_promises(network(Mlp(jax.random.key(0)), SHAPE, outputs=3))
    params, others = _keeps_its_promises(network(lambda shape, key: Mlp(key), SHAPE, outputs=3))
    assert np.any(jax.tree.leaves(params)[0] != jax.tree.leaves(others)[0])
    with pytest.raises(InputError, match="Mlp needs random numbers"):
        network(Mlp(jax.random.key(0), rate=0.5), SHAPE)
    norm = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, axis_name="batch", mode="batch")[0]
    with pytest.raises(InputError, match="has a state"):
        network(norm, SHAPE)

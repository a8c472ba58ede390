"""Two small tasks: half the squared length of `M (theta - image)`, and one with a batch norm."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.nets.network import Network


def _half_square(outputs, labels):
    del labels
    return 0.5 * jnp.mean(jnp.sum(outputs**2, axis=-1))


@pytest.fixture
def quadratic(x64):
    """Network, loss, `theta`, episode, and of its losses the Hessian and the two minima."""
    rng = np.random.default_rng(0)
    matrix, theta = jnp.array(rng.normal(size=(3, 3))), jnp.array(rng.normal(size=3))
    support, query = (jnp.array(rng.normal(size=(n, 3))) for n in (4, 2))
    labels = jnp.zeros(4, jnp.int32), jnp.zeros(2, jnp.int32)

    def apply(params, norm_stats, images, use_batch_stats):
        del use_batch_stats
        return (params["theta"] - images) @ matrix.T, norm_stats

    return SimpleNamespace(
        network=Network(lambda key, shape: ({"theta": jnp.zeros(shape)}, {}), apply),
        loss=_half_square,
        theta=theta,
        episode=Episode(Examples(support, labels[0]), Examples(query, labels[1])),
        hessian=matrix.T @ matrix,
        centre=support.mean(0),
        query_centre=query.mean(0),
    )


_LABELS = jnp.array([0, 0, 1, 1, 2, 2])
_SHAPE = (2, 2, 1)


def _network():
    """A layer, a batch norm and a head, small enough to compile in no time."""

    def init(key, shape):
        keys = jax.random.split(key)
        weights = {
            "layer": {"kernel": jax.random.normal(keys[0], (int(np.prod(shape)), 4))},
            "norm_0": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
            "head": {"kernel": jax.random.normal(keys[1], (4, 3))},
        }
        return weights, {"norm_0": {"mean": jnp.zeros(4), "var": jnp.ones(4)}}

    def apply(weights, stats, images, use_batch_stats):
        hidden = images.reshape(len(images), -1) @ weights["layer"]["kernel"]
        if use_batch_stats:
            stats = {"norm_0": {"mean": hidden.mean(0), "var": hidden.var(0)}}
        mean, var = stats["norm_0"]["mean"], stats["norm_0"]["var"]
        normed = (hidden - mean) * jax.lax.rsqrt(var + 1e-3)
        hidden = jnp.tanh(normed * weights["norm_0"]["scale"] + weights["norm_0"]["bias"])
        return hidden @ weights["head"]["kernel"], stats

    return Network(init, apply)


@pytest.fixture
def normed(x64):
    """A network with one batch norm, its weights, and an episode."""
    network = _network()
    weights, stats = network.init(jax.random.key(0), _SHAPE)
    rng = np.random.default_rng(0)
    weights, stats = jax.tree.map(
        lambda leaf: jnp.array(rng.normal(size=leaf.shape)), (weights, stats)
    )
    images = jnp.array(rng.normal(size=(2, 6, *_SHAPE)))
    return network, weights, stats, Episode(*(Examples(each, _LABELS) for each in images))

"""Heads for classes that are ordered: one score, and cut points along it."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from metabone.nets.layers import FullyConnected

# Keeps the logarithm of a class between two cut points finite whatever an inner step does to them.
_LEAST_GAP = 1e-6


def cut_points(first: jax.Array, gaps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Ordered cut points from numbers that may be anything.

    Args:
      first: scalar, the lowest cut point.
      gaps: `[ways - 2]`, softplus of which are the distances to each next one.

    Returns:
      Cut points `[ways - 1]`, ascending, and their distances `[ways - 2]`.
    """
    distances = jax.nn.softplus(gaps) + _LEAST_GAP
    return jnp.concatenate([first[None], first + jnp.cumsum(distances)]), distances


def even_cuts(ways: int) -> tuple[np.ndarray, np.ndarray]:
    """What `cut_points` takes for classes that are equally likely at score 0.

    Args:
      ways: classes, at least 2.

    Returns:
      `first`, a scalar, and `gaps` `[ways - 2]`, float64.
    """
    below = np.arange(1, ways) / ways
    cuts = np.log(below / (1 - below))
    return cuts[0], np.log(np.expm1(np.diff(cuts) - _LEAST_GAP))


def ordinal_log_probabilities(
    scores: jax.Array, cuts: jax.Array, distances: jax.Array | None = None
) -> jax.Array:
    """Class log-probabilities by proportional odds: P(class <= k) = sigmoid(cuts_k - score).

    By sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), which holds its digits
    wherever the score lies. As probabilities of classes sum to one, they are logits too, and
    `learners.base.cross_entropy` of them is the likelihood (McCullagh 1980, eq. 2.2).

    Args:
      scores: `[n]` float, the larger the higher the class.
      cuts: `[ways - 1]`, strictly ascending.
      distances: `[ways - 2]` between cuts, where they are known to more digits than `cuts` tells.

    Returns:
      `[n, ways]`.

    Example:
      >>> jnp.exp(ordinal_log_probabilities(jnp.zeros(1), jnp.log(jnp.array([1 / 3, 1.0]))))
      Array([[0.25, 0.25, 0.5 ]], dtype=float32)
    """
    if distances is None:
        distances = jnp.diff(cuts)
    above = scores[:, None] - cuts
    at_most, beyond = jax.nn.log_sigmoid(-above), jax.nn.log_sigmoid(above)
    between = at_most[:, 1:] + beyond[:, :-1] + jnp.log(-jnp.expm1(-distances))
    return jnp.concatenate([at_most[:, :1], between, beyond[:, -1:]], axis=-1)


class OrdinalHead(nn.Module):
    """Hidden layers with ReLU, one score, and cut points along it: proportional odds.

    Every learner adapts score and cut points by `cross_entropy` as it does any other weights.

    Attributes:
      ways: ordered classes, at least 2.
      widths: nodes of the hidden layers; `()` for a score that is linear in the features.
    """

    ways: int
    widths: Sequence[int]

    @nn.compact
    def __call__(self, features: jax.Array, use_batch_stats: bool = False) -> jax.Array:
        """`[n, ...]` to class log-probabilities `[n, ways]`."""
        del use_batch_stats
        hidden = FullyConnected(self.widths, 0, name="hidden")(features)
        # A bias would be the first cut point once more.
        start = nn.initializers.normal(0.01)
        score = nn.Dense(1, use_bias=False, kernel_init=start, name="score")(hidden)[:, 0]
        first, even_gaps = even_cuts(self.ways)
        first_cut = self.param("first_cut", lambda _: jnp.asarray(first, jnp.float32))
        if self.ways == 2:
            return ordinal_log_probabilities(score, first_cut[None])
        gaps = self.param("gaps", lambda _: jnp.asarray(even_gaps, jnp.float32))
        return ordinal_log_probabilities(score, *cut_points(first_cut, gaps))

"""Ridge regression on a few images, what it would have said of each image left out included."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metabone.nets.device_axes import vary_together


class RidgeFit(NamedTuple):
    """A regression with a free intercept, which is the mean of its targets.

    Attributes:
      centre: `[D]`, mean of the features.
      weights: `[D, k]`; the prediction is the targets' mean plus (x - centre) weights.
      left_out: `[n, k]`, see `left_out_by_strength`.
    """

    centre: jax.Array
    weights: jax.Array
    left_out: jax.Array


def left_out_by_strength(
    features: jax.Array, targets: jax.Array, strengths: jax.Array
) -> jax.Array:
    """What each image would be told from the others, by one eigendecomposition for all strengths.

    The regression's residual over 1 - leverage is the residual of an image left out (Allen 1974,
    PRESS), of which leverage and residual at every strength follow from the eigenvectors of the
    n x n Gram matrix, or of the D x D one where that is smaller.

    The intercept is taken away: leaving an image out lowers the mean of its own class's target
    among the others, so that every image would seem to be told of another class.

    Args:
      features: `[n, D]`.
      targets: `[n, k]`, whose mean over images is zero.
      strengths: `[s]` penalties of the squared weights, in units of the mean squared length of the
        centred features of an image.

    Returns:
      `[s, n, k]`: (x - mean of the others' features) times the weights that the others give. Not to
      be differentiated where images are alike: eigenvectors are not unique there.
    """
    centred, unit = _centred(features)
    count, width = features.shape
    if count <= width:
        values, basis = jnp.linalg.eigh(centred @ centred.T)
    else:
        values, directions = jnp.linalg.eigh(centred.T @ centred)
        basis = centred @ directions
    values = jnp.maximum(values, 0)
    known = basis.T @ targets

    def at(strength: jax.Array) -> jax.Array:
        kept = (values if count <= width else 1) / (values + strength * unit)
        fitted = basis @ (kept[:, None] * known)
        return _left_out(fitted, jnp.square(basis) @ kept, targets)

    return jax.vmap(at)(strengths)


def ridge_fit(features: jax.Array, targets: jax.Array, strength: jax.Array) -> RidgeFit:
    """The regression at one strength, differentiable as often as one likes.

    Args:
      features: `[n, D]`.
      targets: `[n, k]`, whose mean over images is zero.
      strength: scalar, see `left_out_by_strength`.

    Returns:
      The fit.
    """
    centred, unit = _centred(features)
    count, width = features.shape
    gram = centred @ centred.T if count <= width else centred.T @ centred
    identity = vary_together(jnp.eye(len(gram), dtype=gram.dtype), gram)
    # A system of its own, since a derivative through eigenvectors is infinite for copies.
    inverse = jax.scipy.linalg.solve(gram + strength * unit * identity, identity, assume_a="pos")
    if count <= width:
        weights = centred.T @ (inverse @ targets)
        leverage = (gram * inverse).sum(-1)
    else:
        weights = inverse @ (centred.T @ targets)
        leverage = (centred @ inverse * centred).sum(-1)
    left_out = _left_out(centred @ weights, leverage, targets)
    return RidgeFit(features.mean(0), weights, left_out)


def _centred(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Centred features, and the mean of their squared lengths; 1 where all are alike."""
    centred = features - features.mean(0)
    unit = jnp.square(centred).sum(-1).mean()
    return centred, jnp.where(unit > 0, unit, 1)


def _left_out(fitted: jax.Array, leverage: jax.Array, targets: jax.Array) -> jax.Array:
    count = len(targets)
    # One of n images is explained by the intercept alone, which counts as leverage.
    apart = (targets - fitted) / (1 - 1 / count - leverage)[:, None]
    return targets - apart + targets / (count - 1)

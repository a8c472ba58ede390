"""One answer a film from several regions, by vote.

Min and Kang (2018) read six regions of every film and let each cast one vote of equal weight. The
paper leaves ties open; here they fall to the larger summed probability and then the lower class,
and are counted, so that a table can say how often that mattered.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

# Softmax in float32 is wrong by a few units in the last place, and which way depends on the device.
# Sums that differ by less than this a region are equal for all we know: the lower class wins.
_INDISTINGUISHABLE = 1e-6


class Vote(NamedTuple):
    """What the regions of each film agreed on."""

    classes: jax.Array  # [Q] int32, -1 of a film of which some region's scores are not finite
    tied: jax.Array  # [Q] bool, two or more classes had the most votes


def vote(logits: jax.Array) -> Vote:
    """Let every region cast one equal vote for its most likely class.

    Within a region equal logits vote for the lower class. A tie between regions is resolved by the
    softmax probability summed over all regions, among the tied classes alone, then by the lower
    class.

    Args:
      logits: [R, Q, W] of any float dtype, the scores of R regions on Q films for W classes.

    Returns:
      The class of each film, -1 where some score is not finite, and whether it took a tie-break.

    Example:
      >>> import jax.numpy as jnp
      >>> two_regions_that_disagree = jnp.array([[[3.0, 0.0]], [[0.0, 1.0]]])
      >>> vote(two_regions_that_disagree)
      Vote(classes=Array([0], dtype=int32), tied=Array([ True], dtype=bool))
    """
    chex.assert_rank(logits, 3)
    regions, _, ways = logits.shape
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    ballots = jax.nn.one_hot(jnp.argmax(logits, axis=-1), ways, dtype=jnp.int32)
    votes = ballots.sum(axis=0)
    leading = votes == votes.max(axis=-1, keepdims=True)

    probability = jnp.where(leading, jax.nn.softmax(logits, axis=-1).sum(axis=0), 0.0)
    best = probability.max(axis=-1, keepdims=True)
    elected = leading & (probability >= best - _INDISTINGUISHABLE * regions)
    # The argmax of what is not a number is class 0, and would be a vote like any other.
    known = jnp.isfinite(logits).all(axis=(0, 2))
    return Vote(
        classes=jnp.where(known, jnp.argmax(elected, axis=-1), -1).astype(jnp.int32),
        tied=leading.sum(axis=-1) > 1,
    )


def mean_of_probabilities(logits: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """What the regions say together when each is heard by how sure it is.

    Args:
      logits: [R, Q, W] of any float dtype, the scores of R regions on Q films for W classes.
      weights: [R], at least zero and not all of them; None for equal ones.

    Returns:
      [Q, W] log of the weighted mean of the regions' softmax probabilities.

    Example:
      >>> import jax.numpy as jnp
      >>> unsure_and_sure = jnp.array([[[1.0, 0.0]], [[0.0, 3.0]]])
      >>> int(mean_of_probabilities(unsure_and_sure).argmax())
      1
    """
    chex.assert_rank(logits, 3)
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    weights = jnp.ones(len(logits)) if weights is None else jnp.asarray(weights)
    chex.assert_shape(weights, logits.shape[:1])
    shares = (weights / weights.sum()).astype(logits.dtype)[:, None, None]
    return jax.nn.logsumexp(jax.nn.log_softmax(logits, axis=-1), axis=0, b=shares)


def most_probable(log_probabilities: jax.Array) -> jax.Array:
    """The class of the largest probability; of those that rounding alone sets apart, the lowest.

    Args:
      log_probabilities: [Q, W], as `mean_of_probabilities` gives them.

    Returns:
      [Q] int32.

    Example:
      >>> import jax.numpy as jnp
      >>> rounding = jnp.log(jnp.array([[0.49999997, 0.5, 0.00000003]]))
      >>> most_probable(rounding).tolist()
      [0]
    """
    probabilities = jnp.exp(log_probabilities)
    best = probabilities.max(axis=-1, keepdims=True)
    return jnp.argmax(probabilities >= best - _INDISTINGUISHABLE, axis=-1).astype(jnp.int32)

"""Weights of regions that were learned across tasks, where Min and Kang (2018) vote equally.

They leave that to later work. A region that tells the class on other films is heard more on new
ones.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from metabone.learners.lbfgs import minimise


def learn_region_weights(logits: ArrayLike, truth: ArrayLike, *, steps: int = 200) -> np.ndarray:
    """The weights under which the mean of the regions' probabilities makes the truth most likely.

    Args:
      logits: `[T, R, Q, W]` of Q films in each of T tasks, which the learner was not trained on and
        will not be judged by; finite. `protocol.read_logits` gives them.
      truth: `[T, Q]` classes.
      steps: of L-BFGS, at most.

    Returns:
      `[R]` float32, positive, of sum 1: the `weights` of `voting.mean_of_probabilities`.

    Raises:
      ValueError: shapes that differ, logits that are not finite.

    Example:
      >>> certain, uniform = [[9.0, 0.0], [0.0, 9.0]], [[0.0, 0.0], [0.0, 0.0]]
      >>> learn_region_weights([[certain, uniform]], [[0, 1]]).round(2).tolist()
      [1.0, 0.0]
    """
    logits, truth = np.asarray(logits), np.asarray(truth)
    if logits.ndim != 4 or truth.shape != (logits.shape[0], logits.shape[2]) or not truth.size:
        raise ValueError(
            f"logits {logits.shape}, truth {truth.shape}: expected [T, R, Q, W], [T, Q]"
        )
    if not np.isfinite(logits).all():
        task = int(np.argwhere(~np.isfinite(logits))[0, 0])
        raise ValueError(f"logits of task {task} are not finite")
    log_probabilities = jax.nn.log_softmax(jnp.asarray(logits, jnp.float32), axis=-1)
    chosen = jnp.take_along_axis(log_probabilities, jnp.asarray(truth)[:, None, :, None], axis=-1)
    return np.asarray(_most_likely(jnp.moveaxis(chosen[..., 0], 1, 0), steps))


@jax.jit
def _most_likely(chosen: jax.Array, steps: int) -> jax.Array:
    """Weights `[R]` from the regions' log-probabilities `[R, T, Q]` of the truth."""

    def objective(scores):
        weighted = jax.nn.log_softmax(scores)[:, None, None] + chosen
        return -jax.nn.logsumexp(weighted, axis=0).mean()

    return jax.nn.softmax(minimise(objective, jnp.zeros(len(chosen)), steps))

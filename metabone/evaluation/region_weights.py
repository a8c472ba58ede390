"""Weights of regions that were learned across tasks, where Min and Kang (2018) vote equally.

They leave that to later work. A region that tells the class on other films is heard more on new
ones. The likelihood is that of the weighted mean raised to a power that is learned along: regions
that err apart are together surer than their mean says, and without the power the likelihood hears
the surest region alone, which is right less often than equal weights are.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from metabone.learners.lbfgs import minimise


def learn_region_weights(logits: ArrayLike, truth: ArrayLike, *, steps: int = 200) -> np.ndarray:
    """The weights under which the mean of the regions' probabilities tells most of the truth.

    They maximise the likelihood of `mean ** power / sum(mean ** power)`, over weights and power.
    Some hundred films are needed for regions that tell much the same not to differ by chance.

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
      >>> tells, mistakes_one = [[2.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [2.0, 0.0]]
      >>> tells_more, _ = learn_region_weights([[tells, mistakes_one]], [[0, 1]])
      >>> bool(tells_more > 0.5)
      True
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
    return np.asarray(_most_likely(log_probabilities, jnp.asarray(truth), steps))


@jax.jit
def _most_likely(log_probabilities: jax.Array, truth: jax.Array, steps: int) -> jax.Array:
    def objective(params):
        scores, log_power = params
        log_weights = jax.nn.log_softmax(scores)[:, None, None]
        mean = jax.nn.logsumexp(log_weights + log_probabilities, axis=1)
        sharpened = jax.nn.log_softmax(jnp.exp(log_power) * mean, axis=-1)
        return -jnp.take_along_axis(sharpened, truth[..., None], axis=-1).mean()

    start = jnp.zeros(log_probabilities.shape[1]), jnp.zeros(())
    scores, _ = minimise(objective, start, steps)
    return jax.nn.softmax(scores)

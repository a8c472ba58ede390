"""What other trainings of the same learner would change, of which one training tells nothing."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit


def over_trainings(ci95: float, *means: ArrayLike, level: float = 0.975) -> float:
    """Half width of a mean over trainings, or of a difference of such means.

    The half width over tasks, or films, of what is averaged over trainings, in quadrature with
    Student's half width of each learner's mean over its trainings: a crossed design of tasks and
    trainings, both drawn at random. Every learner's trainings count by themselves, since learners
    of one seed have nothing in common but the seed.

    Args:
      ci95: half width over tasks or films.
      *means: `[N]` mean of each training of a learner, one list a learner that differs. Of one
        training nothing is known of others, and nothing is added.
      level: one-sided, of Student's quantile.

    Returns:
      The half width.

    Example:
      >>> round(over_trainings(0.01, [0.57, 0.59, 0.58]), 4)
      0.0268
      >>> over_trainings(0.01, [0.57])
      0.01
    """
    width = ci95**2
    for own in means:
        own = np.asarray(own, np.float64)
        if len(own) > 1:
            width += stdtrit(len(own) - 1, level) ** 2 * own.var(ddof=1) / len(own)
    return float(np.sqrt(width))

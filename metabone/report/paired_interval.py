"""How far apart two learners are on the same tasks, with an interval that has a width."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv, stdtr, stdtrit

_NO_SPREAD = 1e-9  # below this it is the rounding of differences that are all the same
_LEAST_SKEWNESS = 1e-3  # where a gamma distribution is a normal one


class Difference(NamedTuple):
    """A mean over tasks with the half width of its 95 % interval."""

    mean: float
    ci95: float


def paired_interval(apart: ArrayLike, errors: float | None = None) -> Difference:
    """Mean of differences on the same tasks, with its interval.

    What varies from task to task and is common to both learners cancels. The interval is Student's
    where the mean is near to normal by Cochran's rule (n > 25 G1^2, see
    `evaluation.metrics.near_normal`). Where few tasks hold all the differences, it is wider by one
    task more, on either side: as far apart as the largest that was seen, or 1 / (k + 1) of the
    scale where k tasks differ, in a gamma distribution of the mean, variance and twice the skewness
    that follow, as `evaluation.share_intervals.share_interval` does for one learner.

    Args:
      apart: `[n]` differences of shares, one a task; n >= 2.
      errors: standard errors that the interval is wide; by default Student's of 95 %.

    Example:
      >>> round(paired_interval([0.0] * 600).ci95, 4)
      0.0061
    """
    apart = np.asarray(apart, np.float64)
    n, mean, std = len(apart), float(apart.mean()), float(apart.std(ddof=1))
    errors = float(stdtrit(n - 1, 0.975)) if errors is None else errors
    width = errors * std / np.sqrt(n)
    third = np.sum((apart - mean) ** 3)
    spread = std * np.sqrt((n - 1) / n)
    if std > _NO_SPREAD and n > 25 * (third / n / spread**3) ** 2:
        return Difference(mean, float(width))
    one_more = max(np.abs(apart).max(), 1 / (np.count_nonzero(apart) + 1))
    root = np.sqrt(n * std**2 + one_more**2)
    level = stdtr(n - 1, errors)
    for side in (1, -1):
        skewness = max(2 * (side * third + one_more**3) / root**3, _LEAST_SKEWNESS)
        shape = 4 / skewness**2
        beyond = (gammaincinv(shape, level) - shape) * skewness / 2
        width = max(width, (one_more + root * beyond) / n)
    return Difference(mean, float(width))

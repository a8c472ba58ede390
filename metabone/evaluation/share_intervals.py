"""Intervals of a mean of shares, such as the accuracy on each task, near 0 and 1 as well.

Where nearly all tasks are answered without a fault, a few tasks hold all that varies. Student's
interval and a bootstrap know only faults that were seen: they are too narrow, and of no width where
there was none.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from metabone.evaluation.metrics import mean_interval, near_normal

# Below this a spread is the rounding of shares that are all the same.
_NO_SPREAD = 1e-9


class ShareEstimate(NamedTuple):
    """A mean of shares with its 95 % interval, mean ± ci95.

    Attributes:
      mean: of the shares.
      ci95: half width.
      std: sample standard deviation of the shares.
      n: shares.
      interval: `t` or `gamma`, which of the two kinds it is.
    """

    mean: float
    ci95: float
    std: float
    n: int
    interval: str


def share_interval(shares: ArrayLike) -> ShareEstimate:
    """Mean of the shares of independent tasks with a 95 % interval that has a width.

    Student's where the mean is near to normal, see `metrics.near_normal`. Elsewhere the faults add
    up to about a gamma distribution with the mean and variance of what was seen and one task more
    (Fay and Feuer 1997, for weighted sums of rare counts). That task has as many faults as the
    worst that was seen, or 1 / (k + 1) of all its answers where k tasks had any: how faults cluster
    is not known from few. All right in n tasks is thus 1 - 3 / n at least, the rule of three. The
    limit on the side of the faults is that of 95 %, since hardly any truth lies beyond the other
    end, which is as far away.

    It covers in 93 to 98 of 100 repeats where twenty tasks or more have faults, and more often
    where fewer have.

    Args:
      shares: `[n]` in 0..1, one a task; n >= 2.

    Raises:
      ValueError: fewer than two shares, or one that is no share.

    Example:
      >>> round(share_interval([1.0] * 600).ci95, 4)
      0.005
    """
    estimate = mean_interval(shares)
    shares = np.asarray(shares, np.float64)
    if shares.min() < 0 or shares.max() > 1:
        raise ValueError(f"shares of {shares.min():.3g} to {shares.max():.3g}: expected 0 to 1")
    varies = estimate.std > _NO_SPREAD
    if varies and near_normal(shares):
        return ShareEstimate(*estimate, interval="t")
    offsets = shares - estimate.mean
    rare_is_wrong = np.sum(offsets**3) < 0 if varies else estimate.mean >= 0.5
    faults = 1 - shares if rare_is_wrong else shares
    one_more = max(faults.max(), 1 / (np.count_nonzero(faults) + 1))
    total = faults.sum() + one_more
    variance = estimate.n * estimate.std**2 + one_more**2
    limit = variance / total * gammaincinv(total**2 / variance, 0.95) / estimate.n
    ci95 = float(min(limit, 1.0) - faults.mean())
    return ShareEstimate(estimate.mean, ci95, estimate.std, estimate.n, "gamma")

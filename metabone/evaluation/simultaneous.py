"""How wide intervals must be for the differences of many learners to hold all at once."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

SIMULTANEOUS = "max t over all pairs"


def all_pairs_factor(
    figures: ArrayLike,
    trainings: ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 20_000,
    seed: int = 0,
) -> float:
    """Standard errors within which all paired differences of learners lie at once.

    The quantile of the largest `|t|` over all pairs of learners, t with their correlations
    (Hothorn, Bretz and Westfall 2008), by drawing: Tukey's range where all correlate alike, and
    Student's quantile for two learners. All pairs are counted and not those to the best alone,
    since the best is found on the same tasks: the constants of Hsu's comparisons with the best are
    those of one control, and do not bound how often equal learners seem to differ.

    Args:
      figures: `[n, K]` of K learners on the same n tasks, n >= 2; means over trainings.
      trainings: `[N, K]` mean of each of N >= 2 trainings; the standard error of a difference is
        then that over tasks in quadrature with both learners' `training_errors`. None where
        differences are those of the trainings at hand.
      level: how often all of them hold.
      draws: of the distribution of the largest `|t|`.
      seed: of the draws; the same seed gives the same factor.

    Returns:
      The factor; Student's quantile where no two learners ever differ by more or less.

    Raises:
      ValueError: figures of another shape, or not finite.
    """
    figures = np.asarray(figures, np.float64)
    if figures.ndim != 2 or len(figures) < 2 or not np.isfinite(figures).all():
        raise ValueError(f"figures of shape {figures.shape}: expected finite [n, K] with n >= 2")
    n, learners = figures.shape
    centred = (figures - figures.mean(0)) / np.sqrt(n * (n - 1))
    one, other = np.triu_indices(learners, 1)
    by_task = np.linalg.norm(centred[:, one] - centred[:, other], axis=0)
    own = np.zeros(learners) if trainings is None else training_errors(trainings)
    # What remains is rounding of differences that are all the same.
    vary = by_task**2 + own[one] ** 2 + own[other] ** 2 > 1e-18 / n
    if not vary.any():
        return float(stdtrit(n - 1, (1 + level) / 2))
    one, other, by_task = one[vary], other[vary], by_task[vary]
    # Of n tasks only their covariance matters, whose root has at most K rows.
    root = np.linalg.qr(centred, mode="r")
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((draws, len(root))) @ root
    seen = by_task**2 * rng.chisquare(n - 1, (draws, 1)) / (n - 1)
    if trainings is not None:
        means = means + own * rng.standard_normal((draws, learners))
        degrees = len(np.asarray(trainings)) - 1
        drawn = _moderate(own**2 * rng.chisquare(degrees, (draws, learners)) / degrees)
        seen = seen + drawn[:, one] + drawn[:, other]
    largest = np.max(np.abs(means[:, one] - means[:, other]) / np.sqrt(seen), axis=1)
    return float(np.quantile(largest, level))


def training_errors(trainings: ArrayLike) -> np.ndarray:
    """Standard error of each learner's mean over trainings.

    Two or three trainings hardly tell a variance: half of it is that of all learners together, as
    small samples are moderated where many are compared (Smyth 2004).

    Args:
      trainings: `[N, K]` mean of each training of K learners, N >= 2.

    Returns:
      `[K]` float64.

    Raises:
      ValueError: fewer than two trainings.
    """
    trainings = np.asarray(trainings, np.float64)
    if trainings.ndim != 2 or len(trainings) < 2:
        raise ValueError(f"trainings of shape {trainings.shape}: expected [N, K] with N >= 2")
    return np.sqrt(_moderate(trainings.var(0, ddof=1) / len(trainings)))


def _moderate(variances: np.ndarray) -> np.ndarray:
    return (variances + variances.mean(-1, keepdims=True)) / 2

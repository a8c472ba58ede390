"""How wide intervals must be for the differences of many learners to hold all at once."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

SIMULTANEOUS = "max t over all pairs"


def all_pairs_factor(
    figures: ArrayLike, *, level: float = 0.95, draws: int = 20_000, seed: int = 0
) -> float:
    """Standard errors within which all paired differences of learners lie at once.

    The quantile of the largest `|t|` over all pairs of learners, t with their correlations
    (Hothorn, Bretz and Westfall 2008), by drawing: Tukey's range where all correlate alike, and
    Student's quantile for two learners. All pairs are counted and not those to the best alone,
    since the best is found on the same tasks: the constants of Hsu's comparisons with the best are
    those of one control, and do not bound how often equal learners seem to differ.

    Args:
      figures: `[n, K]` of K learners on the same n tasks, n >= 2.
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
    centred = (figures - figures.mean(0)) / np.sqrt(n - 1)
    one, other = np.triu_indices(learners, 1)
    errors = np.linalg.norm(centred[:, one] - centred[:, other], axis=0)
    vary = errors > 1e-9  # what remains is rounding of differences that are all the same
    if not vary.any():
        return float(stdtrit(n - 1, (1 + level) / 2))
    one, other, errors = one[vary], other[vary], errors[vary]
    # Of n tasks only their covariance matters, whose root has at most K rows.
    root = np.linalg.qr(centred, mode="r")
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((draws, len(root))) @ root
    largest = np.max(np.abs(means[:, one] - means[:, other]) / errors, axis=1)
    return float(np.quantile(largest * np.sqrt((n - 1) / rng.chisquare(n - 1, draws)), level))

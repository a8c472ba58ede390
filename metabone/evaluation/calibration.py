"""Whether a learner's confidence can be believed."""

import numpy as np
from numpy.typing import ArrayLike


def expected_calibration_error(
    probabilities: ArrayLike, truth: ArrayLike, *, bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over equal bins of confidence (Guo et al. 2017).

    Args:
      probabilities: [n, ways] float, rows summing to 1.
      truth: [n] integer labels.
      bins: how many equal parts of (0, 1]; a bin holds its upper edge.

    Returns:
      The gap, weighed by the examples in each bin; 0 for a learner that is right as often as it
      says.

    Example:
      >>> expected_calibration_error([[0.75, 0.25]] * 4, [0, 0, 0, 1])
      0.0
    """
    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(truth)
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1] or not len(truth):
        raise ValueError(
            f"probabilities {probabilities.shape} and labels {truth.shape}, "
            "expected [n, ways] and [n] with n >= 1"
        )
    confidence = probabilities.max(axis=-1)
    right = probabilities.argmax(axis=-1) == truth
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))

"""Area under the ROC curve of answers in many draws, with an interval that covers other films."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from metabone.evaluation.film_intervals import FilmEstimate, film_interval


def auroc_interval(
    scores: ArrayLike, films: ArrayLike, truth: ArrayLike, shots: int = 0
) -> FilmEstimate:
    """Mean over draws of the area under the ROC curve, each class against the rest.

    Of several classes it is the plain mean of theirs (macro, one against the rest), of two that of
    either. The interval is that of its first-order terms, the placements of DeLong et al. (1988),
    as `film_interval` has it of means.

    Args:
      scores: `[draws, Q, W]`, larger where a class is the likelier; not finite is the least of all.
      films: as `film_interval` takes them.
      truth: `[draws, Q]` int, `0 .. W - 1`; each class is there in every draw, beside another.
      shots: as `film_interval` takes them.

    Returns:
      The area, 0.5 for guessing, and its intervals.

    Raises:
      ValueError: shapes that differ, a draw without some class, as for `film_interval`.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth)
    if scores.ndim != 3 or scores.shape[:2] != truth.shape:
        raise ValueError(f"scores {scores.shape}, truth {truth.shape}: expected [draws, Q, W]")
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    return film_interval(auroc_terms(scores, truth), films, truth, shots)


def auroc_terms(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Terms of each answer whose mean over a draw is the draw's area.

    Args:
      scores: `[draws, Q, W]`.
      truth: `[draws, Q]`.

    Returns:
      `[draws, Q]` float64.

    Raises:
      ValueError: a draw without some class.
    """
    draws, asked, ways = scores.shape
    terms = np.zeros((ways, draws, asked))
    for label in range(ways):
        ours = truth == label
        positive = ours.sum(1, keepdims=True)
        negative = asked - positive
        if not positive.all() or not negative.all():
            raise ValueError(f"class {label}: expected it in every draw, beside another")
        own = scores[..., label]
        everywhere = rankdata(own, axis=1)
        # Ranks among one's own side: those of the other side are not there to be counted.
        inside = np.where(
            ours,
            _ranks_within(own, ours),
            _ranks_within(own, ~ours),
        )
        below = everywhere - inside  # of the other side, half of those that are equal
        placement = np.where(ours, below / negative, 1 - below / positive)
        area = np.sum(np.where(ours, placement, 0), 1, keepdims=True) / positive
        share = np.where(ours, asked / positive, asked / negative)
        terms[label] = area + share * (placement - area)
    return terms.mean(0)


def _ranks_within(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Ranks among those inside alone; of the others the value means nothing."""
    # Beyond every other value, those outside take the last ranks and leave the first as they are.
    return rankdata(np.where(inside, values, np.inf), axis=1)

"""Intervals that cover other films, for means over draws that share films.

Draws of support and query films from one small set share films, so that the spread of the draws
says how far other draws of these very films may lie, and nothing of other films: the more draws,
the narrower and the less true. Two things are common to all draws: films asked, which are easy or
hard, and films learned from, which are good or bad examples. Both are estimated from pairs of
answers, as variance components of a crossed design are (Cameron, Gelbach and Miller 2011).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from metabone.evaluation.metrics import mean_interval

COVERS = "other films of these classes"
# Satterthwaite's degrees of freedom of a difference of mean squares are too few to mean anything
# where the difference is near zero; four keeps the coverage (tests/evaluation).
_LEAST_DEGREES = 4


class FilmEstimate(NamedTuple):
    """A mean over draws with 95 % intervals, mean ± ci95.

    Attributes:
      mean: over all answers.
      ci95: half width that covers other films of these classes; nan where a class has but one.
      ci95_draws: half width that covers other draws of these very films.
      std: sample standard deviation of the draws.
      n: draws.
    """

    mean: float
    ci95: float
    ci95_draws: float
    std: float
    n: int


def film_interval(
    values: ArrayLike, films: ArrayLike, truth: ArrayLike, shots: int = 0
) -> FilmEstimate:
    """Mean of figures of single answers, with the error that other films would bring.

    ci95 is in quadrature of three half widths. That of the draws is Student's, as in
    `metrics.mean_interval`. That of the films asked is from pairs of answers on one film in
    different draws: with many draws sum over classes of var(per-film figure) / films, / classes^2.
    That of the films learned from is from pairs of answers in one draw, which share their support
    films: of `n` films a class, draws of `shots` that spread by S leave S * shots / (n - shots)
    (Hoeffding 1948: exact where support films act one by one, else an upper bound).

    Args:
      values: `[draws, Q]` figures of each answer, such as right or wrong; at least two draws.
      films: `[draws, Q]` which film was asked; a film once a draw.
      truth: `[draws, Q]` its class, each as often as any other.
      shots: support films a class; 0 for none, when films learned from are fixed.

    Returns:
      The mean and its intervals.

    Raises:
      ValueError: shapes that differ, fewer than two draws.

    Example:
      >>> films, truth = [[0, 1, 2, 3], [1, 4, 3, 5]], [[0, 0, 1, 1]] * 2
      >>> found = film_interval([[1, 0, 1, 1], [0, 1, 1, 0]], films, truth)
      >>> found.mean, bool(found.ci95 >= found.ci95_draws)
      (0.625, True)
    """
    values, films, truth = np.asarray(values, np.float64), np.asarray(films), np.asarray(truth)
    if values.ndim != 2 or not values.shape == films.shape == truth.shape:
        raise ValueError(
            f"values {values.shape}, films {films.shape}, truth {truth.shape}: expected [draws, Q]"
        )
    of_draws = mean_interval(values.mean(1))
    draws, answers = len(values), values.size

    names, answer_class = np.unique(truth, return_inverse=True)
    answer_class = answer_class.reshape(truth.shape)
    asked = np.bincount(answer_class.ravel())
    centre = np.bincount(answer_class.ravel(), values.ravel()) / asked
    offsets = values - centre[answer_class]
    single = np.sum(offsets**2) / answers**2

    _, film_of = np.unique(films, return_inverse=True)
    film_of = film_of.ravel()
    film_class = np.zeros(film_of.max() + 1, int)
    film_class[film_of] = answer_class.ravel()
    count = np.bincount(film_class, minlength=len(names))
    times = np.bincount(film_of)
    # The centre is of the same films: n - 1.
    unbiased = np.where(count > 1, count / np.maximum(count - 1, 1), np.nan)[film_class]
    by_film = np.sum(unbiased * np.bincount(film_of, offsets.ravel()) ** 2) / answers**2
    of_asked = np.maximum(by_film - single, 0.0)
    degrees = np.sum(count - 1)

    queries = asked / draws
    pool = np.maximum(count, shots + queries)
    # Queries of a draw are all different, and so less alike than others: what that hides.
    pairs = np.sum(times * (times - 1.0))
    hidden = np.mean(queries / pool) * of_asked * answers / pairs if pairs else 0.0
    by_draw = of_draws.std**2 / draws
    shared = np.maximum(by_draw - single + hidden, 0.0)
    of_learned = shared * draws * np.mean(shots / (pool - shots))
    certain = (draws - 1) * (shared / by_draw) ** 2 if by_draw else np.inf
    least = min(_LEAST_DEGREES, draws - 1)

    ci95 = np.sqrt(
        of_draws.ci95**2
        + stdtrit(degrees, 0.975) ** 2 * of_asked
        + stdtrit(np.clip(certain, least, 1e6), 0.975) ** 2 * of_learned
    )
    return FilmEstimate(of_draws.mean, float(ci95), of_draws.ci95, of_draws.std, draws)


def kappa_interval(
    predicted: ArrayLike, films: ArrayLike, truth: ArrayLike, shots: int = 0
) -> FilmEstimate:
    """Quadratic weighted kappa of all draws' answers together, as `film_interval` has a mean.

    kappa = 1 - sum of squared distances / what chance would give, a ratio of two means of answers:
    the interval is that of its first-order terms (the delta method).

    Args:
      predicted: `[draws, Q]` class that was answered, at least two draws.
      films: as `film_interval` takes them.
      truth: as `film_interval` takes it.
      shots: as `film_interval` takes them.

    Returns:
      Kappa as `metrics.quadratic_weighted_kappa` has it, and its intervals; all nan where truth and
      answers are one and the same class.

    Raises:
      ValueError: as for `film_interval`.
    """
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    names, times = np.unique(truth, return_counts=True)
    distance = (predicted - truth) ** 2.0
    by_chance = ((predicted[..., None] - names) ** 2.0) @ (times / truth.size)
    if not by_chance.any():
        nan = float("nan")
        return FilmEstimate(nan, nan, nan, nan, len(predicted))
    share = distance.mean() / by_chance.mean()
    terms = 1 - share - (distance - share * by_chance) / by_chance.mean()
    return film_interval(terms, films, truth, shots)

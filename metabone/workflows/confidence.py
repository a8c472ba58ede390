"""How sure a model may be, judged by films that it had not learned from."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, ndtri
from scipy.stats import binom

LEVEL = 0.9
"""Of conformal sets: at least this share of films like the labelled ones is in its set."""

FAMILIAR = 0.99
"""At least this share of films like the labelled ones is not marked as unlike them."""

SIGNIFICANCE = 0.005
"""Of the test against guessing. Folds share films, so that figures of cross-validation scatter more
than counts of independent films: at 0.01 the shipped learner passed on 10 of 150 sets of 40 films
of pure noise, at 0.005 on 3."""

_SOFTEST, _HARDEST = 1e3, 1e-2  # temperatures, in standard deviations of the logits


class Share(NamedTuple):
    """A share of films with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(share: float, count: int) -> Share:
    """Wilson's 95 % score interval of a share (Wilson 1927).

    It covers how the share would scatter with other films drawn as these were. It does not cover
    films from elsewhere.

    Args:
      share: in [0, 1].
      count: independent films or patients, at least 1.

    Example:
      >>> [round(float(end), 3) for end in wilson(0.5, 100)]
      [0.5, 0.404, 0.596]
    """
    z2 = float(ndtri(0.975)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * share * (1 - share) / count + z2**2 / (4 * count**2)) / (1 + z2 / count)
    return Share(float(share), max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def independent_films(units: np.ndarray) -> int:
    """How many independent films those of some patients are worth, at least (Kish 1965).

    n^2 / sum m^2 for patients of m films each: their number where all have as many, and fewer
    where some have more, since what is common to one patient's films weighs by their number.

    Args:
      units: `[n]` int, alike for films of one patient; n >= 1.

    Example:
      >>> independent_films(np.array([0, 1, 2, 2])), independent_films(np.array([0, 0, 1, 1]))
      (2, 2)
    """
    _, films = np.unique(units, return_counts=True)
    return int(len(units) ** 2 // np.sum(films**2))


def chance_of(share: float, count: int, guessing: float) -> float:
    """How likely guessing is to be right at least as often: a one-sided exact binomial test.

    Args:
      share: of films that were read rightly.
      count: independent films or patients; of a share of them the whole number below is taken.
      guessing: share that guessing gets right.

    Returns:
      The p-value.

    Example:
      >>> round(chance_of(0.5, 60, 1 / 3), 4)
      0.0056
    """
    right = math.floor(share * count + 1e-9)
    return float(binom.sf(right - 1, count, guessing))


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log probability of the labels, in nats.

    Args:
      logits: `[n, K]`.
      labels: `[n]` int.
      temperature: by which logits are divided.
    """
    logits = np.asarray(logits, np.float64) / temperature
    return float(-log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean())


def smoothed_log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Log loss against labels that a further film of each class tempers (Platt 1999).

    The label has the probability (n + 1) / (n + K), each other class 1 / (n + K): however well `n`
    films are told apart, they do not show that the next one is certain.

    Args:
      logits: `[n, K]`.
      labels: `[n]` int.
      temperature: by which logits are divided.
    """
    count, classes = np.shape(logits)
    logs = log_softmax(np.asarray(logits, np.float64) / temperature, axis=-1)
    own = logs[np.arange(count), labels]
    return float(-(count * own + logs.sum(-1)).mean() / (count + classes))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which logits lose least (Guo et al. 2017), by `smoothed_log_loss`.

    Args:
      logits: `[n, K]` of films that were not learned from.
      labels: `[n]` int.

    Returns:
      A positive number; 1 where no other is better.
    """
    logits = np.asarray(logits, np.float64)
    # Logits of squared distances are of any size.
    scale = float(np.std(logits - logits.mean(-1, keepdims=True))) or 1.0
    ends = math.log(_HARDEST * scale), math.log(_SOFTEST * scale)
    found = minimize_scalar(
        lambda log_t: smoothed_log_loss(logits, labels, math.exp(log_t)),
        bounds=ends,
        method="bounded",
    )
    best = math.exp(float(found.x))
    plain = smoothed_log_loss(logits, labels)
    return best if smoothed_log_loss(logits, labels, best) <= plain else 1.0


def probabilities_of(logits: np.ndarray, temperature: float) -> np.ndarray:
    """`[n, K]` logits to float64 probabilities; the likeliest class stays what it was."""
    return np.exp(log_softmax(np.asarray(logits, np.float64) / temperature, axis=-1))


def conformal_limit(probabilities: np.ndarray, labels: np.ndarray, level: float = LEVEL) -> float:
    """Least probability of a class in a conformal set (Sadinle et al. 2019).

    Args:
      probabilities: `[n, K]` of films that were not learned from.
      labels: `[n]` int.
      level: share of films that shall be in their sets.

    Returns:
      The limit: of the `n` probabilities of true classes the one that at least
      `ceil((n + 1) level)` reach; 0, which lets all classes in, where `n` is too small for that.
    """
    own = np.sort(probabilities[np.arange(len(labels)), labels])[::-1]
    rank = math.ceil((len(own) + 1) * level - 1e-9)
    return float(own[rank - 1]) if rank <= len(own) else 0.0


def conformal_sets(probabilities: np.ndarray, limit: float) -> np.ndarray:
    """Which classes are in the set of each film: `[n, K]` bool, the likeliest always."""
    sets = probabilities >= limit
    sets[np.arange(len(sets)), probabilities.argmax(-1)] = True
    return sets


def familiar_limit(distances: np.ndarray, share: float = FAMILIAR) -> float:
    """Distance to the nearest labelled film beyond which a film is marked as unlike them.

    Args:
      distances: `[n]` from films that were not learned from to the nearest of the others.
      share: of films like these that shall not be marked.

    Returns:
      The distance that `ceil((n + 1) share)` of them do not exceed, or the largest.
    """
    rank = math.ceil((len(distances) + 1) * share - 1e-9)
    return float(np.sort(distances)[min(rank, len(distances)) - 1])


def distances_between(films: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distances, `[n, D]` and `[m, D]` to `[n, m]` float64."""
    films, others = np.asarray(films, np.float64), np.asarray(others, np.float64)
    squares = (films**2).sum(-1)[:, None] + (others**2).sum(-1) - 2 * films @ others.T
    return np.sqrt(np.maximum(squares, 0))

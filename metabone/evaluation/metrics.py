"""Figures of merit and the intervals that belong beside them.

Computed on the host in float64: they are a few thousand numbers at the end of a run, and a figure
that is printed should not carry the rounding of the device that made it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit


class Estimate(NamedTuple):
    """A mean over draws or tasks with its 95 % interval, mean ± ci95."""

    mean: float
    ci95: float  # half width
    std: float  # sample standard deviation, n - 1 in the denominator
    n: int


def mean_interval(values: ArrayLike) -> Estimate:
    """Mean with a 95 % Student t interval: ci95 = t(0.975, n - 1) * std / sqrt(n).

    Draws that share films are not independent of each other: for them this covers other draws of
    these very films alone, and `film_intervals.film_interval` other films.

    Args:
      values: [n] figures of n >= 2 independent draws or tasks.

    Returns:
      The mean, the half width of its interval, the sample standard deviation, and n.

    Raises:
      ValueError: fewer than two values, or one that is not finite.

    Example:
      >>> mean_interval([0.5, 0.7])
      Estimate(mean=0.6, ci95=1.27..., std=0.14..., n=2)
    """
    values = _finite(values, least=2)
    n = len(values)
    std = float(values.std(ddof=1))
    ci95 = float(stdtrit(n - 1, 0.975)) * std / np.sqrt(n)
    return Estimate(mean=float(values.mean()), ci95=float(ci95), std=std, n=n)


def near_normal(values: ArrayLike) -> bool:
    """Whether the mean of these figures is near enough to normal for `mean_interval`.

    Cochran's rule (Sampling Techniques, 1977, section 2.15): n > 25 G1^2, G1 their skewness. Tasks
    that are nearly all answered without an error are skewed.

    Args:
      values: [n] figures, n >= 2.

    Returns:
      Whether the rule holds; it does where all figures are the same.

    Raises:
      ValueError: as for `mean_interval`.

    Example:
      >>> near_normal([0.2, 0.4, 0.6]), near_normal([1.0] * 99 + [0.0])
      (True, False)
    """
    offsets = _finite(values, least=2)
    offsets = offsets - offsets.mean()
    spread = np.sqrt(np.mean(offsets**2))
    if spread == 0:
        return True
    return bool(len(offsets) > 25 * np.mean((offsets / spread) ** 3) ** 2)


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Share of labels that are met, along the last axis.

    Args:
      truth: [..., n] integer labels.
      predicted: [..., n] integer labels; leading axes broadcast, so [draws, n] gives [draws].

    Returns:
      [...] float64 in 0..1.

    Example:
      >>> accuracy([0, 1, 2, 2], [[0, 1, 2, 1], [0, 0, 0, 0]])
      array([0.75, 0.25])
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if not predicted.size or truth.shape[-1] != predicted.shape[-1]:
        raise ValueError(f"labels of shape {truth.shape} against predictions {predicted.shape}")
    return np.mean(truth == predicted, axis=-1)


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, classes: int) -> np.ndarray:
    """Count how often each class was taken for each other.

    Args:
      truth: integer labels of any shape.
      predicted: integer labels of the same shape.
      classes: how many there are; labels lie in 0..classes - 1.

    Returns:
      [classes, classes] int64, rows truth, columns predicted.

    Raises:
      ValueError: shapes differ or a label lies outside.

    Example:
      >>> confusion_matrix([0, 0, 1], [0, 1, 1], classes=2)
      array([[1, 1],
             [0, 1]])
    """
    truth, predicted = _same_shape(truth, predicted)
    for name, labels in (("truth", truth), ("predicted", predicted)):
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise ValueError(
                f"{name} has labels {labels.min()}..{labels.max()}, expected 0..{classes - 1}"
            )
    flat = truth.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def mean_absolute_error(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean distance between truth and prediction, in their own unit (bone age: months).

    Args:
      truth: numbers of any shape.
      predicted: numbers of the same shape.

    Returns:
      The error, 0 at best.

    Example:
      >>> mean_absolute_error([120.0, 96.0], [126.0, 94.0])
      4.0
    """
    truth, predicted = _same_shape(truth, predicted)
    if not truth.size:
        raise ValueError("the mean of no errors is undefined; expected at least one example")
    return float(np.mean(np.abs(truth.astype(np.float64) - predicted.astype(np.float64))))


def quadratic_weighted_kappa(truth: ArrayLike, predicted: ArrayLike, classes: int) -> float:
    """Agreement on ordered classes beyond chance, errors weighed by their squared distance.

    Cohen (1968): 1 - sum(w * observed) / sum(w * expected), w[i, j] = (i - j) ** 2, and expected
    what independent raters with the same marginals would give.

    Args:
      truth: integer labels of any shape.
      predicted: integer labels of the same shape.
      classes: how many there are.

    Returns:
      1 for full agreement, 0 for chance; nan where truth and prediction are one and the same
      class throughout, since chance agreement is then already full.

    Example:
      >>> quadratic_weighted_kappa([0, 1, 2, 2], [0, 1, 2, 1], classes=3)
      0.8
    """
    observed = confusion_matrix(truth, predicted, classes).astype(np.float64)
    if not observed.sum():
        raise ValueError("kappa of no labels is undefined; expected at least one example")
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    ranks = np.arange(classes)
    weights = (ranks[:, None] - ranks[None, :]) ** 2
    by_chance = np.sum(weights * expected)
    return float(1 - np.sum(weights * observed) / by_chance) if by_chance else float("nan")


def _same_shape(truth: ArrayLike, predicted: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"labels of shape {truth.shape} against predictions {predicted.shape}")
    return truth.ravel(), predicted.ravel()


def _finite(values: ArrayLike, least: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(f"figures of shape {values.shape}, expected [n] with n >= {least}")
    if not np.isfinite(values).all():
        raise ValueError(
            f"figure {int(np.argmin(np.isfinite(values)))} of {len(values)} is not finite"
        )
    return values

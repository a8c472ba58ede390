"""How far ages are off, by sex and by age, with intervals that cover other patients.

All ages are in months. An age that is not finite is no answer: it is refused, and never averaged.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from metabone.errors import InputError
from metabone.other_trainings import over_trainings

EDGES = (0, 60, 108, 156, 204, 240)
"""Of the bands of age, months."""

WITHIN = (6, 12, 24)
"""Months that a reader asks how many films lie within."""

GROUPS = (("all", None), ("male", "M"), ("female", "F"))
"""Whom errors are told of, and the sex of their films; None for everyone."""


def age_groups(
    predicted: ArrayLike, months: ArrayLike, sex: ArrayLike, patients: ArrayLike
) -> dict[str, dict[str, Any] | None]:
    """Errors of all films, of males and of females.

    Several trainings are readers of the same films: errors are of one reader, averaged over
    readers, not of the mean of their answers.

    Args:
      predicted: `[trainings, N]` or `[N]` months that were read.
      months: `[N]` months that are true.
      sex: `[N]` str, `'F'`, `'M'`, or `''` where it is not known: such films count among all alone.
      patients: `[N]` who is on the film.

    Returns:
      "all", "male" and "female" to a dictionary, or to None where there is no film. "n" is films;
      "mae" the mean absolute error, and "mae_ci95" the half width of its 95 % interval, which
      covers other patients and, of several trainings, other trainings (None of one patient);
      "rmse" the root of the mean squared error; "bias" the mean of predicted minus true, with
      "bias_ci95"; "limits" [low, high], bias ± 1.96 standard deviations of predicted minus true,
      within which a reading lies in 95 of 100 films if differences are normal (Bland and Altman
      1986); "within_6", "within_12" and "within_24" the share of readings off by at most so many
      months; "training_means" the mean absolute error of each training.

    Raises:
      InputError: a prediction or an age that is not finite, or another sex.
      ValueError: shapes that differ.
    """
    predicted, months, sex, patients = _checked(predicted, months, sex, patients)
    found: dict[str, dict[str, Any] | None] = {}
    for name, which in GROUPS:
        own = np.full(len(months), True) if which is None else sex == which
        found[name] = _group(predicted[:, own], months[own], patients[own]) if own.any() else None
    return found


def age_bands(
    predicted: ArrayLike,
    months: ArrayLike,
    sex: ArrayLike,
    patients: ArrayLike,
    edges: Sequence[float] = EDGES,
) -> list[dict[str, Any]]:
    """Errors by band of true age, for all films, males and females.

    Args:
      predicted: as `age_groups` takes it.
      months: as `age_groups` takes it.
      sex: as `age_groups` takes it.
      patients: as `age_groups` takes it.
      edges: months between which bands lie, ascending; a band holds its lower edge.

    Returns:
      A dictionary a band and group with any film, bands ascending: "from" and "to" (None where
      films lie below the first edge, or at the last and above), "sex" ("all", "male", "female"),
      and "n", "mae", "mae_ci95", "bias" as in `age_groups`.

    Raises:
      InputError: as for `age_groups`.
      ValueError: shapes that differ, edges that do not ascend.
    """
    predicted, months, sex, patients = _checked(predicted, months, sex, patients)
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges {list(edges)}: expected two or more, ascending")
    bounds = [None, *edges, None]
    band = np.searchsorted(edges, months, side="right")
    found = []
    for at, (low, high) in enumerate(pairwise(bounds)):
        for name, which in GROUPS:
            own = (band == at) & ((sex == which) if which else True)
            if own.any():
                group = _group(predicted[:, own], months[own], patients[own])
                told = {key: group[key] for key in ("n", "mae", "mae_ci95", "bias")}
                found.append({"from": low, "to": high, "sex": name, **told})
    return found


class MedianBaselines(NamedTuple):
    """What can be said of films without looking at them.

    Attributes:
      median: `[N]` float64, the median age of the training films.
      by_sex: `[N]` float64, the median of the film's own sex.
    """

    median: np.ndarray
    by_sex: np.ndarray


def median_baselines(
    train_months: ArrayLike, train_sex: ArrayLike, test_sex: ArrayLike
) -> MedianBaselines:
    """Predicts the median, which has the least absolute error of all that look at nothing.

    Args:
      train_months: `[M]` ages of the training films, months.
      train_sex: `[M]` str, their sex.
      test_sex: `[N]` str, sex of the films asked. An unknown sex, or one without any training film,
        gets the median of all.

    Raises:
      ValueError: no training film, shapes that differ.

    Example:
      >>> median_baselines([60, 80, 120], ["F", "F", "M"], ["M", "F", ""]).by_sex.tolist()
      [120.0, 70.0, 80.0]
    """
    train_months, train_sex = np.asarray(train_months, np.float64), np.asarray(train_sex)
    if train_months.ndim != 1 or train_months.shape != train_sex.shape or not len(train_months):
        raise ValueError(
            f"months {train_months.shape} and sex {train_sex.shape}: expected [M] with M >= 1"
        )
    test_sex = np.asarray(test_sex)
    median = np.full(len(test_sex), np.median(train_months))
    by_sex = median.copy()
    for which in ("F", "M"):
        own = train_months[train_sex == which]
        if len(own):
            by_sex[test_sex == which] = np.median(own)
    return MedianBaselines(median, by_sex)


class ErrorDifference(NamedTuple):
    """How much larger one arm's absolute errors are than another's on the same films, months.

    Attributes:
      mean: of the first's minus the second's.
      ci95: half width of its 95 % interval; nan of one patient.
      n: films.
    """

    mean: float
    ci95: float
    n: int

    @property
    def lower(self) -> bool:
        """Whether the first arm's errors are lower by more than the interval."""
        return self.mean + self.ci95 < 0


def paired_error_difference(
    a: ArrayLike, b: ArrayLike, months: ArrayLike, patients: ArrayLike
) -> ErrorDifference:
    """Compares the absolute errors of two arms film by film: what is hard for both cancels.

    Args:
      a: `[trainings, N]` or `[N]` months that the first arm read.
      b: `[trainings, N]` or `[N]` months that the second read; as many trainings or others.
      months: `[N]` months that are true.
      patients: `[N]` who is on the film.

    Returns:
      The difference of the mean absolute errors, with an interval that covers other patients and,
      where an arm was trained several times, other trainings of it.

    Raises:
      InputError: a prediction or an age that is not finite.
      ValueError: shapes that differ.
    """
    nobody = np.full(len(np.asarray(months)), "")
    a, truth, _, patients = _checked(a, months, nobody, patients)
    b = _checked(b, months, nobody, patients)[0]
    a, b = np.abs(a - truth), np.abs(b - truth)
    mean, width = _mean_over_patients(a.mean(0) - b.mean(0), patients)
    return ErrorDifference(mean, over_trainings(width, a.mean(1), b.mean(1)), len(truth))


def _group(predicted: np.ndarray, months: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    apart = predicted - months
    off = np.abs(apart)
    mae, mae_width = _mean_over_patients(off.mean(0), patients)
    bias, bias_width = _mean_over_patients(apart.mean(0), patients)
    # Around the bias of all readings, so that trainings that disagree widen the limits.
    reach = 1.96 * float(apart.std(ddof=1)) if apart.size > 1 else float("nan")
    return {
        "n": len(months),
        "mae": mae,
        "mae_ci95": _known(over_trainings(mae_width, off.mean(1))),
        "rmse": float(np.sqrt(np.mean(apart**2))),
        "bias": bias,
        "bias_ci95": _known(over_trainings(bias_width, apart.mean(1))),
        "limits": [_known(bias - reach), _known(bias + reach)],
        **{f"within_{most}": float(np.mean(off <= most)) for most in WITHIN},
        "training_means": off.mean(1).tolist(),
    }


def _mean_over_patients(values: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """Mean over films and its half width over patients, all films of whom are drawn together.

    That of resampling patients in closed form: the first-order terms of a ratio of two sums over
    patients (Cochran 1977, section 2.11), with Student's quantile for the few there may be.
    """
    mean = float(values.mean())
    _, whose = np.unique(patients, return_inverse=True)
    sums = np.bincount(whose.ravel(), values - mean)
    if len(sums) < 2:
        return mean, float("nan")
    error = np.sqrt(np.sum(sums**2) * len(sums) / (len(sums) - 1)) / len(values)
    return mean, float(stdtrit(len(sums) - 1, 0.975) * error)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _checked(
    predicted: ArrayLike, months: ArrayLike, sex: ArrayLike, patients: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    predicted = np.atleast_2d(np.asarray(predicted, np.float64))
    months, sex, patients = np.asarray(months, np.float64), np.asarray(sex), np.asarray(patients)
    films = months.shape
    fits = predicted.ndim == 2 and predicted.shape[1:] == films == sex.shape == patients.shape
    if not fits or not predicted.size:
        raise ValueError(
            f"predicted {predicted.shape}, months {films}, sex {sex.shape}, patients "
            f"{patients.shape}: expected [trainings, N] and three times [N]"
        )
    if not np.isfinite(months).all():
        raise InputError(f"{np.sum(~np.isfinite(months))} of {len(months)} true ages not finite")
    lost = (~np.isfinite(predicted)).sum(1)
    if lost.any():
        raise InputError(
            f"training {np.argmax(lost) + 1} of {len(predicted)} read ages that are not finite on "
            f"{lost.max()} of {len(months)} films, expected months: it has diverged"
        )
    unknown = sorted({*sex.tolist()} - {"F", "M", ""})
    if unknown:
        raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")
    return predicted, months, sex, patients

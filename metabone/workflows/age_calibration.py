"""Straight lines by sex that bring a network's ages to those of another clinic, in closed form.

A clinic's films differ in exposure and resolution, its raters and its patients from those that a
network learned from; most of what that does to an age is a shift and a stretch, which a few films
tell (Deeplasia corrects with a line by sex, fitted to 121 films). With few films a line must not
follow their noise. So what a line changes is shrunk towards nothing, as by a prior that is worth a
stated number of films.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from metabone.errors import InputError
from metabone.evaluation.conformal import LEVEL, HalfWidths, half_widths, least_films
from metabone.training.age_scale import AgeScale

_SIGNS = {"F": -1.0, "M": 1.0, "": 0.0}


class Shrinkage(NamedTuple):
    """How many films each part of a correction must outweigh; with as many it is halved.

    Each is the variance of a reading about its line over that of what the part may be at another
    clinic, with 10 months for the reading's deviation.

    Attributes:
      shift: of all ages; 1 film, for a shift of about 10 months.
      stretch: of ages a deviation from their mean; 6 films, for 4 months.
      shift_by_sex: half of what the shifts of males and females differ by; 6 films, for 4 months.
      stretch_by_sex: likewise of stretches; 12 films, for 3 months.
    """

    shift: float = 1.0
    stretch: float = 6.0
    shift_by_sex: float = 6.0
    stretch_by_sex: float = 12.0


SHRINKAGE = Shrinkage()
"""What corrections are shrunk by."""


class AgeLines(NamedTuple):
    """Months are `intercept + slope * read`, by sex.

    Attributes:
      male: (intercept in months, slope).
      female: likewise.
      unknown: of films whose sex is not known: the mean of both.
    """

    male: tuple[float, float]
    female: tuple[float, float]
    unknown: tuple[float, float]

    def months(self, read: ArrayLike, sex: ArrayLike) -> np.ndarray:
        """Corrected months `[N]` float64 of read ones `[N]`, by sex `[N]`.

        Example:
          >>> AgeLines((6.0, 1.0), (0.0, 0.5), (3.0, 0.75)).months([60.0, 60.0], ["M", "F"])
          array([66., 30.])
        """
        read, sex = _of_films(read, sex)
        lines = {"M": self.male, "F": self.female, "": self.unknown}
        intercept, slope = np.array([lines[each] for each in sex.tolist()]).reshape(-1, 2).T
        return intercept + slope * read


NO_CHANGE = AgeLines((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
"""What is read stays."""


def fit_lines(
    read: ArrayLike,
    months: ArrayLike,
    sex: ArrayLike,
    scale: AgeScale,
    shrinkage: Shrinkage = SHRINKAGE,
    *,
    by_sex: bool = True,
    stretch: bool = True,
) -> AgeLines:
    """Fits lines by sex to a clinic's films, each shrunk towards no change.

    With `z` the read age in deviations of the training ages from their mean, and `s` 1 for male, -1
    for female, else 0, the error `months - read` is fitted as `w0 + w1 z + s (w2 + w3 z)` by
    least squares with the penalties of the shrinkage: `(X'X + diag(k)) w = X'(months - read)`.

    Args:
      read: `[n]` months that a network read.
      months: `[n]` that are true at the clinic.
      sex: `[n]` str, `'F'`, `'M'`, or `''`.
      scale: of the ages that the network was trained on; where lines pivot.
      shrinkage: see there.
      by_sex: whether lines differ by sex.
      stretch: whether slopes differ from 1.

    Returns:
      The lines; `NO_CHANGE` of no films.

    Raises:
      InputError: ages that are not finite, another sex, other numbers of films.

    Example:
      >>> fit_lines([80.0], [90.0], [""], AgeScale(80.0, 40.0)).unknown  # half of 10 months
      (5.0, 1.0)
    """
    read, sex = _of_films(read, sex)
    months = _finite(months, len(read))
    parts = np.array([True, stretch, by_sex, stretch and by_sex])
    design = _design(read, sex, scale)[:, parts]
    penalty = np.diag(np.asarray(shrinkage)[parts])
    weights = np.zeros(4)
    weights[parts] = np.linalg.solve(design.T @ design + penalty, design.T @ (months - read))
    return _lines(weights, scale)


def left_out_months(
    read: ArrayLike,
    months: ArrayLike,
    sex: ArrayLike,
    scale: AgeScale,
    shrinkage: Shrinkage = SHRINKAGE,
    *,
    patients: ArrayLike | None = None,
) -> np.ndarray:
    """What lines fitted to the films of all other patients say of each film.

    With `H` the leverages among a patient's films, `(I - H)^-1` times their residuals are those of
    the films left out together (Allen 1974, PRESS).

    Args:
      read: as of `fit_lines`.
      months: likewise.
      sex: likewise.
      scale: likewise.
      shrinkage: likewise.
      patients: `[n]` who is on the film; None where each film is another patient's.

    Returns:
      `[n]` months.
    """
    read, sex = _of_films(read, sex)
    months = _finite(months, len(read))
    design = _design(read, sex, scale)
    inverse = np.linalg.inv(design.T @ design + np.diag(shrinkage))
    residual = months - read - design @ (inverse @ (design.T @ (months - read)))
    found = np.empty_like(months)
    names = np.arange(len(read)) if patients is None else np.asarray(patients)
    for name in np.unique(names):
        own = np.flatnonzero(names == name)
        leverage = design[own] @ inverse @ design[own].T
        found[own] = months[own] - np.linalg.solve(np.eye(len(own)) - leverage, residual[own])
    return found


def widths_of(
    residuals: ArrayLike,
    sex: ArrayLike,
    level: float = LEVEL,
    without_sex: ArrayLike | None = None,
) -> HalfWidths | None:
    """Half widths by sex as far as films suffice, or none where they do not.

    Args:
      residuals: `[n]` months that readings were off, on films that nothing was learned from.
      sex: `[n]` str, `'F'`, `'M'`, or `''`.
      level: share of films that intervals are to hold.
      without_sex: `[n]` months that readings of the same films were off when sex was not told; the
        width of everyone, which films of unknown sex get, is the wider of both.

    Returns:
      Half widths: by sex where either has enough films, see `conformal.least_films`; else one for
      everyone; None of too few films even for that.
    """
    residuals, sex = np.abs(np.asarray(residuals, np.float64)), np.asarray(sex)
    least = least_films(level)
    if len(residuals) < least:
        return None
    enough = all((sex == which).sum() >= least for which in ("F", "M"))
    found = half_widths(residuals, level, sex if enough else None)
    if without_sex is None:
        return found
    untold = half_widths(np.abs(np.asarray(without_sex, np.float64)), level).everyone
    return found._replace(everyone=max(found.everyone, untold))


def _design(read: np.ndarray, sex: np.ndarray, scale: AgeScale) -> np.ndarray:
    z = (read - scale.mean) / scale.deviation
    sign = np.array([_SIGNS[each] for each in sex.tolist()])
    return np.stack([np.ones_like(z), z, sign, sign * z], axis=1)


def _lines(weights: np.ndarray, scale: AgeScale) -> AgeLines:
    def line(sign: float) -> tuple[float, float]:
        shift, stretch = weights[:2] + sign * weights[2:]
        slope = stretch / scale.deviation
        return float(shift - slope * scale.mean), float(1 + slope)

    return AgeLines(line(1.0), line(-1.0), line(0.0))


def _of_films(read: ArrayLike, sex: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    sex = np.asarray(sex, str)
    unknown = sorted({*sex.tolist()} - {*_SIGNS})
    if unknown:
        raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")
    return _finite(read, len(sex)), sex


def _finite(months: ArrayLike, films: int) -> np.ndarray:
    months = np.asarray(months, np.float64)
    if months.shape != (films,) or not np.isfinite(months).all():
        raise InputError(
            f"ages of shape {months.shape} for {films} films: expected one finite number a film"
        )
    return months

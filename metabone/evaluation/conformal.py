"""Intervals around an age that hold the true one as often as they say (split conformal).

An interval is the age that was read, plus and minus a half width. The half width is a quantile of
how far readings of other films were off, films that nothing was learned from (Papadopoulos et al.
2002; Lei et al. 2018): intervals hold in the stated share of films like those, whatever the network
is and however errors are distributed.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from metabone.errors import InputError

LEVEL = 0.9
"""Share of films whose true age lies in the interval."""

_SEXES = (("male", "M"), ("female", "F"))


class HalfWidths(NamedTuple):
    """Half widths of intervals, months.

    Attributes:
      level: share of films whose intervals hold the true age.
      everyone: of films of either sex, or none known.
      male: of males; None where widths are not by sex, or no male film was calibrated on.
      female: of females, in the same way.
    """

    level: float
    everyone: float
    male: float | None = None
    female: float | None = None

    def of(self, sex: ArrayLike) -> np.ndarray:
        """`[N]` half widths of films by sex; everyone's where there is none of the film's own."""
        sex = np.asarray(sex)
        widths = np.full(sex.shape, self.everyone)
        for name, which in _SEXES:
            own = getattr(self, name)
            if own is not None:
                widths[sex == which] = own
        return widths


def half_widths(
    absolute_residuals: ArrayLike, level: float = LEVEL, sex: ArrayLike | None = None
) -> HalfWidths:
    """Half widths from films that nothing was learned or chosen from.

    The `ceil((n + 1) level)`-th smallest of `n` distances: a new film lies no further off with
    probability `level` at least, and, without ties, `level + 1 / (n + 1)` at most (Lei et al. 2018,
    theorem 2.2). Widths by sex hold within either sex, not only over both.

    Args:
      absolute_residuals: `[n]` how far each film's reading was off, months.
      level: share of films that intervals shall hold for.
      sex: `[n]` str, `'F'`, `'M'`, or `''`; None for one width for everyone.

    Raises:
      InputError: a level beyond 0 to 1; too few films, of which an interval would be all ages; a
        distance that is not finite.
      ValueError: shapes that differ, a negative distance.

    Example:
      >>> half_widths(range(1, 20), 0.9).everyone
      18.0
    """
    residuals = _residuals(absolute_residuals)
    everyone = _quantile(residuals, level, "")
    if sex is None:
        return HalfWidths(level, everyone)
    sex = _sex(sex, residuals)
    own = {
        name: _quantile(residuals[sex == which], level, f"{name} ")
        for name, which in _SEXES
        if (sex == which).any()
    }
    return HalfWidths(level, everyone, **own)


def least_films(level: float) -> int:
    """Films from which on there is an interval shorter than all ages.

    Args:
      level: share of films that intervals shall hold for.

    Raises:
      InputError: a level beyond 0 to 1.

    Example:
      >>> least_films(0.9), least_films(0.95)
      (9, 19)
    """
    if not 0 < level < 1:
        raise InputError(f"level {level}: expected a share of films between 0 and 1")
    return math.ceil(level / (1 - level) - 1e-9)


def exact_interval(hits: int, n: int) -> tuple[float, float]:
    """Exact binomial 95 % interval of a share of independent films (Clopper and Pearson 1934).

    Args:
      hits: films for which it was so.
      n: films, at least one.

    Returns:
      (low, high).

    Example:
      >>> low, high = exact_interval(10, 10)
      >>> round(low, 4), high
      (0.6915, 1.0)
    """
    low = betaincinv(hits, n - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, n - hits, 0.975) if hits < n else 1.0
    return float(low), float(high)


def coverage(absolute_residuals: ArrayLike, widths: HalfWidths, sex: ArrayLike) -> dict[str, Any]:
    """How many films have their true age in the interval, by sex.

    Args:
      absolute_residuals: `[N]` how far readings of other films than those of the widths were off.
      widths: what `half_widths` found.
      sex: `[N]` str, `'F'`, `'M'`, or `''`.

    Returns:
      "level", and "all", "male" and "female" to None where there is no film, or to: "n" films;
      "coverage", the share that held; "coverage_ci95", [low, high] by `exact_interval`, which
      counts films as independent; "half_width", mean over films, months.

    Raises:
      InputError: a distance that is not finite, another sex.
      ValueError: shapes that differ, a negative distance.
    """
    residuals = _residuals(absolute_residuals)
    sex = _sex(sex, residuals)
    own_widths = widths.of(sex)
    held = residuals <= own_widths
    found: dict[str, Any] = {"level": widths.level}
    for name, own in _groups(sex):
        n, hits = int(own.sum()), int(held[own].sum())
        found[name] = None
        if n:
            found[name] = {
                "n": n,
                "coverage": hits / n,
                "coverage_ci95": list(exact_interval(hits, n)),
                "half_width": float(own_widths[own].mean()),
            }
    return found


def repeated_coverage(
    absolute_residuals: ArrayLike,
    patients: ArrayLike,
    sex: ArrayLike,
    level: float = LEVEL,
    *,
    by_sex: bool = True,
    repeats: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Coverage and width over random halves of held-out films, so that no one split decides.

    Either half calibrates once and is asked once. Halves of the same films are exchangeable, so
    that widths of their own hold in `level` of them on average by construction: the mean shows that
    widths are right, and, with `by_sex=False`, whom one width for everyone does not hold for. That
    other films are like these it cannot show: see `coverage`, with films apart.

    Args:
      absolute_residuals: `[N]` how far readings were off, months.
      patients: `[N]` who is on the film; a patient's films are in one half.
      sex: `[N]` str, `'F'`, `'M'`, or `''`.
      level: share of films that intervals shall hold for.
      by_sex: whether widths are by sex.
      repeats: halvings.
      seed: of the halvings; the same seed gives the same figures.

    Returns:
      "level", "repeats", and "all", "male", "female" to None where no half has a film, or to:
      "coverage", mean over halves; "coverage_range", [low, high], within which 95 of 100 halves
      lie; "half_width", mean, months.

    Raises:
      InputError: as `half_widths`, with the films of a half.
      ValueError: shapes that differ, a negative distance.
    """
    residuals = _residuals(absolute_residuals)
    sex, names = _sex(sex, residuals), np.asarray(patients)
    if names.shape != residuals.shape:
        raise ValueError(f"patients {names.shape} for {len(residuals)} films: expected [N]")
    whose, names = np.unique(names, return_inverse=True)
    rng = np.random.default_rng(seed)
    shares: dict[str, list[tuple[float, float]]] = {"all": [], "male": [], "female": []}
    for _ in range(repeats):
        first = (rng.permutation(len(whose)) < len(whose) // 2)[names.ravel()]
        for half in (first, ~first):
            own = half_widths(residuals[half], level, sex[half] if by_sex else None).of(sex[~half])
            held = residuals[~half] <= own
            for name, group in _groups(sex[~half]):
                if group.any():
                    shares[name].append((held[group].mean(), own[group].mean()))
    found: dict[str, Any] = {"level": level, "repeats": repeats}
    for name, figures in shares.items():
        found[name] = None
        if figures:
            held, own = np.array(figures).T
            found[name] = {
                "coverage": float(held.mean()),
                "coverage_range": np.quantile(held, (0.025, 0.975)).tolist(),
                "half_width": float(own.mean()),
            }
    return found


def _groups(sex: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [("all", np.full(sex.shape, True)), *((name, sex == which) for name, which in _SEXES)]


def _quantile(residuals: np.ndarray, level: float, whose: str) -> float:
    least = least_films(level)
    if len(residuals) < least:
        raise InputError(
            f"{len(residuals)} {whose}films to calibrate on: intervals that hold in "
            f"{100 * level:g} % of films need {least} or more, of fewer they are all ages"
        )
    return float(np.sort(residuals)[math.ceil((len(residuals) + 1) * level - 1e-9) - 1])


def _residuals(values: ArrayLike) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or (values < 0).any():
        raise ValueError(f"distances of shape {values.shape}: expected [n], none negative")
    if not np.isfinite(values).all():
        raise InputError(
            f"{np.sum(~np.isfinite(values))} of {len(values)} readings are not finite, "
            "expected how far off each is in months"
        )
    return values


def _sex(sex: ArrayLike, residuals: np.ndarray) -> np.ndarray:
    sex = np.asarray(sex)
    if sex.shape != residuals.shape:
        raise ValueError(f"sex {sex.shape} for {len(residuals)} films: expected one a film")
    unknown = sorted({*sex.tolist()} - {"F", "M", ""})
    if unknown:
        raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")
    return sex

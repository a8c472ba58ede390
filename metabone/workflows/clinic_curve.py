"""How many films of a clinic which correction needs: errors on the clinic's other films."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metabone.datasets.progress import progress
from metabone.errors import InputError
from metabone.radiograph.aged_films import AgedFilms
from metabone.workflows.age_adaptation import (
    ridge_months,
    strength_for,
    tune_heads,
    whole_tuner,
)
from metabone.workflows.age_calibration import fit_lines
from metabone.workflows.age_model import AgeModel

COUNTS = (5, 10, 20, 50, 100, 200)
"""Local films."""

UNCORRECTED, SHIFT, LINES = "uncorrected", "shift", "line by sex"
HEAD, WHOLE, META = "head fine-tuned", "network fine-tuned", "meta-learned"
METHODS = (UNCORRECTED, SHIFT, LINES, META, HEAD, WHOLE)
"""In the order of tables."""

WHOLE_FROM = 50
"""Local films from which on the whole network is fine-tuned."""

_FEWEST_ASKED = 20


class Draws(NamedTuple):
    """How often films are drawn anew, by what it costs.

    Attributes:
      closed: of methods in closed form.
      head: of the head.
      whole: of the whole network; 0 for none.
    """

    closed: int = 200
    head: int = 20
    whole: int = 3


DRAWS = Draws()
"""How often films are drawn, unless something else is asked for."""


def counts_for(films: int, counts: Sequence[int] = COUNTS) -> tuple[int, ...]:
    """Those counts of local films that leave 20 others or more to be asked.

    Raises:
      InputError: none does.
    """
    found = tuple(count for count in counts if films - count >= _FEWEST_ASKED)
    if not found:
        raise InputError(
            f"{films} films to compare corrections on: expected at least "
            f"{min(counts) + _FEWEST_ASKED}"
        )
    return found


def clinic_curve(
    model: AgeModel,
    films: AgedFilms,
    *,
    counts: Sequence[int] = COUNTS,
    draws: Draws = DRAWS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compares corrections at several counts of local films.

    Of each draw, films are put in an order by patients; the first are local, and the films of other
    patients are asked. Methods that cost more have the first of the same draws.

    Args:
      model: without correction of its own being used.
      films: of the clinic, in the model's view.
      counts: of local films; those that leave too few others are passed over.
      draws: how many.
      seed: of the draws.

    Returns:
      A row a count and method:

      films: the count.
      method: of `METHODS`.
      draws: how many.
      asked: mean number of films that errors are on.
      mae: mean absolute error on them, months, mean over draws.
      mae_range: [low, high], within which 95 of 100 draws lie.
      gain: by how much that is below the error without correction, on the same films.
      gain_range: likewise.
      better: share of draws in which it is below.

    Raises:
      InputError: too few films, or of another view.
    """
    counts = counts_for(len(films), counts)
    read = model.read_uncorrected(films).astype(np.float64)
    features = model.features(films)
    tune = whole_tuner(model, films, max(counts))
    orders = list(_orders(films.patients, max(draws), seed))
    rows = []
    for count in progress(counts, "comparing corrections", len(counts)):
        locals_ = [order[:count] for order in orders]
        asked = [~np.isin(films.patients, films.patients[local]) for local in locals_]
        if not all(others.any() for others in asked):
            continue  # The last patient has most of the films.
        off = [np.abs(read[others] - films.months[others]).mean() for others in asked]
        for method, said in _methods(model, films, read, features, locals_, draws, tune):
            errors = np.array(
                [
                    np.abs(months[others] - films.months[others]).mean()
                    for months, others in zip(said, asked, strict=False)
                ]
            )
            sizes = [others.sum() for others in asked[: len(errors)]]
            rows.append(_row(count, method, errors, np.array(off[: len(errors)]), np.mean(sizes)))
    if not rows:
        raise InputError(f"{min(counts)} local films leave no other patient to be asked")
    return rows


def winners(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From how many films on which method is worth it.

    Args:
      rows: of `clinic_curve`.

    Returns:
      better_from: method to the fewest local films from which on, at every larger count too, its
        mean error is below that without correction; None where that is never so.
      best: count to the method of the lowest error, by gains on the same films to a hundredth of
        a month; of equals the simplest.
    """
    counts = sorted({row["films"] for row in rows})
    gains = {(row["method"], row["films"]): row["gain"] for row in rows}
    better: dict[str, int | None] = {}
    for method in METHODS[1:]:
        own = [count for count in counts if (method, count) in gains]
        first = None
        for count in reversed(own):
            if gains[method, count] <= 0:
                break
            first = count
        better[method] = first
    best = {
        count: max(
            (method for method in METHODS if (method, count) in gains),
            key=lambda method, count=count: round(gains[method, count], 2),
        )
        for count in counts
    }
    return {"better_from": better, "best": best}


def _orders(patients: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    names, place = np.unique(patients, return_inverse=True)
    for _ in range(draws):
        yield np.argsort(rng.permutation(len(names))[place], kind="stable")


def _methods(
    model: AgeModel,
    films: AgedFilms,
    read: np.ndarray,
    features: np.ndarray,
    locals_: Sequence[np.ndarray],
    draws: Draws,
    tune: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[str, Sequence[np.ndarray]]]:
    months, sex = films.months.astype(np.float64), films.sex
    count = len(locals_[0])

    def lines(local: np.ndarray, **options: bool) -> np.ndarray:
        fitted = fit_lines(read[local], months[local], sex[local], model.scale, **options)
        return fitted.months(read, sex)

    closed = locals_[: draws.closed]
    yield UNCORRECTED, [read] * len(closed)
    yield SHIFT, [lines(local, by_sex=False, stretch=False) for local in closed]
    yield LINES, [lines(local) for local in closed]
    if model.strengths:
        strength = [strength_for(model.strengths, count)]
        given = (model, read, features, months, sex)
        yield META, [ridge_months(*given, local, strength)[0] for local in closed]
    if draws.head:
        yield HEAD, tune_heads(model, features, months, locals_[: draws.head])
    if count >= WHOLE_FROM and draws.whole:
        yield WHOLE, [tune(local) for local in locals_[: draws.whole]]


def _row(
    count: int, method: str, errors: np.ndarray, off: np.ndarray, asked: float
) -> dict[str, Any]:
    gains = off - errors
    return {
        "films": count,
        "method": method,
        "draws": len(errors),
        "asked": float(asked),
        "mae": float(errors.mean()),
        "mae_range": np.quantile(errors, (0.025, 0.975)).tolist(),
        "gain": float(gains.mean()),
        "gain_range": np.quantile(gains, (0.025, 0.975)).tolist(),
        "better": float((gains > 0).mean()),
    }

"""From readings of films to the rows and confusion matrices of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabone.evaluation.film_intervals import COVERS, film_interval, kappa_interval
from metabone.evaluation.metrics import confusion_matrix
from metabone.evaluation.protocol import FilmReading


def rows_of(reading: FilmReading, norms: Sequence[str], **labels: Any) -> list[dict[str, Any]]:
    """Rows of one learner: the vote; of several regions also their means, and each region.

    Args:
      reading: with a leading axis of draws, at least two; NumPy arrays.
      norms: what each of the reading's predictions is called.
      **labels: fields that every row gets, such as learning, model and shots; `paper` goes to the
        vote alone.

    Returns:
      Rows as in `result.json`: accuracy as `mean`, the mean distance in classes as `mae_stages`,
      and `kappa`, quadratic; `ci95` and `..._ci95` are half widths that cover what `covers` says,
      `ci95_draws` other draws of the same films; see `film_intervals`. What was not answered is
      wrong, and as many classes off as can be.
    """
    paper = labels.pop("paper", None)
    rows = []
    for index, norm in enumerate(norms):
        common = {**labels, "norm": norm, "metric": "accuracy", "unit": "draws"}
        votes = reading.votes[:, index]
        rows.append(
            {
                **common,
                **_figures(reading, votes, labels.get("shots", 0)),
                "region": "vote",
                "paper": paper,
                "mean_of_first_5": float((votes == reading.truth)[:5].mean()),
                "tie_rate": float(reading.tied[:, index].mean()),
            }
        )
        regions = reading.regions[:, index]
        if regions.shape[1] > 1:
            for name, answers in (("mean", reading.means), ("weighted", reading.weighted)):
                if answers is not None:
                    own = _figures(reading, answers[:, index], labels.get("shots", 0))
                    rows.append({**common, **own, "region": name})
            for region in range(regions.shape[1]):
                own = _figures(reading, regions[:, region], labels.get("shots", 0))
                rows.append({**common, **own, "region": region + 1})
    return rows


def _figures(reading: FilmReading, answers: np.ndarray, shots: int) -> dict[str, Any]:
    where = reading.films, reading.truth, shots
    right = film_interval(answers == reading.truth, *where)
    top = reading.truth.max()
    furthest = np.where(2 * reading.truth > top, 0, top)
    answers = np.where(answers < 0, furthest, answers)
    distance = film_interval(np.abs(answers - reading.truth), *where)
    kappa = kappa_interval(answers, *where)
    return {
        "mean": right.mean,
        "ci95": right.ci95,
        "ci95_draws": right.ci95_draws,
        "covers": COVERS,
        "std": right.std,
        "n": right.n,
        "mae_stages": distance.mean,
        "mae_stages_ci95": distance.ci95,
        "kappa": kappa.mean,
        "kappa_ci95": kappa.ci95,
    }


def confusions_of(
    reading: FilmReading, norms: Sequence[str], classes: int, **labels: Any
) -> list[dict[str, Any]]:
    """Confusion matrices over all draws, rows the truth, one a norm mode.

    Args:
      reading: with a leading axis of draws; NumPy arrays.
      norms: what each of the reading's predictions is called.
      classes: how many.
      **labels: fields that every entry gets.

    Returns:
      Entries as in `result.json`: `answer` says whose answers a `matrix` counts, which is the
      vote's; `unanswered` films, see `protocol.read_films`, are in none of its columns.
    """
    found = []
    for index, norm in enumerate(norms):
        votes = reading.votes[:, index]
        answered = votes >= 0
        matrix = confusion_matrix(reading.truth[answered], votes[answered], classes)
        found.append(
            {
                **labels,
                "norm": norm,
                "answer": "vote",
                "matrix": matrix.tolist(),
                "unanswered": int(np.sum(~answered)),
            }
        )
    return found


def votes_on(
    reading: FilmReading, films: Sequence[int], prediction: int = 0
) -> Mapping[int, dict[str, Any]]:
    """How given films were read, each in the first draw that asked it.

    Args:
      reading: with a leading axis of draws.
      films: positions in the film set.
      prediction: which of the reading's predictions.

    Returns:
      Film to its `regions` `[R]` and `vote`; films that no draw asked are left out.
    """
    found = {}
    for film in films:
        draws, places = np.nonzero(reading.films == film)
        if len(draws):
            at, place = draws[0], places[0]
            found[int(film)] = {
                "regions": reading.regions[at, prediction, :, place],
                "vote": reading.votes[at, prediction, place],
            }
    return found

"""From readings of films to the rows and confusion matrices of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabone.evaluation.film_intervals import COVERS, film_interval, kappa_interval
from metabone.evaluation.metrics import confusion_matrix
from metabone.evaluation.protocol import FilmReading
from metabone.other_trainings import over_trainings


def rows_of(
    trainings: Sequence[FilmReading], norms: Sequence[str], *, trained: bool = True, **labels: Any
) -> list[dict[str, Any]]:
    """Rows of one learner: the vote; of several regions also their means, and each region.

    Args:
      trainings: reading of each training of the learner, of the same draws, with a leading axis of
        at least two of them; NumPy arrays.
      norms: what each of the reading's predictions is called.
      trained: whether anything is; what is not has no other trainings.
      **labels: fields that every row gets, such as learning, model and shots; `paper` goes to the
        vote alone.

    Returns:
      Rows as in `result.json`: accuracy as `mean`, the mean distance in classes as `mae_stages`,
      and `kappa`, quadratic, all of them means over trainings; `ci95` and `..._ci95` are half
      widths that cover what `covers` says, `ci95_draws` other draws of the same films; see
      `film_intervals` and `other_trainings`. What was not answered is wrong, and as many classes
      off as can be.
    """
    paper = labels.pop("paper", None)
    shots = labels.get("shots", 0)
    count = len(trainings) if trained else 0
    rows = []
    for index, norm in enumerate(norms):
        common = {**labels, "norm": norm, "metric": "accuracy", "unit": "draws"}
        answers = [answers_of(reading, index) for reading in trainings]
        for region in answers[0]:
            own = [each[region] for each in answers]
            row = {**common, **_figures(trainings, own, shots), "trainings": count}
            if region == "vote":
                first = [
                    (votes == reading.truth)[:5].mean()
                    for votes, reading in zip(own, trainings, strict=True)
                ]
                ties = [reading.tied[:, index].mean() for reading in trainings]
                row |= {
                    "paper": paper,
                    "mean_of_first_5": float(np.mean(first)),
                    "tie_rate": float(np.mean(ties)),
                }
            rows.append({**row, "region": region})
    return rows


def answers_of(reading: FilmReading, prediction: int) -> dict[str | int, np.ndarray]:
    """The `[draws, Q]` answers of the vote and, of several regions, of their means and of each."""
    found: dict[str | int, np.ndarray] = {"vote": reading.votes[:, prediction]}
    regions = reading.regions[:, prediction]
    if regions.shape[1] > 1:
        for name, answers in (("mean", reading.means), ("weighted", reading.weighted)):
            if answers is not None:
                found[name] = answers[:, prediction]
        found |= {region + 1: regions[:, region] for region in range(regions.shape[1])}
    return found


def paired_width(
    ours: Sequence[FilmReading],
    theirs: Sequence[FilmReading],
    region: str | int,
    prediction: int,
    shots: int,
) -> float | None:
    """Half width of the 95 % interval of one learner's accuracy minus another's on the same draws.

    Easy films are easy for both, and so are good examples: what is common to both cancels.

    Args:
      ours: reading of each training of the one.
      theirs: of the other.
      region: whose answers, see `answers_of`.
      prediction: which of the readings' predictions.
      shots: support films a class.

    Returns:
      The half width, for other films and, with several trainings, for others of these; None where
      the two were asked other films.
    """
    asked = [reading.films for reading in (*ours, *theirs)]
    if any(not np.array_equal(films, asked[0]) for films in asked):
        return None
    right = [
        np.stack([answers_of(each, prediction)[region] == each.truth for each in readings])
        for readings in (ours, theirs)
    ]
    apart = right[0].mean(0) - right[1].mean(0)
    films = film_interval(apart, asked[0], ours[0].truth, shots).ci95
    return over_trainings(films, *(each.mean((1, 2)) for each in right))


def _figures(
    trainings: Sequence[FilmReading], answers: Sequence[np.ndarray], shots: int
) -> dict[str, Any]:
    where = trainings[0].films, trainings[0].truth, shots
    truth = trainings[0].truth
    furthest = np.where(2 * truth > truth.max(), 0, truth.max())
    right = np.stack([each == truth for each in answers])
    answers = np.stack([np.where(each < 0, furthest, each) for each in answers])
    accuracy = film_interval(right.mean(0), *where)
    off = np.abs(answers - truth)
    distance = film_interval(off.mean(0), *where)
    kappas = [kappa_interval(each, *where) for each in answers]
    means = right.mean((1, 2))
    return {
        "mean": accuracy.mean,
        "ci95": over_trainings(accuracy.ci95, means),
        "ci95_draws": accuracy.ci95_draws,
        "covers": COVERS if len(means) < 2 else f"{COVERS} and other trainings",
        "std": accuracy.std,
        "n": accuracy.n,
        "mae_stages": distance.mean,
        "mae_stages_ci95": over_trainings(distance.ci95, off.mean((1, 2))),
        "kappa": float(np.mean([each.mean for each in kappas])),
        # Of one training each, which is wider than that of their mean.
        "kappa_ci95": over_trainings(
            float(np.mean([each.ci95 for each in kappas])), [each.mean for each in kappas]
        ),
        **({"training_means": means.tolist()} if len(means) > 1 else {}),
    }


def confusions_of(
    trainings: Sequence[FilmReading], norms: Sequence[str], classes: int, **labels: Any
) -> list[dict[str, Any]]:
    """Confusion matrices over all draws and trainings, rows the truth, one a norm mode.

    Args:
      trainings: readings with a leading axis of draws; NumPy arrays.
      norms: what each of the reading's predictions is called.
      classes: how many.
      **labels: fields that every entry gets.

    Returns:
      Entries as in `result.json`: `answer` says whose answers a `matrix` counts, which is the
      vote's; `unanswered` films, see `protocol.read_films`, are in none of its columns.
    """
    found = []
    for index, norm in enumerate(norms):
        votes = np.concatenate([reading.votes[:, index] for reading in trainings])
        truth = np.concatenate([reading.truth for reading in trainings])
        answered = votes >= 0
        matrix = confusion_matrix(truth[answered], votes[answered], classes)
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

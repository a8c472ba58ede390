"""From readings of films to the rows and confusion matrices of a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabone.evaluation.metrics import confusion_matrix, mean_interval
from metabone.evaluation.protocol import FilmReading


def rows_of(reading: FilmReading, norms: Sequence[str], **labels: Any) -> list[dict[str, Any]]:
    """Accuracy rows of one learner: the vote, and each region where there are several.

    Args:
      reading: with a leading axis of draws, at least two; NumPy arrays.
      norms: what each of the reading's predictions is called.
      **labels: fields that every row gets, such as learning, model and shots; `paper` goes to the
        vote alone.

    Returns:
      Rows as in `result.json`: means over draws with 95% intervals.
    """
    paper = labels.pop("paper", None)
    rows = []
    for index, norm in enumerate(norms):
        right = (reading.votes[:, index] == reading.truth).mean(-1)
        common = {**labels, "norm": norm, "metric": "accuracy", "unit": "draws"}
        rows.append(
            {
                **common,
                **_figures(right),
                "region": "vote",
                "paper": paper,
                "mean_of_first_5": float(right[:5].mean()),
                "tie_rate": float(reading.tied[:, index].mean()),
            }
        )
        regions = reading.regions[:, index]
        if regions.shape[1] > 1:
            for region in range(regions.shape[1]):
                right = (regions[:, region] == reading.truth).mean(-1)
                rows.append({**common, **_figures(right), "region": region + 1})
    return rows


def _figures(per_draw: np.ndarray) -> dict[str, Any]:
    estimate = mean_interval(per_draw)
    return {"mean": estimate.mean, "ci95": estimate.ci95, "std": estimate.std, "n": estimate.n}


def confusions_of(
    reading: FilmReading, norms: Sequence[str], classes: int, **labels: Any
) -> list[dict[str, Any]]:
    """Confusion matrices of the vote over all draws, rows the truth, one a norm mode."""
    return [
        {
            **labels,
            "norm": norm,
            "matrix": confusion_matrix(reading.truth, reading.votes[:, index], classes).tolist(),
        }
        for index, norm in enumerate(norms)
    ]


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

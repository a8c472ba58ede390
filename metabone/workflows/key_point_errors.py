"""How far key points that a network reads are from where they belong, as rows of a result."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metabone.radiograph.hand_views import pointed_films
from metabone.radiograph.landmarks import POINT_NAMES, hand_length, point_number
from metabone.radiograph.region_sets import REGION_SETS
from metabone.stored_arrays import save_arrays
from metabone.training.run import Run
from metabone.workflows.confidence import wilson
from metabone.workflows.hand_reading import read_key_points
from metabone.workflows.key_point_films import Measured
from metabone.workflows.key_points import PointNet

FAR = 0.05
"""Of hand length: a point further off is of no use."""

_JOINTS = [point_number(region.centre[0]) for region in REGION_SETS["min_kang_6"]]
_WORST = 5
_RESAMPLED = 1000
_EXAMPLES = 12


def point_errors(read: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distances between points as they were read and as they are.

    Args:
      read: `[n, 21, 2]` float `(x, y)` pixels.
      points: `[n, 21, 2]`, the true ones.

    Returns:
      `[n, 21]` in units of each true hand's length.
    """
    return np.linalg.norm(read - points, axis=-1) / hand_length(points)[:, None]


def error_rows(errors: np.ndarray, **labels: Any) -> list[dict[str, Any]]:
    """What errors come to: their median, the share of points and of whole hands that are far off.

    The median's 95 % interval is a bootstrap over hands, since a hand's points err together. The
    share of points has none, as a bootstrap of rare events is too narrow; that of hands has
    Wilson's.

    Args:
      errors: `[n, 21]` in units of hand length.
      **labels: of every row.

    Returns:
      Rows of the metrics `point_error`, `points_beyond` and `joints_within`, the first with the
      points of the largest median error.
    """
    median = np.median(errors, axis=0)
    worst = np.argsort(-median)[:_WORST]
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(errors), (_RESAMPLED, len(errors)))
    low, high = np.percentile([np.median(errors[rows]) for rows in drawn], (2.5, 97.5))
    hands = wilson(float(np.mean((errors[:, _JOINTS] < FAR).all(axis=1))), len(errors))
    common = labels | {"n": len(errors), "unit": "hands"}
    return [
        common
        | {
            "metric": "point_error",
            "mean": float(np.median(errors)),
            "low": float(low),
            "high": float(high),
            "worst": {POINT_NAMES[k]: round(float(median[k]), 4) for k in worst},
        },
        common | {"metric": "points_beyond", "mean": float(np.mean(errors > FAR))},
        common
        | {"metric": "joints_within", "mean": hands.value, "low": hands.low, "high": hands.high},
    ]


def fill_error_rows(run: Run, net: PointNet, trained_on: str, sets: Sequence[Measured]) -> None:
    """Measures a network on some sets of films, and writes down what the run does not hold yet.

    Of the first set some films are kept as `points.npz`, from the worst to the best.

    Args:
      run: whose rows.
      net: the network.
      trained_on: `simulated`, `real` or `both`, as the rows say.
      sets: the films, none of which it was trained on.
    """
    for index, each in enumerate(sets):
        labels = {"trained_on": trained_on, "measured_on": each.name, "kind": each.kind}
        if run.results.find(**labels) is not None:
            continue
        read = read_key_points(net, each.films).points
        errors = point_errors(read, each.points)
        if index == 0:
            _save_examples(run, each, read, errors)
        run.results.append(*error_rows(errors, **labels))


def _save_examples(run: Run, measured: Measured, read: np.ndarray, errors: np.ndarray) -> None:
    order = np.argsort(-np.median(errors, axis=1))
    chosen = order[np.linspace(0, len(order) - 1, min(_EXAMPLES, len(order))).astype(int)]
    films = [measured.films[row] for row in chosen]
    true, found = (pointed_films(films, at[chosen]) for at in (measured.points, read))
    save_arrays(run.path / "points.npz", films=true.images, points=true.points, read=found.points)

"""Read back what a run has written."""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from metabone.errors import InputError

Curves = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


class Films(NamedTuple):
    """Example films with the regions that were read and what they voted.

    Attributes:
      films: [k, H, W] uint8.
      boxes: [k, R, 4] int32, x0 y0 x1 y1 in pixels.
      region_votes: [k, R] int32 classes.
      votes: [k] int32 classes.
      truth: [k] int32 classes.
    """

    films: np.ndarray
    boxes: np.ndarray
    region_votes: np.ndarray
    votes: np.ndarray
    truth: np.ndarray


class PointedFilms(NamedTuple):
    """Example films with their key points, from the worst read to the best.

    Attributes:
      films: [k, H, W] uint8.
      points: [k, P, 2] float32 (x, y) pixels, where they are.
      read: [k, P, 2] float32, where they were read.
    """

    films: np.ndarray
    points: np.ndarray
    read: np.ndarray


class AgeReadings(NamedTuple):
    """Ages that networks read in test films.

    Attributes:
      months: [N] float, the true ones.
      sex: [N] str, 'F', 'M', or '' where it is not known.
      predicted: [trainings, N] float.
    """

    months: np.ndarray
    sex: np.ndarray
    predicted: np.ndarray


class Run(NamedTuple):
    """A run folder in memory; what it does not have is empty.

    Attributes:
      config: config.json.
      result: result.json; a run that has none yet is an incomplete result without rows.
      curves: phase -> metric -> (steps [n] int64, values [n] float64), from metrics.jsonl.
      films: examples.npz, if there.
      pointed: points.npz, if there.
      ages: `predictions/*.npz`, without names of films.
      maps: name -> [H, W, 3] uint8, of `maps/*.png`.
    """

    config: Mapping[str, Any]
    result: Mapping[str, Any]
    curves: Curves
    films: Films | None
    pointed: PointedFilms | None = None
    ages: tuple[AgeReadings, ...] = ()
    maps: Mapping[str, np.ndarray] = MappingProxyType({})


def read_run(run_dir: str | os.PathLike[str]) -> Run:
    """Read config.json, result.json, metrics.jsonl, examples and predictions of a run.

    Raises:
      InputError: neither config.json nor result.json is there, or a file is not what its name says.
    """
    folder = Path(run_dir)
    config, result = read_figures(folder)
    return Run(
        config=config,
        result=result,
        curves=read_curves(folder / "metrics.jsonl"),
        films=_films(folder / "examples.npz"),
        pointed=_pointed(folder / "points.npz"),
        ages=tuple(_ages(path) for path in sorted((folder / "predictions").glob("*.npz"))),
        maps={path.name: _picture(path) for path in sorted((folder / "maps").glob("*.png"))},
    )


def read_figures(run_dir: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read config.json and result.json alone, as `Run` has them.

    Raises:
      InputError: neither is there, or one is not what its name says.
    """
    folder = Path(run_dir)
    config, result = _json(folder / "config.json"), _json(folder / "result.json")
    if config is None and result is None:
        raise InputError(f"{folder}: no config.json and no result.json, expected a run folder")
    config = config or {}
    result = {"experiment": config.get("experiment", "run"), "complete": False} | (result or {})
    rows = result.get("rows", [])
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and ("metric" in row or "groups" in row) for row in rows
    ):
        raise InputError(
            f"{folder / 'result.json'}: rows must be a list of objects with a metric or groups"
        )
    return config, result


def read_curves(path: str | os.PathLike[str]) -> Curves:
    """Read metrics.jsonl, one object a line with phase, step and figures.

    A killed run leaves a torn last line, and one that continues writes some steps again: torn
    lines are passed over, and of a step written twice the later stands.

    Returns:
      phase -> metric -> (steps, values), steps ascending, phases and metrics as they first appear;
      empty without the file.
    """
    path = Path(path)
    found: dict[str, dict[str, dict[int, float]]] = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if not isinstance(entry, dict) or not isinstance(entry.get("step"), int):
            continue
        phase = found.setdefault(str(entry.get("phase", "training")), {})
        for name, value in entry.items():
            if name not in ("phase", "step") and isinstance(value, int | float):
                phase.setdefault(name, {})[entry["step"]] = float(value)
    return {
        phase: {name: _series(points) for name, points in metrics.items()}
        for phase, metrics in found.items()
    }


def _series(points: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    steps = np.array(sorted(points), np.int64)
    return steps, np.array([points[s] for s in steps.tolist()], np.float64)


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__}, expected an object")
    return content


def _arrays(path: Path, kind: type[Any]) -> Any:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return kind(*(archive[name] for name in kind._fields))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected arrays {', '.join(kind._fields)} ({error})") from None


def _pointed(path: Path) -> PointedFilms | None:
    shown = _arrays(path, PointedFilms)
    if shown is None:
        return None
    shape = (len(shown.films), *shown.points.shape[1:])
    fits = shown.points.ndim == 3 and shown.points.shape == shown.read.shape == shape
    if shown.films.ndim != 3 or shown.films.dtype != np.uint8 or not fits or shape[2] != 2:
        raise InputError(
            f"{path}: films {shown.films.dtype} {shown.films.shape}, points {shown.points.shape} "
            f"and read {shown.read.shape}, expected uint8 [k, H, W] and twice [k, P, 2]"
        )
    return shown


def _ages(path: Path) -> AgeReadings:
    found = _arrays(path, AgeReadings)
    if found.predicted.ndim != 2 or not (
        found.predicted.shape[1:] == found.months.shape == found.sex.shape
    ):
        raise InputError(
            f"{path}: predicted {found.predicted.shape}, months {found.months.shape} and sex "
            f"{found.sex.shape}, expected [trainings, N] and twice [N]"
        )
    return found


def _picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a picture ({error})") from None


def _films(path: Path) -> Films | None:
    films = _arrays(path, Films)
    if films is None:
        return None
    count, regions = films.region_votes.shape if films.region_votes.ndim == 2 else (-1, -1)
    shapes = (films.boxes.shape, films.votes.shape, films.truth.shape)
    expected = ((count, regions, 4), (count,), (count,))
    if films.films.ndim != 3 or films.films.dtype != np.uint8 or shapes != expected:
        raise InputError(
            f"{path}: films {films.films.dtype} {films.films.shape} and boxes, votes, truth "
            f"{shapes}, expected uint8 [k, H, W] and {expected}"
        )
    return films

"""Simulated films in folders, to try adaptation and prediction on."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from metabone.radiograph.film_sets import simulate_films
from metabone.radiograph.stages import STAGES
from metabone.workflows.new_folder import write_folder

SIDES = ("left", "right")
"""Classes of the films: which hand it is, as a small image can still show."""

TRUTH = "new-films-truth.csv"
_SEED = 2018
_TRAIN, _NEW = 20, 10  # films a class


def write_demo_films(folder: str | os.PathLike) -> Path:
    """Writes 60 simulated hand films of all stages, the same each time on one machine.

    Args:
      folder: is made: `train/<left or right>/*.png`, 20 films each; `new/*.png`, 20 films in no
        order; and `new-films-truth.csv`, what these are.

    Returns:
      The folder.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    rng = np.random.default_rng(_SEED)
    each = _TRAIN + _NEW
    stages = np.concatenate(
        [rng.permutation(np.resize(np.arange(STAGES) + 1, each)) for _ in SIDES]
    )
    films = simulate_films(_SEED, stages, keep=range(len(stages))).films
    numbers = iter(rng.permutation(_NEW * len(SIDES)) + 1)
    files: dict[str, bytes] = {}
    truth = []
    for row, film in enumerate(films):
        side, place = SIDES[row // each], row % each
        name = f"train/{side}/{place + 1:02d}.png"
        if place >= _TRAIN:
            name = f"new/film-{next(numbers):02d}.png"
            truth.append((name.removeprefix("new/"), side))
        # Left hands are simulated; in a mirror they are right ones.
        files[name] = _png(film if side == "left" else film[:, ::-1])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "label"), *sorted(truth)])
    return write_folder(folder, files | {TRUTH: text.getvalue().encode()})


def _png(film: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(film).save(data, "PNG")
    return data.getvalue()

"""Simulated films in folders, to try adaptation and prediction on."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from metabone.radiograph.film_sets import simulate_films
from metabone.workflows.model_folder import write_folder

STAGES = {"early": (1, 2), "middle": (5, 6), "late": (10, 11)}
"""Stages of maturity that each class of the films is drawn from."""

TRUTH = "new-films-truth.csv"
_SEED = 2018
_TRAIN, _NEW = 15, 5  # films a class


def write_demo_films(folder: str | os.PathLike) -> Path:
    """Writes 60 simulated hand films, the same to the bit each time on one machine.

    Args:
      folder: is made: `train/<class>/*.png`, 15 films a class; `new/*.png`, 15 films in no order;
        and `new-films-truth.csv`, what these are.

    Returns:
      The folder.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    count = _TRAIN + _NEW
    stages = np.concatenate([np.resize(pair, count) for pair in STAGES.values()])
    classes = np.repeat(list(STAGES), count)
    films = simulate_films(_SEED, stages, keep=range(len(stages))).films
    new = np.arange(len(stages)) % count >= _TRAIN
    numbers = iter(np.random.default_rng(_SEED).permutation(new.sum()) + 1)
    files: dict[str, bytes] = {}
    truth = []
    for row, film in enumerate(films):
        name = f"train/{classes[row]}/{row % count + 1:02d}.png"
        if new[row]:
            name = f"new/film-{next(numbers):02d}.png"
            truth.append((name.removeprefix("new/"), classes[row]))
        files[name] = _png(film)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "label"), *sorted(truth)])
    return write_folder(folder, files | {TRUTH: text.getvalue().encode()})


def _png(film: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(film).save(data, "PNG")
    return data.getvalue()

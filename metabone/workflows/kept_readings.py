"""What each training read, kept with its run: for rows of several trainings, and for pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from metabone.evaluation.protocol import FilmReading
from metabone.stored_arrays import load_arrays, save_arrays
from metabone.training.run import Run, training_folder
from metabone.workflows.task_table import keep_accuracies


def keep_reading(run: Run, labels: Mapping[str, Any], reading: FilmReading) -> None:
    """Keeps a reading, and the accuracy on each draw, by which two runs are compared in pairs.

    Args:
      run: or one of its trainings, `run.training(index)`, whose folder keeps them.
      labels: of the rows, which name the files.
      reading: with a leading axis of draws.
    """
    folder = run.path / "readings"
    folder.mkdir(exist_ok=True)
    parts = reading._asdict()
    if reading.weighted is None:
        parts["weighted"] = np.zeros(0)
    save_arrays(folder / f"{name_of(labels)}.npz", **parts)
    keep_accuracies(run, labels, (reading.votes == reading.truth[:, None]).mean(-1))


def kept_readings(run: Run, labels: Mapping[str, Any], training: int) -> list[FilmReading]:
    """What `keep_reading` kept of each training up to one; what nobody trains is read once."""
    folders = [training_folder(run.path, index) / "readings" for index in range(training + 1)]
    paths = [folder / f"{name_of(labels)}.npz" for folder in folders]
    found = [load_arrays(path, FilmReading._fields) for path in paths if path.exists()]
    return [
        FilmReading(**{**each, "weighted": each["weighted"] if each["weighted"].size else None})
        for each in found
    ]


def name_of(labels: Mapping[str, Any]) -> str:
    """The name of files that belong to rows with these labels."""
    return "-".join(str(value).replace("/", "_") for value in labels.values())

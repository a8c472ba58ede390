"""How features are scaled before a head learns on them, kept with the run that they belong to."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.stored_arrays import load_arrays, save_arrays


class Scaling(NamedTuple):
    """Standardises features by those of the training classes: a fixed part of the backbone.

    Attributes:
      centre: `[D]` float32.
      spread: `[D]` float32, above zero.
      backbone: hash of the weights that the features are of.
    """

    centre: np.ndarray
    spread: np.ndarray
    backbone: str

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """`[N, D]` float32 to the same, standardised."""
        return (features - self.centre) / self.spread


def scaling_of(features: np.ndarray, backbone: str) -> Scaling:
    """The scaling that gives `[N, D]` features mean 0 and standard deviation about 1."""
    return Scaling(features.mean(0), features.std(0) + np.float32(1e-3), backbone)


def save_scaling(folder: Path, scaling: Scaling, of: str = "") -> None:
    """Keeps a scaling with its run; `of` names the backbone where a run has several."""
    arrays = {name: np.asarray(value) for name, value in scaling._asdict().items()}
    save_arrays(_path(folder, of), **arrays)


def load_scaling(folder: Path, backbone: str, of: str = "") -> Scaling:
    """Reads the scaling of a run.

    Args:
      folder: of the run.
      backbone: hash of the weights at hand.
      of: as it was saved.

    Raises:
      InputError: there is none, it is damaged, or it belongs to other weights.
    """
    path = _path(folder, of)
    if not path.exists():
        raise InputError(f"{path}: no such file; the run is of an older version")
    found = load_arrays(path, Scaling._fields)
    if str(found["backbone"]) != backbone:
        raise InputError(f"{folder}: its learners stand on another backbone than the one given")
    return Scaling(found["centre"], found["spread"], backbone)


def _path(folder: Path, of: str) -> Path:
    return folder / f"feature_scale{of and '_'}{of}.npz"

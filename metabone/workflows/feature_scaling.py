"""How features are scaled before a head learns on them, kept with the run that they belong to."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.stored_arrays import load_arrays, save_arrays

_SCALING = "feature_scale.npz"


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


def save_scaling(folder: Path, scaling: Scaling) -> None:
    """Keeps a scaling with its run."""
    save_arrays(folder / _SCALING, **{k: np.asarray(v) for k, v in scaling._asdict().items()})


def load_scaling(folder: Path, backbone: str) -> Scaling:
    """Reads the scaling of a run.

    Args:
      folder: of the run.
      backbone: hash of the weights at hand.

    Raises:
      InputError: there is none, it is damaged, or it belongs to other weights.
    """
    path = folder / _SCALING
    if not path.exists():
        raise InputError(f"{path}: no such file; the run is of an older version")
    found = load_arrays(path, Scaling._fields)
    if str(found["backbone"]) != backbone:
        raise InputError(f"{folder}: its learners stand on another backbone than the one given")
    return Scaling(found["centre"], found["spread"], backbone)

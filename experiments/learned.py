"""What a run's learners need beside their checkpoints: the scale of features, the images seen."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.stored_arrays import load_arrays, save_arrays
from metabone.training.json_files import read_json

_SCALING, _SEEN = "feature_scale.npz", "seen_images.npz"


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
    found = _load(folder / _SCALING, Scaling._fields)
    if str(found["backbone"]) != backbone:
        raise InputError(f"{folder}: its learners stand on another backbone than the one given")
    return Scaling(found["centre"], found["spread"], backbone)


def save_seen(folder: Path, fingerprints: Sequence[str]) -> None:
    """Keeps the hashes of the images that a run trained or chose its learners on.

    Args:
      folder: of the run.
      fingerprints: SHA-256 in hex of each image as it was seen.
    """
    save_arrays(folder / _SEEN, prefixes=_prefixes(fingerprints))


def check_unseen(folder: Path, fingerprints: Sequence[str], name: str) -> None:
    """Checks that a run has not seen images that its learners are now to be measured on.

    Args:
      folder: of the run.
      fingerprints: of the images, at the run's size and channels.
      name: of the source, for the message.

    Raises:
      InputError: It has.
    """
    seen = _load(folder / _SEEN, ("prefixes",))["prefixes"]
    again = np.isin(_prefixes(fingerprints), seen).sum()
    if again:
        raise InputError(
            f"{name}: {again} of its images are among those that {folder} learned from"
        )


def check_backbone(folder: str, held_out: Iterable[str]) -> None:
    """Checks that a pretrain run was not trained on classes that are held out here.

    Args:
      folder: of the run; empty if there is none.
      held_out: names of classes to choose settings on or to test on.

    Raises:
      InputError: It was.
    """
    if not folder:
        return
    trained = set(read_json(Path(folder) / "result.json")["meta_classes"]["train"])
    both = sorted(trained & set(held_out))
    if both:
        raise InputError(
            f"--pretrained={folder}: was trained on {len(both)} classes that are held out here, "
            f"such as {both[0]!a}; use its sources, seed and class numbers"
        )


def data_of(folder: Path) -> list[dict[str, Any]]:
    """The records of the data that a run's learners were trained on."""
    record = read_json(folder / "config.json")
    entries = record.get("data", []) if isinstance(record, dict) else []
    return [entry for entry in entries if isinstance(entry, dict) and entry.get("role") == "meta"]


def _prefixes(fingerprints: Sequence[str]) -> np.ndarray:
    return np.asarray([int(fingerprint[:16], 16) for fingerprint in fingerprints], np.uint64)


def _load(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    if not path.exists():
        raise InputError(f"{path}: no such file; the run is of an older version")
    return load_arrays(path, names)

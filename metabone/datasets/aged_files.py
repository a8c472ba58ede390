"""Films with ages as one file, checked when it is read back."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np

from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.stored_arrays import load_arrays, save_arrays

_ARRAYS = ("images", "months", "sex", "patients", "ids", "looks")


def save_aged_films(films: AgedFilms, path: Path) -> None:
    """Writes films to an npz file that is whole at every moment.

    Args:
      films: to write.
      path: of the file; its folder exists.

    Raises:
      InputError: it cannot be written.
    """
    arrays = {name: getattr(films, name) for name in _ARRAYS}
    if films.looks is None:
        arrays["looks"] = np.zeros(0, np.uint8)
    arrays["provenance"] = np.array(json.dumps(dataclasses.asdict(films.provenance)))
    save_arrays(path, **arrays, sha256=np.array(_sha256(arrays)))


def load_aged_films(path: Path) -> AgedFilms:
    """Reads what `save_aged_films` wrote.

    Args:
      path: of the file.

    Returns:
      The films.

    Raises:
      InputError: there is no such file, or its content is not what was written.
    """
    arrays = load_arrays(path, (*_ARRAYS, "provenance", "sha256"))
    sha256 = str(arrays.pop("sha256"))
    try:
        if sha256 != _sha256(arrays):
            raise ValueError("other content")
        told = json.loads(str(arrays.pop("provenance")))
        provenance = Provenance(**{**told, "conversions": tuple(told["conversions"])})
        looks = arrays["looks"] if arrays["looks"].size else None
        return AgedFilms(**{**arrays, "looks": looks}, provenance=provenance)
    except (ValueError, TypeError, KeyError, InputError):
        pass
    raise InputError(f"{path}: damaged (not the films that were written); delete it")


def _sha256(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in (*_ARRAYS, "provenance"):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

"""Films with ages as one file, checked when it is read back."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from metabone.datasets.fingerprints import content_sha256
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.stored_arrays import load_arrays, save_arrays

_ARRAYS = ("images", "months", "sex", "patients", "ids", "looks")


def save_aged_films(films: AgedFilms, path: Path) -> None:
    """Writes films to an npz file that is whole at every moment.

    Args:
      films: whose `provenance.sha256` is `content_sha256(images, months)`.
      path: of the file; its folder exists.

    Raises:
      InputError: it cannot be written.
    """
    arrays = {name: getattr(films, name) for name in _ARRAYS}
    if films.looks is None:
        arrays["looks"] = np.zeros(0, np.uint8)
    told = json.dumps(dataclasses.asdict(films.provenance))
    save_arrays(path, **arrays, provenance=np.array(told))


def load_aged_films(path: Path) -> AgedFilms:
    """Reads what `save_aged_films` wrote.

    Args:
      path: of the file.

    Returns:
      The films.

    Raises:
      InputError: there is no such file, or it is damaged: its images and ages are not those that
        were written.
    """
    arrays = load_arrays(path, (*_ARRAYS, "provenance"))
    try:
        told = json.loads(str(arrays.pop("provenance")))
        provenance = Provenance(**{**told, "conversions": tuple(told["conversions"])})
        looks = arrays["looks"] if arrays["looks"].size else None
        films = AgedFilms(**{**arrays, "looks": looks}, provenance=provenance)
        whole = provenance.sha256 == content_sha256(films.images, films.months)
    except (ValueError, TypeError, KeyError, InputError):
        whole = False
    if not whole:
        raise InputError(f"{path}: damaged (not the films that were written); delete it")
    return films

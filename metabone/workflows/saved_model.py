"""A saved model read again, which runs nothing of its own but its exported program."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from metabone.errors import InputError
from metabone.training.json_files import read_json
from metabone.workflows.film_evaluation import Evaluation
from metabone.workflows.hand_regions import TEMPLATE, HandRegions
from metabone.workflows.look import LOOK
from metabone.workflows.model import Familiar, KnownFilms, Model
from metabone.workflows.model_folder import (
    CONTENT,
    FILMS,
    FORMAT,
    PROGRAM,
    RECORD,
    VERSION,
    WEIGHTS,
)
from metabone.workflows.prediction_program import PredictionProgram

_LARGEST = 4096  # pixels a side of what a program takes


def load(folder: str | os.PathLike, *, key_points: str | os.PathLike = "") -> Model:
    """Loads a model that `Model.save` or `metabone adapt` wrote; nothing is unpickled.

    Args:
      folder: of the model.
      key_points: of a model that reads regions, the weights that it was adapted with, where they
        are not those that come with the package; see `adapt`. Others are refused when films are
        read.

    Returns:
      The model; its answers are the same to the bit.

    Raises:
      InputError: there is no model, or it is damaged; key points for one that needs none.
    """
    path = Path(folder).expanduser()
    if not (path / RECORD).is_file():
        raise InputError(f"{path}: no model; expected a folder that metabone adapt wrote")
    record = read_json(path / RECORD)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{path / RECORD}: not a model of metabone")
    if record.get("version") != VERSION:
        raise InputError(
            f"{path / RECORD}: version {str(record.get('version'))[:20]!r} of the format, expected "
            f"{VERSION}"
        )
    try:
        content = {name: _whole(path / name, record["sha256"][name]) for name in CONTENT}
        films = load_tensors(content[FILMS])
        known = KnownFilms(
            files=tuple(map(str, record["files"])),
            labels=films["labels"],
            fingerprints=tuple(map(str, record["fingerprints"])),
            features=films["features"],
            looks=films["looks"],
            thumbnails=films["thumbnails"],
        )
        model = Model(
            classes=tuple(record["classes"]),
            evaluation=Evaluation.of_record(record["evaluation"]),
            films=known,
            familiar=Familiar(*map(float, record["familiar"])),
            about=dict(record["about"], learner=dict(record["about"]["learner"])),
            program=PredictionProgram(content[PROGRAM], str(path / PROGRAM)),
            weights=load_tensors(content[WEIGHTS]),
            hands=_hands(record.get("regions"), films, os.fspath(key_points)),
        )
        _check(model)
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged ({type(error).__name__} in {RECORD})") from None
    if key_points and model.hands is None:
        raise InputError(f"{path}: this model reads films as a whole, without key points")
    return model


def _hands(record: Any, films: dict[str, np.ndarray], key_points: str) -> HandRegions | None:
    if record is None:
        return None
    hands = HandRegions(
        record["name"],
        films["templates"],
        str(record["key_points_sha256"]),
        key_points,
        int(record["method"]),
    )
    shape = (len(hands.regions), TEMPLATE, TEMPLATE, 2)
    templates = hands.templates
    if templates.shape != shape or templates.dtype != np.float32:
        raise ValueError
    if not np.isfinite(templates).all():
        raise ValueError
    return hands


def _whole(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{path}: damaged (not what {RECORD} says)")
    return data


def _check(model: Model) -> None:
    """Raises `ValueError` where the parts do not fit together."""
    films, count = model.films, len(model.films.files)
    shape = model.image_shape
    regions = () if model.hands is None else (len(model.hands.regions),)
    fits = (
        len(films.labels) == len(films.fingerprints) == len(films.features) == count
        and len(films.thumbnails) == len(films.looks) == count > 0
        and films.features.ndim == films.looks.ndim == 2
        and films.labels.ndim == 1
        and isinstance(model.about.get("refused", {}), dict)
        and films.features.dtype == films.looks.dtype == np.float32
        and films.thumbnails.dtype == np.uint8
        and films.thumbnails.ndim == 4
        and films.looks.shape[1] == LOOK * (regions or (1,))[0]
        and shape[:-3] == regions
        and shape[-3] - shape[-2] in (0, 1)
        and shape[-1] in (1, 3)
        and 1 <= shape[-2] <= _LARGEST
        and films.labels.dtype == np.int32
        and model.program.widths == (len(model.classes), films.features.shape[1])
        and all(isinstance(name, str | int) for name in model.classes)
        and 0 <= films.labels.min() <= films.labels.max() < len(model.classes)
        and len(model.evaluation.by_class) == len(model.classes)
    )
    if not fits:
        raise ValueError

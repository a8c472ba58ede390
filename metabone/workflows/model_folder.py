"""A model on disk: a folder that is whole or not there, and that runs nothing of its own."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

import metabone
from metabone.errors import InputError
from metabone.training.json_files import plain, read_json
from metabone.workflows.evaluation import Evaluation
from metabone.workflows.model import KnownFilms, Model
from metabone.workflows.prediction_program import PredictionProgram

RECORD = "model.json"
PROGRAM, WEIGHTS, FILMS = "program.jax_export", "weights.safetensors", "films.safetensors"
_CONTENT = (PROGRAM, WEIGHTS, FILMS)
_FORMAT, _VERSION = "metabone model", 1


def check_new(folder: str | os.PathLike) -> Path:
    """The path of a folder to be made.

    Raises:
      InputError: there is something already, or it could not be made.
    """
    path = Path(folder).expanduser()
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already; name a new folder")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError(f"{path}: {above} is no folder that can be written to")
    return path


def write_folder(folder: str | os.PathLike, files: Mapping[str, bytes]) -> Path:
    """Makes a folder of files beside its place and moves it there.

    Args:
      folder: is made.
      files: content by name, in which `/` parts folders.

    Returns:
      The folder.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    path = check_new(folder)
    made = ""
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=path.absolute().parent, prefix=f".{path.name}-", suffix=".part")
        os.chmod(made, 0o755)  # mkdtemp's own is for the owner alone.
        for name, content in files.items():
            inner = os.path.join(made, name)
            os.makedirs(os.path.dirname(inner), exist_ok=True)
            with open(inner, "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        os.rename(made, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return path


def save_model(model: Model, folder: str | os.PathLike) -> Path:
    """See `Model.save`."""
    films = model.films
    tensors = {
        "features": films.features,
        "thumbnails": films.thumbnails,
        "labels": films.labels.astype(np.int32),
    }
    content = {
        PROGRAM: model.program.data,
        WEIGHTS: save_tensors(contiguous(model.weights)),
        FILMS: save_tensors(contiguous(tensors)),
    }
    record = {
        "format": _FORMAT,
        "version": _VERSION,
        "made_by": {"metabone": metabone.__version__, "jax": jax.__version__},
        "classes": model.classes,
        "evaluation": dataclasses.asdict(model.evaluation),
        "familiar": model.familiar,
        "about": model.about,
        "files": films.files,
        "fingerprints": films.fingerprints,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }
    text = json.dumps(plain(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return write_folder(folder, {**content, RECORD: text.encode("utf-8", "surrogatepass")})


def load_model(folder: str | os.PathLike) -> Model:
    """See `model.load`."""
    path = Path(folder).expanduser()
    if not (path / RECORD).is_file():
        raise InputError(f"{path}: no model; expected a folder that metabone adapt wrote")
    record = read_json(path / RECORD)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise InputError(f"{path / RECORD}: not a model of metabone")
    if record.get("version") != _VERSION:
        raise InputError(
            f"{path / RECORD}: version {str(record.get('version'))[:20]!r} of the format, expected "
            f"{_VERSION}"
        )
    try:
        content = {name: _whole(path / name, record["sha256"][name]) for name in _CONTENT}
        films = load_tensors(content[FILMS])
        known = KnownFilms(
            files=tuple(map(str, record["files"])),
            labels=films["labels"],
            fingerprints=tuple(map(str, record["fingerprints"])),
            features=films["features"],
            thumbnails=films["thumbnails"],
        )
        model = Model(
            classes=tuple(record["classes"]),
            evaluation=Evaluation.of_record(record["evaluation"]),
            films=known,
            familiar=float(record["familiar"]),
            about=dict(record["about"], learner=dict(record["about"]["learner"])),
            program=PredictionProgram(content[PROGRAM], str(path / PROGRAM)),
            weights=load_tensors(content[WEIGHTS]),
        )
        _check(model)
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged ({type(error).__name__} in {RECORD})") from None
    return model


def contiguous(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays as safetensors takes them, which writes a transposed one as it lies in memory."""
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


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
    fits = (
        len(films.labels) == len(films.fingerprints) == len(films.features) == count
        and len(films.thumbnails) == count > 0
        and films.features.ndim == 2
        and 0 <= films.labels.min() <= films.labels.max() < len(model.classes)
        and len(model.evaluation.by_class) == len(model.classes)
    )
    if not fits:
        raise ValueError

"""A model on disk: a folder that is whole or not there."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from safetensors.numpy import save as save_tensors

import metabone
from metabone.errors import InputError
from metabone.training.json_files import plain

if TYPE_CHECKING:
    from metabone.workflows.model import Model

RECORD = "model.json"
PROGRAM, WEIGHTS, FILMS = "program.jax_export", "weights.safetensors", "films.safetensors"
CONTENT = (PROGRAM, WEIGHTS, FILMS)
FORMAT, VERSION = "metabone model", 1


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


def save_model(model: "Model", folder: str | os.PathLike) -> Path:
    """See `Model.save`."""
    films = model.films
    tensors = {
        "features": films.features,
        "looks": films.looks,
        "thumbnails": films.thumbnails,
        "labels": films.labels.astype(np.int32),
    }
    content = {
        PROGRAM: model.program.data,
        WEIGHTS: save_tensors(contiguous(model.weights)),
        FILMS: save_tensors(contiguous(tensors)),
    }
    record = {
        "format": FORMAT,
        "version": VERSION,
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


def contiguous(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays as safetensors takes them, which writes a transposed one as it lies in memory."""
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}

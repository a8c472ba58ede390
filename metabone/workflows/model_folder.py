"""A model as a folder on disk; `saved_model` reads it again."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from safetensors.numpy import save as save_tensors

import metabone
from metabone.training.json_files import plain
from metabone.workflows.new_folder import write_folder

if TYPE_CHECKING:
    from metabone.workflows.model import Model

RECORD = "model.json"
PROGRAM, WEIGHTS, FILMS = "program.jax_export", "weights.safetensors", "films.safetensors"
CONTENT = (PROGRAM, WEIGHTS, FILMS)
FORMAT, VERSION = "metabone model", 1


def save_model(model: "Model", folder: str | os.PathLike) -> Path:
    """See `Model.save`."""
    films = model.films
    tensors = {
        "features": films.features,
        "looks": films.looks,
        "thumbnails": films.thumbnails,
        "labels": films.labels.astype(np.int32),
    }
    if model.hands is not None:
        tensors["templates"] = model.hands.templates
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
        "regions": None
        if model.hands is None
        else {
            "name": model.hands.name,
            "key_points_sha256": model.hands.weights,
            "method": model.hands.method,
        },
        "files": films.files,
        "fingerprints": films.fingerprints,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }
    text = json.dumps(plain(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return write_folder(folder, {**content, RECORD: text.encode("utf-8", "surrogatepass")})


def contiguous(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays as safetensors takes them, which writes a transposed one as it lies in memory."""
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}

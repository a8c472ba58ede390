"""A model as files that need none of our code."""

import os
from pathlib import Path

from safetensors.numpy import save as save_tensors

from metabone.workflows.model import Model
from metabone.workflows.model_card import model_card
from metabone.workflows.model_folder import contiguous
from metabone.workflows.new_folder import write_folder

PREDICTION, WEIGHTS, CARD = "prediction.jax_export", "weights.safetensors", "MODEL_CARD.md"


def export_model(model: Model, out: str | os.PathLike) -> Path:
    """Writes a model's program, weights and card; none of its films.

    Args:
      model: the model.
      out: a folder, which is made: `prediction.jax_export`, which `jax.export` loads and which
        answers the same to the bit; `weights.safetensors`; `MODEL_CARD.md`.

    Returns:
      The folder.

    Raises:
      InputError: it exists already, or cannot be written.
    """
    card = model_card(model, PREDICTION, WEIGHTS)
    return write_folder(
        out,
        {
            PREDICTION: model.program.data,
            WEIGHTS: save_tensors(contiguous(model.weights)),
            CARD: card.encode("utf-8", "replace"),
        },
    )

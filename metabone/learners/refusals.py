"""What a learner refuses, because it would compute something and be silently wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.types import Examples
from metabone.errors import InputError


def check_images(images: Any) -> None:
    """Checks what the type of images tells.

    Args:
      images: `[n, ...]`, to be float.

    Raises:
      InputError: images that are no arrays of numbers scaled to floats, or a single one.
    """
    if not jnp.issubdtype(jnp.result_type(images), jnp.floating):
        raise InputError(
            f"images are {jnp.result_type(images)}: expected floats, as "
            "metabone.episodes.sampling.scale makes them of uint8"
        )
    if jnp.ndim(images) < 2:
        raise InputError(f"images of shape {jnp.shape(images)}: expected [n, H, W, C]")


def check_examples(examples: Examples) -> None:
    """Checks what the types of images and labels tell.

    Args:
      examples: of one task.

    Raises:
      InputError: see `check_images`; or another number of labels than of images.
    """
    check_images(examples.images)
    images, labels = jnp.shape(examples.images), jnp.shape(examples.labels)
    if not labels or labels[0] != images[0]:
        raise InputError(f"labels of shape {labels} for {images[0]} images: expected one an image")


def among(outputs: jax.Array, labels: Any) -> jax.Array:
    """Outputs, once it is known that each label is one of them.

    A label beyond the outputs counts for nothing in a gather or a one-hot vector. Where labels have
    values it is an error; where they are traced it makes the outputs NaN, and so all that follows.

    Args:
      outputs: `[..., ways]` float.
      labels: `[...]` int in `0 .. ways - 1`.

    Returns:
      The outputs.

    Raises:
      InputError: labels that are not integers, of another shape, or beyond the outputs.
    """
    dtype, shape, ways = jnp.result_type(labels), jnp.shape(labels), outputs.shape[-1]
    if not jnp.issubdtype(dtype, jnp.integer) or shape != outputs.shape[:-1]:
        raise InputError(
            f"labels are {dtype} of shape {shape}: expected integers of shape "
            f"{outputs.shape[:-1]}, the number of each one's class (not one-hot)"
        )
    if isinstance(labels, jax.core.Tracer):
        known = (labels >= 0) & (labels < ways)
        return outputs + jnp.where(known, 0.0, jnp.nan).astype(outputs.dtype)[..., None]
    values = np.asarray(labels)
    if values.size and not 0 <= values.min() <= values.max() < ways:
        raise InputError(
            f"labels {values.min()} .. {values.max()}: expected 0 .. {ways - 1}, as there are "
            f"{ways} outputs"
        )
    return outputs

"""What a learner refuses, because it would compute something and be silently wrong."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.types import Examples
from metabone.errors import InputError


def positive(name: str, value: Any) -> float:
    """A setting as the Python number that it is.

    A NumPy scalar or an array without axes has a dtype, which arithmetic would widen to; a Python
    number has none.

    Args:
      name: of the setting.
      value: any single real number.

    Returns:
      The number.

    Raises:
      InputError: it is none, or not above 0 and finite.
    """
    if _is_one(name, value, jnp.floating, jnp.integer) and 0 < float(value) < math.inf:
        return float(value)
    raise InputError(f"{name} (={value}): expected a number above 0")


def whole(name: str, value: Any, least: int) -> int:
    """A setting as the Python number that it is; see `positive`.

    Args:
      name: of the setting.
      value: any single whole number.
      least: the smallest that can be.

    Returns:
      The number.

    Raises:
      InputError: it is none, or below `least`.
    """
    if _is_one(name, value, jnp.integer) and int(value) >= least:
        return int(value)
    raise InputError(f"{name} (={value}): expected at least {least}, a whole number")


def _is_one(name: str, value: Any, *kinds: Any) -> bool:
    number = _array(name, value)
    if number.ndim:
        raise InputError(f"{name} of shape {number.shape}: expected one number")
    return any(jnp.issubdtype(number.dtype, kind) for kind in kinds)


def images_of(images: Any) -> jax.Array:
    """Images as an array, once their type is known to be what a learner takes.

    Args:
      images: `[n, ...]`, to be float.

    Returns:
      The array.

    Raises:
      InputError: images that are no arrays of numbers scaled to floats, or a single one.
    """
    images = _array("images", images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"images are {images.dtype}: expected floats, as "
            "metabone.episodes.sampling.scale makes them of uint8"
        )
    if images.ndim < 2:
        raise InputError(f"images of shape {images.shape}: expected [n, H, W, C]")
    return jnp.asarray(images)


def examples_of(examples: Examples) -> Examples:
    """Examples as arrays, once their types are known to be what a learner takes.

    Args:
      examples: of one task.

    Returns:
      The same.

    Raises:
      InputError: see `images_of`; labels that are no numbers, or of another number than images.
    """
    images, labels = images_of(examples.images), _array("labels", examples.labels)
    if not jnp.issubdtype(labels.dtype, jnp.number):
        raise InputError(
            f"labels are {labels.dtype}: expected numbers; "
            "np.unique(labels, return_inverse=True)[1] numbers names"
        )
    if not labels.ndim or len(labels) != len(images):
        raise InputError(
            f"labels of shape {labels.shape} for {len(images)} images: expected one an image"
        )
    return Examples(images, jnp.asarray(labels))


def _array(what: str, values: Any) -> Any:
    if isinstance(values, jax.Array):
        return values
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{what}: rows of unequal lengths; expected one array") from None


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

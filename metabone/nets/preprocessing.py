"""Images as the weights of a published backbone expect them."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError

Grey = Literal["repeat", "sum"]
"""How grey images enter a network of three channels: three times, or once, the first kernel summed
over its channels."""


Interpolation = Literal["bicubic", "bilinear"]


class Preprocessing(NamedTuple):
    """What weights were trained on.

    Attributes:
      size: pixels a side.
      mean: of each channel, of values in 0 .. 1.
      deviation: of each channel, likewise.
      interpolation: how images come to that size; a larger one is smoothed before.
    """

    size: int
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    deviation: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bicubic"


def preparation(
    expected: Preprocessing, crop: float = 1.0, grey: Grey = "repeat"
) -> tuple[Callable[[jax.Array], jax.Array], str]:
    """Makes the function that prepares images, and says what it does.

    Args:
      expected: what the weights were trained on.
      crop: how much of both sides is looked at, from the middle; published figures on photographs
        are of 0.875, and a medical image may have what matters at its border.
      grey: see `Grey`; with `sum`, the channel is standardised by the channels' average mean and
        average deviation.

    Returns:
      `prepare`, from uint8 `[n, H, W, 3]` RGB or `[n, H, W, 1]` grey to float32
      `[n, size, size, 3]`, with `sum` from grey to `[n, size, size, 1]`; and a line about it.

    Raises:
      InputError: a crop that is not above 0 and at most 1, or an unknown rule for grey images.
    """
    if not 0 < crop <= 1:
        raise InputError(f"crop (={crop}): expected a share above 0, at most 1")
    if grey not in ("repeat", "sum"):
        raise InputError(f"grey {grey!r}: expected 'repeat' or 'sum'")
    if grey == "sum":
        expected = of_grey(expected)
    line = (
        f"{'grey' if grey == 'sum' else 'RGB'}, {expected.interpolation} to {expected.size} pixels "
        f"a side of the middle {crop:g}, / 255, less {_of(expected.mean)}, "
        f"over {_of(expected.deviation)}"
    )
    return partial(_prepare, expected=expected, crop=crop), line


def of_grey(expected: Preprocessing) -> Preprocessing:
    """What a network expects of grey images whose first kernel is summed over its channels.

    Args:
      expected: of three channels.

    Returns:
      The same of one: the channels' average mean and average deviation.
    """
    mean, deviation = ((float(np.mean(of)),) for of in (expected.mean, expected.deviation))
    return expected._replace(mean=mean, deviation=deviation)


def _of(numbers: tuple[float, ...]) -> str:
    if len(set(numbers)) == 1:
        return f"{numbers[0]:g}"
    return f"({', '.join(f'{number:g}' for number in numbers)})"


def _prepare(images: jax.Array, *, expected: Preprocessing, crop: float) -> jax.Array:
    channels = len(expected.mean)
    if images.ndim != 4 or images.shape[-1] not in {1, channels}:
        wanted = " or ".join(f"[n, H, W, {count}]" for count in sorted({1, channels}))
        raise ValueError(f"images {images.shape}: expected {wanted}")
    images = resized(images, expected.size, crop, expected.interpolation)
    mean, deviation = (np.array(of, np.float32) for of in (expected.mean, expected.deviation))
    return (images / 255 - mean) / deviation


def resized(images: jax.Array, size: int, crop: float, interpolation: Interpolation) -> jax.Array:
    """Brings the middle of images to another size, as image libraries do.

    Args:
      images: `[n, H, W, C]` uint8.
      size: pixels a side of the result.
      crop: how much of both sides is looked at.
      interpolation: see `Preprocessing`.

    Returns:
      `[n, size, size, C]` float32, integers in 0 .. 255.
    """
    images = jnp.asarray(images, jnp.float32)
    whole = int(size / crop)
    if images.shape[1:3] != (whole, whole):
        shape = (len(images), whole, whole, images.shape[-1])
        method = {"bicubic": "cubic", "bilinear": "linear"}[interpolation]
        images = jnp.clip(jnp.round(jax.image.resize(images, shape, method)), 0, 255)
    edge = round((whole - size) / 2)
    return images[:, edge : edge + size, edge : edge + size]

"""Pools of 3x3 pixels by shifted images, which is fast on a CPU and differentiable twice."""

import jax
import jax.numpy as jnp
import numpy as np

from metabone.nets.conv_norm import Padding, pads


def max_pool_3x3(images: jax.Array, padding: Padding) -> jax.Array:
    """The largest of 3x3 pixels, at every second pixel.

    Args:
      images: `[n, H, W, C]` float.
      padding: see `Padding`; what frames an image is never the largest.

    Returns:
      `[n, H', W', C]`.
    """
    around = pads(padding, images.shape[1:3], (3, 3), 2)
    framed = jnp.pad(images, ((0, 0), *around, (0, 0)), constant_values=-jnp.inf)
    rows, columns = ((size - 3) // 2 * 2 + 1 for size in framed.shape[1:3])
    first, second, third = (framed[:, i : i + rows : 2] for i in range(3))
    tall = jnp.maximum(jnp.maximum(first, second), third)
    first, second, third = (tall[:, :, j : j + columns : 2] for j in range(3))
    return jnp.maximum(jnp.maximum(first, second), third)


def average_pool_3x3(images: jax.Array, count_padding: bool) -> jax.Array:
    """The mean of the 3x3 pixels around each pixel.

    Args:
      images: `[n, H, W, C]` float.
      count_padding: whether the zeros around an image count as pixels, as in PyTorch, or the mean
        is of those that are there, as in TensorFlow.

    Returns:
      `[n, H, W, C]`.
    """
    height, width = images.shape[1:3]
    framed = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    tall = framed[:, :-2] + framed[:, 1:-1] + framed[:, 2:]
    total = tall[:, :, :-2] + tall[:, :, 1:-1] + tall[:, :, 2:]
    if count_padding:
        return total / 9
    rows, columns = (
        3 - (np.arange(size) == 0) - (np.arange(size) == size - 1) for size in (height, width)
    )
    return total / np.outer(rows, columns)[..., None].astype(images.dtype)

"""Convolution, batch normalisation and activation, as published backbones are made of them."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metabone.errors import InputError
from metabone.nets.convolution import conv3x3
from metabone.nets.layers import BatchNorm, FullyConnected
from metabone.nets.network import Network, from_linen

Padding = Literal["same", "centred", "none"]
"""Zeros around an image: `same` as TensorFlow has it, where what cannot be halved goes below and to
the right; `centred` as PyTorch's files have it, half a kernel on every side; `none`."""


_FEW_CHANNELS = 4


def pads(
    padding: Padding, size: tuple[int, int], kernel: tuple[int, int], stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels of padding before and after, of both axes.

    Args:
      padding: see `Padding`.
      size: of the image, height and width.
      kernel: height and width.
      stride: in both directions.

    Returns:
      `((above, below), (left, right))`.
    """
    if padding == "none":
        return ((0, 0), (0, 0))
    if padding == "centred":
        (above, left) = ((side - 1) // 2 for side in kernel)
        return ((above, above), (left, left))
    above_below, left_right = lax.padtype_to_pads(size, kernel, (stride, stride), "SAME")
    return (above_below, left_right)


def convolve(images: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """Convolves, in the form that is fast on a CPU for this kernel.

    Args:
      images: `[n, H, W, C]` float.
      kernel: `[h, w, C, O]`.
      stride: in both directions.
      padding: see `Padding`.

    Returns:
      `[n, H', W', O]`.
    """
    sides = kernel.shape[:2]
    if sides == (1, 1):
        return images[:, ::stride, ::stride] @ kernel[0, 0]
    if sides == (3, 3) and (padding == "centred" or (padding == "same" and stride == 1)):
        return conv3x3(images, kernel, stride)
    if max(sides) > 3 and images.shape[-1] <= _FEW_CHANNELS:
        return _convolve_patches(images, kernel, stride, padding)
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        pads(padding, images.shape[1:3], sides, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _convolve_patches(
    images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
    """One matrix product of all patches: XLA's convolution takes ten times as long in a loop."""
    height, width, channels, features = kernel.shape
    around = pads(padding, images.shape[1:3], (height, width), stride)
    framed = jnp.pad(images, ((0, 0), *around, (0, 0)))
    rows = (framed.shape[1] - height) // stride * stride + 1
    columns = (framed.shape[2] - width) // stride * stride + 1
    shifted = [
        framed[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(height)
        for j in range(width)
    ]
    weights = kernel.reshape(height * width * channels, features)
    return jnp.concatenate(shifted, axis=-1) @ weights


def convolve_depthwise(
    images: jax.Array, kernel: jax.Array, stride: int, padding: Padding
) -> jax.Array:
    """Convolves each channel with a kernel of its own.

    A sum of shifted images, each times one weight a channel. XLA's grouped convolution takes 10 to
    100 times as long on a CPU.

    Args:
      images: `[n, H, W, C]` float.
      kernel: `[h, w, 1, C]`.
      stride: in both directions.
      padding: see `Padding`.

    Returns:
      `[n, H', W', C]`.
    """
    height, width = kernel.shape[:2]
    around = pads(padding, images.shape[1:3], (height, width), stride)
    # Behind the barrier the frame of zeros is written once; fused into the sum, it is a question
    # that each of the kernel's weights asks at each pixel.
    framed = lax.optimization_barrier(jnp.pad(images, ((0, 0), *around, (0, 0))))
    rows = (framed.shape[1] - height) // stride * stride + 1
    columns = (framed.shape[2] - width) // stride * stride + 1
    total = jnp.zeros((), images.dtype)
    for i in range(height):
        for j in range(width):
            met = framed[:, i : i + rows : stride, j : j + columns : stride]
            total = total + met * kernel[i, j, 0]
    return total


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, activation.

    Attributes:
      features: output channels; of a depthwise convolution those of the images.
      kernel: height and width.
      stride: in both directions.
      padding: see `Padding`.
      depthwise: whether each channel has a kernel of its own.
      activation: None for none.
    """

    features: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: Padding = "same"
    depthwise: bool = False
    activation: Callable[[jax.Array], jax.Array] | None = nn.relu

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        """`[n, H, W, C]` to `[n, H', W', features]`."""
        channels = 1 if self.depthwise else images.shape[-1]
        shape = (*self.kernel, channels, self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        apply = convolve_depthwise if self.depthwise else convolve
        hidden = apply(images, kernel, self.stride, self.padding)
        hidden = BatchNorm(name="norm")(hidden, use_batch_stats)
        return hidden if self.activation is None else self.activation(hidden)


def channels_at(width: float, channels: int) -> int:
    """Channels times a width multiplier, at least one."""
    return max(1, round(channels * width))


def ended(maps: jax.Array, classes: int, average: bool) -> jax.Array:
    """Ends a network inside its compact method: by the mean of each map, by classes, or by neither.

    Args:
      maps: `[n, H, W, C]`.
      classes: of a linear classifier named `head` on the means; 0 for none.
      average: what the output is without classes: the means, or the maps.

    Returns:
      Logits `[n, classes]`, means `[n, C]` or the maps.
    """
    hidden = maps.mean((1, 2)) if average else maps
    if not classes:
        return hidden
    return FullyConnected((), classes, average=not average, name="head")(hidden)


def backbone_of(module: Any) -> Network:
    """Makes a network of a Linen module with attributes `width`, `classes` and `average`.

    Args:
      module: ends in `ended`.

    Returns:
      The network, cut before its head if it has classes.

    Raises:
      InputError: a width that is not positive, or a negative number of classes.
    """
    if not module.width > 0:
        raise InputError(f"width (={module.width}): expected a number above 0")
    if module.classes < 0:
        raise InputError(f"classes (={module.classes}): expected at least 0")
    if not module.classes:
        network = from_linen(module)
    else:
        head = FullyConnected((), module.classes, average=not module.average)
        network = from_linen(module, module.clone(classes=0), head)
    return network._replace(init=partial(_drawn_at_once, network.init))


def _drawn_at_once(init, key, image_shape):
    """What `init` draws, by one draw: to compile a hundred of them takes longer than training."""
    shapes = jax.eval_shape(lambda key: init(key, image_shape), key)
    return jax.jit(partial(_drawn_like, shapes=shapes))(key)


def _drawn_like(key, shapes):
    paths, tree = jax.tree_util.tree_flatten_with_path(shapes)
    kernels = [math.prod(leaf.shape) for _, leaf in paths if leaf.ndim > 1]
    drawn = jnp.split(jax.random.normal(key, (sum(kernels),)), np.cumsum(kernels)[:-1])
    leaves = []
    for path, leaf in paths:
        if leaf.ndim > 1:
            is_head = leaf.ndim == 2  # Near-zero first logits, as of all heads.
            deviation = 0.01 if is_head else math.sqrt(2 / math.prod(leaf.shape[:-1]))
            leaves.append(deviation * drawn.pop(0).reshape(leaf.shape))
        else:
            is_one = path[-1].key in ("scale", "var")
            leaves.append(jnp.full(leaf.shape, float(is_one)))
    return jax.tree.unflatten(tree, leaves)


def check_images(images: jax.Array, least: int) -> None:
    """Checks what a network is given.

    Args:
      images: expected `[n, H, W, C]`.
      least: pixels a side that the network needs.

    Raises:
      InputError: another rank, or smaller images.
    """
    if images.ndim != 4:
        raise InputError(f"images of shape {images.shape}: expected [n, H, W, C]")
    if min(images.shape[1:3]) < least:
        raise InputError(
            f"images of {images.shape[1]}x{images.shape[2]} pixels: expected at least "
            f"{least}x{least} for this network"
        )

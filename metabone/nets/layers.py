"""The layers that the networks share, each safe to differentiate twice."""

from collections.abc import Sequence

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.nets import convolution
from metabone.nets.blocks import normalised_pool, thin_block
from metabone.nets.normalisation import normalise_batch

# MAML's published code, and TensorFlow's layer behind it.
EPSILON = 1e-3
# Photographs and radiographs; a patch of 4x4 pixels is then no longer than a pixel of later maps.
_THIN = 4


def max_pool_2x2(images: jax.Array) -> jax.Array:
    """Max-pools 2x2 windows with stride 2; an odd last row or column is dropped.

    A tournament of `where`, not a reshape and `max`: the latter's second derivative has been seen
    to be wrong on CPU while the loss was right, and splits the gradient between tied pixels.

    Args:
      images: `[n, H, W, C]`, H and W at least 2.

    Returns:
      `[n, H // 2, W // 2, C]`; of tied pixels the first in row order receives the gradient.
    """
    chex.assert_rank(images, 4)
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    top, bottom = images[:, 0:height:2, :width], images[:, 1:height:2, :width]
    upper = _larger(top[:, :, 0::2], top[:, :, 1::2])
    lower = _larger(bottom[:, :, 0::2], bottom[:, :, 1::2])
    return _larger(upper, lower)


def _larger(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.where(first >= second, first, second)


class Conv3x3(nn.Module):
    """3x3 convolution with bias, zero-padded, He-normal weights.

    Attributes:
      features: output channels.
      stride: in both directions.
      form: see `convolution.conv3x3`.
      use_bias: off where batch normalisation follows and would remove it.
    """

    features: int
    stride: int = 1
    form: convolution.Form = "auto"
    use_bias: bool = True

    @nn.compact
    def weights(self, channels: int) -> tuple[jax.Array, jax.Array | float]:
        """The kernel `[3, 3, channels, features]` and the bias `[features]`, or 0 without one."""
        kernel = self.param("kernel", nn.initializers.he_normal(), (3, 3, channels, self.features))
        if not self.use_bias:
            return kernel, 0.0
        return kernel, self.param("bias", nn.initializers.zeros_init(), (self.features,))

    def __call__(self, images: jax.Array) -> jax.Array:
        """`[n, H, W, C]` to `[n, H / stride, W / stride, features]`."""
        kernel, bias = self.weights(images.shape[-1])
        return convolution.conv3x3(images, kernel, self.stride, self.form) + bias


class BatchNorm(nn.Module):
    """Batch normalisation whose stored statistics are simply those of the last batch.

    Attributes:
      use_scale: off where the scale is one and is not learned.
    """

    use_scale: bool = True

    @nn.compact
    def weights(self, channels: int) -> tuple[jax.Array, jax.Array, nn.Variable, nn.Variable]:
        """Scale and bias `[channels]`, and the variables of mean and variance."""
        shape = (channels,)
        ones = nn.initializers.ones_init()
        scale = self.param("scale", ones, shape) if self.use_scale else jnp.ones(shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        variance = self.variable("batch_stats", "var", jnp.ones, shape)
        return scale, bias, mean, variance

    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        """Normalises over all axes but the last."""
        scale, bias, mean, variance = self.weights(images.shape[-1])
        if not use_batch_stats:
            gain = scale * jax.lax.rsqrt(variance.value + EPSILON)
            return (images - mean.value) * gain + bias
        outputs, mean.value, variance.value = normalise_batch(images, scale, bias, EPSILON)
        return outputs


def conv_block(
    conv: Conv3x3, norm: BatchNorm, images: jax.Array, use_batch_stats: bool, pool: bool = False
) -> jax.Array:
    """Convolution without bias, batch normalisation, ReLU and, if wanted, a 2x2 max-pool.

    Args:
      conv: if its form is `lax`, the four simply follow each other; otherwise the pool by batch
        statistics and images of few channels take the shorter ways of `nets.blocks`.
      norm: normalises what it gives.
      images: `[n, H, W, C]`.
      use_batch_stats: see `BatchNorm`.
      pool: whether the pool follows.

    Returns:
      `[n, H', W', features]`.
    """
    if not (pool and use_batch_stats) or convolution.chosen(conv.form, images.shape) == "lax":
        hidden = nn.relu(norm(conv(images), use_batch_stats))
        return max_pool_2x2(hidden) if pool else hidden
    scale, bias, mean, variance = norm.weights(conv.features)
    height, width, channels = images.shape[1:]
    if channels <= _THIN and height % 2 == width % 2 == 0 and conv.stride == 1:
        block = thin_block(images, conv.weights(channels)[0], scale, bias, EPSILON)
    else:
        block = normalised_pool(conv(images), scale, bias, EPSILON)
    hidden, mean.value, variance.value = block
    return hidden


class FullyConnected(nn.Module):
    """Hidden layers with ReLU, then the classes.

    Attributes:
      widths: nodes of the hidden layers; `()` for a linear classifier.
      classes: outputs; 0 leaves the last layer away, and the hidden nodes are the output.
      average: first takes each map's mean over its pixels; otherwise maps are flattened.
    """

    widths: Sequence[int]
    classes: int
    average: bool = False

    @nn.compact
    def __call__(self, features: jax.Array, use_batch_stats: bool = False) -> jax.Array:
        """`[n, ...]`, if averaged `[n, H, W, C]`, to `[n, classes]`."""
        del use_batch_stats
        hidden = features.mean((1, 2)) if self.average else features
        hidden = hidden.reshape(hidden.shape[0], -1)
        for index, width in enumerate(self.widths):
            dense = nn.Dense(width, kernel_init=nn.initializers.he_normal(), name=f"hidden_{index}")
            hidden = nn.relu(dense(hidden))
        if self.classes:
            # Near-zero first logits: the inner loop's first step then moves all classes alike.
            start = nn.initializers.normal(0.01)
            hidden = nn.Dense(self.classes, kernel_init=start, name="classes")(hidden)
        return hidden

"""Normalisation by the statistics of a batch, with a gradient rule of few passes.

What automatic differentiation makes of mean, variance and scaling reads and writes the feature maps
about twice as often as needed, and on a CPU those passes are most of a small network's time.
"""

from functools import partial

import jax
import jax.numpy as jnp

from metabone.nets.device_axes import vary_together


def normalise_batch(
    inputs: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each channel by its mean and variance over all other axes.

    The variance is taken in two passes (a difference of moments cancels in float32). The gradient
    rule is plain arithmetic, so it can be differentiated again.

    Args:
      inputs: `[..., C]` float.
      scale: `[C]`.
      bias: `[C]`.
      epsilon: added to the variance.

    Returns:
      `[..., C]` outputs, and `[C]` mean and variance (Ioffe and Szegedy 2015).
    """
    return _normalise(*vary_together((inputs, scale, bias)), epsilon)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalise(inputs, scale, bias, epsilon):
    axes = tuple(range(inputs.ndim - 1))
    mean = inputs.mean(axes)
    centred = inputs - mean
    variance = jnp.square(centred).mean(axes)
    outputs = centred * (scale * jax.lax.rsqrt(variance + epsilon)) + bias
    return outputs, mean, variance


def _forward(inputs, scale, bias, epsilon):
    outputs, mean, variance = _normalise(inputs, scale, bias, epsilon)
    return (outputs, mean, variance), (inputs, scale, mean, variance)


def _backward(epsilon, saved, cotangents):
    inputs, scale, mean, variance = saved
    by_output, by_mean, by_variance = cotangents
    axes = tuple(range(inputs.ndim - 1))
    count = inputs.size // inputs.shape[-1]
    inverse = jax.lax.rsqrt(variance + epsilon)
    total = by_output.sum(axes)
    along = (by_output * (inputs - mean)).sum(axes)
    # Each input's gradient is affine in its own cotangent and value, with one triple a channel.
    gain = scale * inverse
    slope = (2.0 * by_variance - gain * jnp.square(inverse) * along) / count
    offset = (by_mean - gain * total) / count
    by_input = gain * by_output + slope * (inputs - mean) + offset
    return by_input, inverse * along, total


_normalise.defvjp(_forward, _backward)

"""Convolution, batch normalisation, ReLU and a 2x2 max-pool as one block, in few passes.

Written one after the other, the four read and write full-size maps a dozen times in each direction,
and on a CPU those passes are much of a small network's time. Three identities, all
exact, leave a pass or two:

- Normalisation is monotonous in each channel, so it may follow the pool: the largest (with a
  negative scale: smallest) of four values is picked first, and only a quarter is normalised.
- The maxima's places are found once. Given the places, pooling is linear, and so are its gradient
  and that gradient's gradient: all three are one of two maps, `_pick` and its transpose `_place`.
- Of an image of few channels, the patches that a kernel meets have a small covariance matrix that
  does not depend on any parameter. The statistics of the first convolution's output follow from it
  without that output, which is then never stored: `thin_block`.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from metabone.nets.device_axes import vary_together
from metabone.nets.image_chunks import over_images


def normalised_pool(
    inputs: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises by the batch, clips at zero and max-pools 2x2, in the cheaper order.

    Args:
      inputs: `[n, H, W, C]` float.
      scale: `[C]`.
      bias: `[C]`.
      epsilon: added to the variance.

    Returns:
      `[n, H // 2, W // 2, C]` outputs and the `[C]` mean and variance of all inputs, a last odd row
      or column included.
    """
    inputs, scale, bias = vary_together((inputs, scale, bias))
    picked, mean, variance, _ = _picked_and_moments(inputs, scale < 0)
    gain = scale * lax.rsqrt(variance + epsilon)
    return jax.nn.relu((picked - mean) * gain + bias), mean, variance


def _windows(inputs: jax.Array) -> list[jax.Array]:
    """The four pixels of each 2x2 window, in row order."""
    height, width = inputs.shape[1] // 2 * 2, inputs.shape[2] // 2 * 2
    return [inputs[:, a:height:2, b:width:2] for a in (0, 1) for b in (0, 1)]


def _tournament(values: list[jax.Array], smallest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest of four, or smallest where said, and its place 0 to 3 as int8; first of ties."""

    def better(first, second):
        return jnp.where(smallest, first <= second, first >= second)

    upper = better(values[0], values[1])
    lower = better(values[2], values[3])
    top = jnp.where(upper, values[0], values[1])
    bottom = jnp.where(lower, values[2], values[3])
    above = better(top, bottom)
    place = jnp.where(above, jnp.where(upper, 0, 1), jnp.where(lower, 2, 3)).astype(jnp.int8)
    return jnp.where(above, top, bottom), place


@jax.custom_vjp
def _picked_and_moments(inputs, smallest):
    """The picked of each window, mean and variance of all, and the places of the picked."""
    mean = inputs.mean((0, 1, 2))
    variance = jnp.square(inputs - mean).mean((0, 1, 2))
    picked, place = _tournament(_windows(inputs), smallest)
    return picked, mean, variance, place


def _picked_and_moments_fwd(inputs, smallest):
    outputs = _picked_and_moments(inputs, smallest)
    return outputs, (inputs, outputs[1], outputs[3])


def _picked_and_moments_bwd(saved, cotangents):
    inputs, mean, place = saved
    by_picked, by_mean, by_variance, _ = cotangents
    count = inputs.size // inputs.shape[-1]
    spread = _place(by_picked, place, inputs.shape[1:3])
    return spread + (2 * by_variance / count) * (inputs - mean) + by_mean / count, None


_picked_and_moments.defvjp(_picked_and_moments_fwd, _picked_and_moments_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _pick(inputs, place, size):
    """`[n, *size, C]` to the values at `place`, `[n, H // 2, W // 2, C]`."""
    del size
    first, second, third, fourth = _windows(inputs)
    top = jnp.where(place == 0, first, second)
    return jnp.where(place < 2, top, jnp.where(place == 2, third, fourth))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _place(values, place, size):
    """The transpose of `_pick`: values at their places, zero elsewhere, `[n, *size, C]`."""
    count, rows, columns, channels = values.shape
    code = jnp.arange(4, dtype=place.dtype).reshape(2, 1, 2, 1)
    placed = jnp.where(place[:, :, None, :, None] == code, values[:, :, None, :, None], 0)
    placed = placed.reshape(count, 2 * rows, 2 * columns, channels)
    odd = (size[0] - 2 * rows, size[1] - 2 * columns)
    return jnp.pad(placed, ((0, 0), (0, odd[0]), (0, odd[1]), (0, 0))) if any(odd) else placed


_pick.defvjp(
    lambda inputs, place, size: (_pick(inputs, place, size), place),
    lambda size, place, cotangent: (_place(cotangent, place, size), None),
)
_place.defvjp(
    lambda values, place, size: (_place(values, place, size), place),
    lambda size, place, cotangent: (_pick(cotangent, place, size), None),
)


def thin_block(
    images: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A whole block on images of few channels: 3x3 convolution, batch norm, ReLU, 2x2 max-pool.

    A 4x4 patch holds all that a 2x2 window of outputs depends on, so the four outputs are one
    product with the kernel in its four places. Mean and covariance of the patches give the batch
    statistics of the convolution's output, which is normalised by scaling the kernel.

    Args:
      images: `[n, H, W, C]` float, H and W even, C small.
      kernel: `[3, 3, C, O]`.
      scale: `[O]`.
      bias: `[O]`.
      epsilon: added to the variance.

    Returns:
      As `normalised_pool` of the convolution of `images` with `kernel`.
    """
    images, kernel, scale, bias = vary_together((images, kernel, scale, bias))
    patches = _patches(images)
    centre = patches.mean((0, 1, 2))
    patches -= centre
    flat = patches.reshape(-1, patches.shape[-1])
    covariance = flat.T @ flat / flat.shape[0]

    placed = _four_places(kernel)
    means = (centre @ placed).reshape(4, -1)
    mean = means.mean(0)
    within = (placed * (covariance @ placed)).sum(0).reshape(4, -1)
    # Rounding may leave a little less than nothing of a quadratic form that is nearly zero.
    variance = jnp.maximum((within + jnp.square(means - mean)).mean(0), 0)
    gain = scale * lax.rsqrt(variance + epsilon)
    shift = (means - mean) * gain + bias
    # The shift is the kernel's last row, and meets a one at the end of each patch.
    whole = jnp.concatenate([placed * jnp.tile(gain, 4), shift.reshape(1, -1)])
    ones = jnp.ones((*patches.shape[:-1], 1), patches.dtype)
    outputs, _ = _largest(jnp.concatenate([patches, ones], axis=-1), whole)
    return outputs, mean, variance


def _patches(images: jax.Array) -> jax.Array:
    """`[n, H, W, C]` to the 4x4 patches around each 2x2 window, `[n, H / 2, W / 2, 16 * C]`.

    Each patch is four squares of 2x2 pixels one after the other: few, long copies.
    """
    count, height, width, channels = images.shape
    rows, columns = height // 2, width // 2
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    squares = padded.reshape(count, rows + 1, 2, columns + 1, 2, channels).swapaxes(2, 3)
    squares = squares.reshape(count, rows + 1, columns + 1, 4 * channels)
    corners = [squares[:, i : i + rows, j : j + columns] for i in (0, 1) for j in (0, 1)]
    return jnp.concatenate(corners, axis=-1)


def _four_places(kernel: jax.Array) -> jax.Array:
    """`[3, 3, C, O]` to `[16 * C, 4 * O]`: what each pixel of a 2x2 window takes of a patch."""
    channels, outputs = kernel.shape[2:]
    places = [(a, b) for a in (0, 1) for b in (0, 1)]
    placed = jnp.stack(
        [jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a, b in places], axis=3
    )
    squares = placed.reshape(2, 2, 2, 2, channels, 4 * outputs).swapaxes(1, 2)
    return squares.reshape(16 * channels, 4 * outputs)


@jax.custom_vjp
def _largest(patches, kernel):
    """ReLU of the largest of each patch's four products, `[..., K]` to `[..., O]`; its place."""

    def largest(patches):
        products = (patches @ kernel).reshape(*patches.shape[:-1], 4, -1)
        value, place = _tournament([products[..., k, :] for k in range(4)], jnp.bool_(False))
        return jax.nn.relu(value), jnp.where(value > 0, place, 4).astype(jnp.int8)

    each = patches.shape[1] * patches.shape[2] * kernel.shape[-1] * patches.dtype.itemsize
    return over_images(largest, patches, bytes_each=each)


def _largest_fwd(patches, kernel):
    outputs = _largest(patches, kernel)
    return outputs, (patches, kernel, outputs[1])


def _largest_bwd(saved, cotangents):
    patches, kernel, place = saved
    cotangent = cotangents[0]
    return _to_patches(cotangent, kernel, place), _to_kernel(patches, cotangent, place)


_largest.defvjp(_largest_fwd, _largest_bwd)


def _by_place(outputs, place):
    """`[..., O]` to four `[m, O]`, each with the outputs of its place and zero elsewhere."""
    flat, place = (a.reshape(-1, a.shape[-1]) for a in (outputs, place))
    return [jnp.where(place == k, flat, 0) for k in range(4)]


@jax.custom_vjp
def _to_outputs(patches, kernel, place):
    """Bilinear map 1: the products at their places, zero where place is 4."""
    products = (patches @ kernel).reshape(*patches.shape[:-1], 4, -1)
    value = jnp.zeros((), products.dtype)
    for k in range(4):
        value = jnp.where(place == k, products[..., k, :], value)
    return value


@jax.custom_vjp
def _to_kernel(patches, outputs, place):
    """Bilinear map 2: the transpose of map 1 in the kernel."""
    flat = patches.reshape(-1, patches.shape[-1]).T
    return jnp.concatenate([flat @ part for part in _by_place(outputs, place)], axis=-1)


@jax.custom_vjp
def _to_patches(outputs, kernel, place):
    """Bilinear map 3: the transpose of map 1 in the patches."""
    kernels = jnp.split(kernel, 4, axis=-1)
    parts = _by_place(outputs, place)
    total = sum(part @ each.T for part, each in zip(parts, kernels, strict=True))
    return total.reshape(*outputs.shape[:-1], -1)


_to_outputs.defvjp(
    lambda p, k, place: (_to_outputs(p, k, place), (p, k, place)),
    lambda s, o: (_to_patches(o, s[1], s[2]), _to_kernel(s[0], o, s[2]), None),
)
_to_kernel.defvjp(
    lambda p, o, place: (_to_kernel(p, o, place), (p, o, place)),
    lambda s, k: (_to_patches(s[1], k, s[2]), _to_outputs(s[0], k, s[2]), None),
)
_to_patches.defvjp(
    lambda o, k, place: (_to_patches(o, k, place), (o, k, place)),
    lambda s, p: (_to_outputs(p, s[1], s[2]), _to_kernel(p, s[0], s[2]), None),
)

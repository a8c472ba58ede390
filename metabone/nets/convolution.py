"""3x3 convolution in the forms that a task's own weights can afford.

In MAML every task convolves with weights of its own and is differentiated twice. XLA's convolution
is fast on CPU in the forward direction, but its weight gradients are convolutions with the roles of
batch and channels exchanged, tens of times slower. So the form `rule` has a gradient rule of its
own: weight gradients are nine thin matrix products. The rule is closed: the gradients of the three
bilinear maps below are again these three maps, so any order of reverse-mode differentiation stays
on the fast path. On maps of a few pixels even the forward convolution is slow; there the form
`dense` writes it as one matrix from all input pixels to all output pixels, which is plain algebra.
"""

from functools import partial
from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Form = Literal["auto", "rule", "dense", "lax"]
_KERNEL = 3
# Up to 4x4, where a dense matrix does 2.6 times the sums but does them at full speed.
_DENSE_PIXELS = 16


def conv3x3(
    images: jax.Array, kernel: jax.Array, stride: int = 1, form: Form = "auto"
) -> jax.Array:
    """Convolves with a 3x3 kernel and zero padding of one pixel on every side.

    Args:
      images: `[n, H, W, C]` float.
      kernel: `[3, 3, C, O]`; the wider of both dtypes is computed in.
      stride: 1 or more, the same in both directions.
      form: `rule` (own gradient rule), `dense` (one matrix), `lax` (XLA's convolution and its
        gradients) or `auto`: on CPU `dense` for maps of at most 4x4 and `rule` for others, `lax`
        elsewhere. All give the same numbers up to rounding.

    Returns:
      `[n, ceil(H / stride), ceil(W / stride), O]`; output pixel (i, j) is centred on input pixel
      (stride * i, stride * j).

    Raises:
      ValueError: an unknown form.
    """
    chex.assert_rank([images, kernel], 4)
    dtype = jnp.promote_types(images.dtype, kernel.dtype)
    images, kernel = images.astype(dtype), kernel.astype(dtype)
    if form == "auto":
        small = images.shape[1] * images.shape[2] <= _DENSE_PIXELS
        form = "lax" if jax.default_backend() != "cpu" else "dense" if small else "rule"
    if form == "rule":
        return _convolve(images, kernel, stride)
    if form == "dense":
        return _dense(images, kernel, stride)
    if form == "lax":
        return _xla(images, kernel, stride)
    raise ValueError(f"convolution form {form!r}: expected 'auto', 'rule', 'dense' or 'lax'")


def _xla(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(stride, stride),
        padding=((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _output_size(size: int, stride: int) -> int:
    return -(-size // stride)


def _dense(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    count, height, width, channels = images.shape
    rows, columns = _output_size(height, stride), _output_size(width, stride)
    meets = np.zeros((_KERNEL, _KERNEL, height, width, rows, columns), kernel.dtype)
    for i, j, r, c in np.ndindex(_KERNEL, _KERNEL, rows, columns):
        y, x = stride * r + i - 1, stride * c + j - 1
        if 0 <= y < height and 0 <= x < width:
            meets[i, j, y, x, r, c] = 1
    matrix = jnp.einsum("ijco,ijyxrs->yxcrso", kernel, meets)
    flat = images.reshape(count, -1) @ matrix.reshape(height * width * channels, -1)
    return flat.reshape(count, rows, columns, -1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Bilinear map 1: the convolution itself."""
    return _xla(images, kernel, stride)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _spread(outputs: jax.Array, kernel: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """Bilinear map 2: the transpose of map 1 in the images, `[n, h, w, O]` to `[n, H, W, C]`."""
    if stride == 1:
        # The transpose of a same-padded convolution is one with the kernel turned half round.
        return _xla(outputs, kernel[::-1, ::-1].swapaxes(2, 3), 1)
    height, width = size
    rows, columns = outputs.shape[1:3]
    total = 0.0
    for i in range(_KERNEL):
        for j in range(_KERNEL):
            part = outputs @ kernel[i, j].T
            above, left = i, j
            below = height + 2 - above - (stride * (rows - 1) + 1)
            right = width + 2 - left - (stride * (columns - 1) + 1)
            total += lax.pad(
                part,
                jnp.zeros((), part.dtype),
                ((0, 0, 0), (above, below, stride - 1), (left, right, stride - 1), (0, 0, 0)),
            )
    return total[:, 1:-1, 1:-1]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate(images: jax.Array, outputs: jax.Array, stride: int) -> jax.Array:
    """Bilinear map 3: the transpose of map 1 in the kernel, to `[3, 3, C, O]`."""
    height, width = outputs.shape[1:3]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    flat = outputs.reshape(-1, outputs.shape[-1])
    products = []
    for i in range(_KERNEL):
        for j in range(_KERNEL):
            # What the kernel's position (i, j) meets at every output pixel.
            rows = slice(i, i + stride * (height - 1) + 1, stride)
            columns = slice(j, j + stride * (width - 1) + 1, stride)
            met = padded[:, rows, columns]
            products.append(met.reshape(-1, met.shape[-1]).T @ flat)
    return jnp.stack(products).reshape(_KERNEL, _KERNEL, images.shape[-1], outputs.shape[-1])


def _convolve_fwd(images, kernel, stride):
    return _convolve(images, kernel, stride), (images, kernel)


def _convolve_bwd(stride, saved, cotangent):
    images, kernel = saved
    return (
        _spread(cotangent, kernel, stride, images.shape[1:3]),
        _correlate(images, cotangent, stride),
    )


def _spread_fwd(outputs, kernel, stride, size):
    return _spread(outputs, kernel, stride, size), (outputs, kernel)


def _spread_bwd(stride, size, saved, cotangent):
    del size
    outputs, kernel = saved
    return _convolve(cotangent, kernel, stride), _correlate(cotangent, outputs, stride)


def _correlate_fwd(images, outputs, stride):
    return _correlate(images, outputs, stride), (images, outputs)


def _correlate_bwd(stride, saved, cotangent):
    images, outputs = saved
    return (
        _spread(outputs, cotangent, stride, images.shape[1:3]),
        _convolve(images, cotangent, stride),
    )


_convolve.defvjp(_convolve_fwd, _convolve_bwd)
_spread.defvjp(_spread_fwd, _spread_bwd)
_correlate.defvjp(_correlate_fwd, _correlate_bwd)

"""3x3 convolution in the forms that a task's own weights can afford.

In MAML every task convolves with weights of its own and is differentiated twice. XLA's convolution
is fast on CPU in the forward direction, but its weight gradients are convolutions with the roles of
batch and channels exchanged, tens of times slower. So the form `rule` has a gradient rule of its
own: weight gradients are a matrix product for each row of the kernel. The rule is closed: the
gradients of the three bilinear maps below are again these three maps, so any order of reverse-mode
differentiation stays on the fast path. On maps of 2x2 pixels even the forward convolution is slow;
there the form `dense` writes it as one matrix from all input to all output pixels, plain algebra.
"""

from functools import partial
from typing import Literal, get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metabone.nets.device_axes import vary_together
from metabone.nets.image_chunks import over_images

Form = Literal["auto", "rule", "dense", "lax"]
_KERNEL = 3
# Up to 2x2, where the matrix holds fewer numbers than the kernel meets pixels.
_DENSE_PIXELS = 4


def conv3x3(
    images: jax.Array, kernel: jax.Array, stride: int = 1, form: Form = "auto"
) -> jax.Array:
    """Convolves with a 3x3 kernel and zero padding of one pixel on every side.

    Args:
      images: `[n, H, W, C]` float.
      kernel: `[3, 3, C, O]`; the wider of both dtypes is computed in.
      stride: 1 or more, the same in both directions.
      form: `rule` (own gradient rule), `dense` (one matrix), `lax` (XLA's convolution and its
        gradients) or `auto`: on CPU `dense` for maps of at most 2x2 and `rule` for others, `lax`
        elsewhere. All give the same numbers up to rounding.

    Returns:
      `[n, ceil(H / stride), ceil(W / stride), O]`; output pixel (i, j) is centred on input pixel
      (stride * i, stride * j).

    Raises:
      ValueError: an unknown form.
    """
    chex.assert_rank([images, kernel], 4)
    dtype = jnp.promote_types(images.dtype, kernel.dtype)
    images, kernel = vary_together((images.astype(dtype), kernel.astype(dtype)))
    by_form = {"rule": _convolve, "dense": _dense, "lax": _xla}
    return by_form[chosen(form, images.shape)](images, kernel, stride)


def chosen(form: Form, shape: tuple[int, ...]) -> Form:
    """The form that `auto` stands for on this platform.

    Args:
      form: any form.
      shape: of the images, `[n, H, W, C]`.

    Returns:
      The form itself unless it is `auto`.

    Raises:
      ValueError: an unknown form.
    """
    if form not in get_args(Form):
        raise ValueError(f"convolution form {form!r}: expected 'auto', 'rule', 'dense' or 'lax'")
    if form != "auto":
        return form
    if jax.default_backend() != "cpu":
        return "lax"
    return "dense" if shape[1] * shape[2] <= _DENSE_PIXELS else "rule"


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
    """Bilinear map 3: the transpose of map 1 in the kernel, to `[3, 3, C, O]`.

    A product for each of the kernel's rows, its three columns side by side: nine thin products read
    and write three times as much.
    """
    height, width = outputs.shape[1:3]
    channels, wide = images.shape[-1], outputs.shape[-1]

    def products(images, outputs):
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        flat = outputs.reshape(-1, wide).T
        columns = jnp.concatenate(
            [padded[:, :, j : j + stride * (width - 1) + 1 : stride] for j in range(_KERNEL)], -1
        )
        rows = [columns[:, i : i + stride * (height - 1) + 1 : stride] for i in range(_KERNEL)]
        return jnp.stack([flat @ met.reshape(-1, _KERNEL * channels) for met in rows])

    bytes_each = _KERNEL * channels * height * width * images.dtype.itemsize
    total = over_images(products, images, outputs, bytes_each=bytes_each, total=True)
    return total.reshape(_KERNEL, wide, _KERNEL, channels).transpose(0, 2, 3, 1)


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

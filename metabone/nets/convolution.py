"""3x3 convolution in the forms that a task's own weights can afford.

In MAML every task convolves with weights of its own and is differentiated twice. `lax.conv` is
slow at that on CPU (its second-order weight gradients fall off the fast path), so the convolution
is also written as matrix products over patches with its own gradient rule. The rule is closed: the
gradients of the three bilinear maps below are again these three maps, so any order of reverse-mode
differentiation stays on the fast path and no gradient of a pad, slice or concatenation is built.
"""

from functools import partial
from typing import Literal

import chex
import jax
import jax.numpy as jnp
from jax import lax

Form = Literal["auto", "patches", "lax"]
_KERNEL = 3


def conv3x3(
    images: jax.Array, kernel: jax.Array, stride: int = 1, form: Form = "auto"
) -> jax.Array:
    """Convolves with a 3x3 kernel and zero padding of one pixel on every side.

    Args:
      images: `[n, H, W, C]` float.
      kernel: `[3, 3, C, O]`, same dtype.
      stride: 1 or more, the same in both directions.
      form: `patches` (matrix product, own gradient rule), `lax` (XLA's convolution) or `auto`:
        `patches` on CPU, `lax` elsewhere. All forms give the same numbers up to rounding.

    Returns:
      `[n, ceil(H / stride), ceil(W / stride), O]`; output pixel (i, j) is centred on input pixel
      (stride * i, stride * j).

    Raises:
      ValueError: an unknown form.
    """
    chex.assert_rank([images, kernel], 4)
    if form == "auto":
        form = "patches" if jax.default_backend() == "cpu" else "lax"
    if form == "patches":
        return _convolve(images, kernel, stride)
    if form == "lax":
        return lax.conv_general_dilated(
            images,
            kernel,
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    raise ValueError(f"convolution form {form!r}: expected 'auto', 'patches' or 'lax'")


def _output_size(size: int, stride: int) -> int:
    return -(-size // stride)


def _views(images: jax.Array, stride: int) -> list[jax.Array]:
    """The nine shifted views of the padded images that meet the nine kernel positions."""
    _, height, width, _ = images.shape
    rows, columns = _output_size(height, stride), _output_size(width, stride)
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [
        padded[
            :,
            i : i + stride * (rows - 1) + 1 : stride,
            j : j + stride * (columns - 1) + 1 : stride,
        ]
        for i in range(_KERNEL)
        for j in range(_KERNEL)
    ]


def _patches(images: jax.Array, stride: int) -> jax.Array:
    """`[n, H, W, C]` to each output pixel's neighbourhood, `[n, h, w, 9 * C]`."""
    return jnp.concatenate(_views(images, stride), axis=-1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Bilinear map 1: the convolution itself."""
    columns = _patches(images, stride)
    return columns @ kernel.reshape(-1, kernel.shape[-1])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _spread(outputs: jax.Array, kernel: jax.Array, stride: int, size: tuple[int, int]) -> jax.Array:
    """Bilinear map 2: the transpose of map 1 in the images, `[n, h, w, O]` to `[n, H, W, C]`."""
    if stride == 1:
        # The transpose of a same-padded convolution is one with the kernel turned half round.
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return _patches(outputs, 1) @ turned.reshape(-1, turned.shape[-1])
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
    # Nine thin products beat one over the gathered patches: the patches are never written out.
    views = _views(images, stride)
    flat = outputs.reshape(-1, outputs.shape[-1])
    products = [view.reshape(-1, view.shape[-1]).T @ flat for view in views]
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

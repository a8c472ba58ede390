"""Histograms of oriented gradients: features of an image that nobody had to learn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from metabone.errors import InputError
from metabone.nets.network import Network, NormStats, Params

_ORIENTATIONS = 9
_BLOCK = 2
_CLIP = 0.2
_EPSILON = 1e-5
# From -1 .. 1 to the greys of uint8, beside which the normalisation's epsilon is nothing.
_GREYS = 127.5


def hog_net(cell: int = 8, blur: float = 0.0) -> Network:
    """Histograms of oriented gradients (Dalal and Triggs 2005) as a network without parameters.

    Nine orientations over 180 degrees in cells of `cell` x `cell` pixels; blocks of 2 x 2 cells at
    every cell, each normalised by L2-Hys (clipped at 0.2); no gamma. Of several channels each
    pixel's steepest counts, of equals the first. With an even `cell` and no blur these are
    scikit-image's numbers for the same image in uint8.

    Since blocks are normalised, the grain of an even place counts as much as the edge of a bone
    elsewhere, and it differs with a film's resolution. A blur leaves the bones.

    Args:
      cell: side of a cell in pixels; what is beyond whole cells, at the right and below, is left
        out.
      blur: standard deviation in pixels of a Gaussian that smooths the gradients, which is to
        smooth the image but for its border; zero for none.

    Returns:
      The network: images `[n, H, W, C]` in -1 to 1 to `[n, 36 (H // cell - 1) (W // cell - 1)]`, by
      block row, block column, cell row, cell column and orientation; 1,764 of a 64 x 64 region.
      Zero where an image is flat, and so is the slope.

    Raises:
      InputError: a cell that is not positive, or a blur below zero; in use, images that are
        not floats `[n, H, W, C]`, or of fewer than two cells a side.
    """
    if cell < 1:
        raise InputError(f"cell (={cell}): expected at least 1 pixel")
    if not 0 <= blur < math.inf:
        raise InputError(f"blur (={blur}): expected at least 0 pixels")

    def apply(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        del params, use_batch_stats
        _check(images, cell)
        return _blocks(_histograms(images, cell, blur)), norm_stats

    return Network(lambda key, image_shape: ({}, {}), apply)


def _histograms(images: jax.Array, cell: int, blur: float) -> jax.Array:
    """`[n, H, W, C]` to the gradients' lengths by cell and orientation, `[n, rows, columns, 9]`."""
    down, across = (_smooth(_central(images, axis), blur) for axis in (1, 2))
    squares = down**2 + across**2
    if images.shape[-1] > 1:
        # Whole numbers for images that were uint8, among which the last digits must not decide.
        steepest = jnp.round(squares).argmax(-1, keepdims=True)
        down, across, squares = (
            jnp.take_along_axis(each, steepest, -1) for each in (down, across, squares)
        )
    down, across, squares = down[..., 0], across[..., 0], squares[..., 0]
    # The root's slope at zero is infinite, and that of a flat pixel has to be none.
    steep = squares > 0
    length = jnp.where(steep, jnp.sqrt(jnp.where(steep, squares, 1.0)), 0.0)
    degrees = jax.lax.stop_gradient(jnp.degrees(jnp.arctan2(down, across)) % 180)
    # Rounding may leave 180 of an angle just below zero.
    bins = jnp.floor(degrees * (_ORIENTATIONS / 180)).astype(jnp.int32) % _ORIENTATIONS
    rows, columns = (side // cell for side in images.shape[1:3])
    length, bins = (
        each[:, : rows * cell, : columns * cell].reshape(-1, rows, cell, columns, cell)
        for each in (length, bins)
    )
    of_bin = [jnp.where(bins == each, length, 0).sum((2, 4)) for each in range(_ORIENTATIONS)]
    return jnp.stack(of_bin, axis=-1) / cell**2


def _central(images: jax.Array, axis: int) -> jax.Array:
    """Differences of the two neighbours along an axis in greys; none at the image's border."""
    after = jax.lax.slice_in_dim(images, 2, None, axis=axis)
    before = jax.lax.slice_in_dim(images, 0, -2, axis=axis)
    # Scaled last: before it, a product fused with the difference leaves a rest of equal pixels.
    inner = (after - before) * _GREYS
    return jnp.pad(inner, [(int(a == axis),) * 2 for a in range(images.ndim)])


def _smooth(gradients: jax.Array, blur: float) -> jax.Array:
    """Gradients under a Gaussian; beyond the border they are as at the border."""
    if not blur:
        return gradients
    for axis, formula in ((1, "ij,njwc->niwc"), (2, "ij,nhjc->nhic")):
        each = np.eye(gradients.shape[axis])
        weights = ndimage.gaussian_filter1d(each, blur, axis=0, mode="nearest")
        weights = jnp.asarray(weights, gradients.dtype)
        gradients = jnp.einsum(formula, weights, gradients, precision=jax.lax.Precision.HIGHEST)
    return gradients


def _blocks(histograms: jax.Array) -> jax.Array:
    """Normalised blocks of neighbouring cells, flattened."""
    rows, columns = (side - _BLOCK + 1 for side in histograms.shape[1:3])
    cells = [
        histograms[:, i : i + rows, j : j + columns] for i in range(_BLOCK) for j in range(_BLOCK)
    ]
    blocks = jnp.concatenate(cells, axis=-1)
    blocks = _unit(jnp.minimum(_unit(blocks), _CLIP))
    return blocks.reshape(len(histograms), -1)


def _unit(blocks: jax.Array) -> jax.Array:
    squares = jnp.square(blocks).sum(-1, keepdims=True)
    return blocks * jax.lax.rsqrt(squares + _EPSILON**2)


def _check(images: jax.Array, cell: int) -> None:
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}: expected floats [n, H, W, C], as "
            "metabone.episodes.sampling.scale makes them of uint8"
        )
    if min(images.shape[1:3]) < max(_BLOCK * cell, 2):
        raise InputError(
            f"cell (={cell}) and images of {images.shape[1]} x {images.shape[2]} pixels: "
            f"expected at least {_BLOCK} cells a side"
        )

"""Where in an image a score comes from, by covering one window after the other."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError
from metabone.evaluation.activation_maps import check_seen
from metabone.evaluation.chunked import chunked


def occlusion(
    score_of: Callable[[jax.Array], jax.Array],
    images: np.ndarray,
    *,
    patch: int,
    stride: int,
    fill: float | None = None,
    height: int | None = None,
    together: int = 64,
) -> np.ndarray:
    """By how much a score falls where an image is covered, whatever the network.

    Args:
      score_of: `images [k, H, W, C] -> scores [k]`, each image by itself.
      images: `[n, H, W, C]` float32, as `score_of` takes them.
      patch: pixels a side of the square that covers.
      stride: pixels by which it moves, at most `patch`.
      fill: the grey that covers, in the unit of the images; None for the mean of what is seen of
        each image.
      height: rows of an image that are seen; rows below them, such as one that tells sex, are never
        covered.
      together: covered images that are scored at once, which bounds the memory.

    Returns:
      `[n, height, W]` float32 in the unit of the score, at each pixel the mean over the windows
      that hold it; below 0 where covering raises the score.

    Raises:
      InputError: images of another shape, a patch that does not fit or a stride that leaves gaps,
        scores of another shape.

    Source: Zeiler and Fergus 2014, section 4.2.
    """
    images = np.asarray(images)
    shape = check_seen(images, height)
    windows = windows_of(*shape, patch, stride)
    scores = jax.eval_shape(score_of, jax.ShapeDtypeStruct(images.shape, images.dtype)).shape
    if scores != (len(images),):
        raise InputError(f"scores of shape {scores}: expected ({len(images)},), one an image")
    rows, columns = (jnp.arange(side)[:, None, None] for side in images.shape[1:3])
    columns = columns[:, 0]
    # The last place lies outside, and leaves the image as it is.
    tops = np.array([rows.start for rows, _ in windows] + [images.shape[1]])
    lefts = np.array([columns.start for _, columns in windows] + [0])

    @jax.jit
    def scored(image, grey, tops, lefts):
        def cover(top, left):
            inside = (rows >= top) & (rows < top + patch)
            inside &= (columns >= left) & (columns < left + patch)
            return jnp.where(inside, grey, image)

        return score_of(jax.vmap(cover)(tops, lefts))

    found = []
    for image in images:
        grey = image[: shape[0]].mean((0, 1)) if fill is None else np.asarray(fill)
        grey = grey.astype(image.dtype)
        each = chunked(
            lambda tops, lefts, image=image, grey=grey: scored(image, grey, tops, lefts),
            *(tops, lefts),
            size=together,
        )
        found.append(mean_over_windows(each[-1] - each[:-1], windows, shape))
    return np.stack(found)


def windows_of(height: int, width: int, patch: int, stride: int) -> list[tuple[slice, slice]]:
    """Square windows that together cover an image.

    Args:
      height: of the image.
      width: of the image.
      patch: pixels a side of a window.
      stride: pixels from one to the next; the last of a row or column is nearer where the image
        ends.

    Returns:
      Rows and columns of each.

    Raises:
      InputError: a window larger than the image, or a stride that leaves gaps.

    Example:
      >>> [rows.start for rows, _ in windows_of(10, 4, 4, 4)]
      [0, 4, 6]
    """
    if not 1 <= patch <= min(height, width):
        raise InputError(f"patch (={patch}): expected 1 to the sides of {height}x{width} pixels")
    if not 1 <= stride <= patch:
        raise InputError(f"stride (={stride}): expected 1 to patch (={patch}), to leave no gap")
    down, across = (
        [*range(0, side - patch, stride), max(0, side - patch)] for side in (height, width)
    )
    return [(slice(top, top + patch), slice(left, left + patch)) for top in down for left in across]


def mean_over_windows(
    values: np.ndarray, windows: Sequence[tuple[slice, slice]], shape: tuple[int, int]
) -> np.ndarray:
    """Spreads the value of each window over its pixels.

    Args:
      values: `[m]`.
      windows: `m` windows, which cover all pixels.
      shape: `(H, W)`.

    Returns:
      `[H, W]` float32, at each pixel the mean over the windows that hold it.
    """
    total, count = np.zeros(shape, np.float64), np.zeros(shape, np.int64)
    for value, window in zip(values, windows, strict=True):
        total[window] += value
        count[window] += 1
    return (total / count).astype(np.float32)

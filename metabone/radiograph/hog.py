"""Histograms of oriented gradients: features of a region that nobody had to learn."""

import numpy as np
from skimage.feature import hog

from metabone.errors import InputError

ORIENTATIONS = 9
BLOCK = 2


def hog_features(images: np.ndarray, *, cell: int = 8) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs 2005), by scikit-image.

    Nine orientations over 180 degrees in cells of `cell` x `cell` pixels; blocks of 2 x 2 cells at
    every cell, each normalised by L2-Hys (clipped at 0.2); no smoothing, no gamma. A 64 x 64 region
    has 7 x 7 blocks, 1,764 features.

    Args:
      images: `[..., H, W]` uint8; what is beyond whole cells, at the right and below, is left out.
      cell: side of a cell in pixels.

    Returns:
      `[..., D]` float32, `D = 36 (H // cell - 1) (W // cell - 1)`: by block row, block column, cell
      row, cell column and orientation. Zero where an image is flat.

    Raises:
      InputError: images that are not uint8, a cell that is not positive, images of fewer than two
        cells a side.

    Example:
      >>> hog_features(np.zeros((5, 6, 64, 64), np.uint8)).shape
      (5, 6, 1764)
    """
    if images.dtype != np.uint8 or images.ndim < 2:
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}: expected uint8 [..., H, W]"
        )
    if cell < 1 or min(images.shape[-2:]) < BLOCK * cell:
        raise InputError(
            f"cell (={cell}) and images of {images.shape[-2]} x {images.shape[-1]} pixels: "
            f"expected at least {BLOCK} cells a side"
        )
    rows, columns = (side // cell - BLOCK + 1 for side in images.shape[-2:])
    shape = (*images.shape[:-2], rows * columns * BLOCK**2 * ORIENTATIONS)
    found = np.empty((int(np.prod(shape[:-1])), shape[-1]), np.float32)
    for place, image in enumerate(images.reshape(-1, *images.shape[-2:])):
        found[place] = hog(
            image,
            orientations=ORIENTATIONS,
            pixels_per_cell=(cell, cell),
            cells_per_block=(BLOCK, BLOCK),
            block_norm="L2-Hys",
        )
    return found.reshape(shape)

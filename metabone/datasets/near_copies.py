"""Films that are one film twice, though their files differ: recompressed, resized or padded."""

import numpy as np
from PIL import Image
from scipy import ndimage

LOOK = 64
"""Side of what films are compared by, in pixels."""

ALIKE = 0.9
"""Correlation of their fine detail from which two films are near copies.

Of 466,000 pairs of films of 966 different hands none was above 0.86. Of 25 copies of each kind,
saved as JPEG at quality 50, at half the resolution or with a border, all but one had 0.926 or more;
that one was cropped otherwise.
"""

# Exposure and the outline of a hand, which hands share, are coarser than this many pixels.
_COARSE = 3.0


def look_of_film(film: np.ndarray) -> np.ndarray:
    """What a film is compared by.

    Args:
      film: `[H, W]` uint8; canonical, so that copies that were mirrored, turned or inverted are
        found as well.

    Returns:
      `[LOOK, LOOK]` uint8.
    """
    return np.asarray(Image.fromarray(film).resize((LOOK, LOOK), Image.Resampling.BOX))


def near_copies(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int, float]]:
    """Finds films of one set that are nearly the same as films of another.

    Args:
      first: `[N, LOOK, LOOK]` uint8.
      second: `[M, LOOK, LOOK]` uint8.

    Returns:
      `(row of first, row of second, correlation)` of each pair from `ALIKE` on, the most alike
      first.
    """
    alike = _standardised(first) @ _standardised(second).T
    found = [(int(i), int(j), float(alike[i, j])) for i, j in np.argwhere(alike >= ALIKE)]
    return sorted(found, key=lambda pair: -pair[2])


def _standardised(looks: np.ndarray) -> np.ndarray:
    """`[N, D]` of fine detail and length one, or zero where a film is flat."""
    looks = np.asarray(looks, np.float32)
    fine = looks - ndimage.gaussian_filter(looks, (0, _COARSE, _COARSE))
    flat = fine.reshape(len(looks), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)

"""Copies of a film of which the same is to be read, and their points on it."""

import numpy as np
from PIL import Image

from metabone.radiograph.landmarks import mirrored, turned

_BORDER = 0.1


def copies(film: np.ndarray) -> dict[str, np.ndarray]:
    """Copies of a film of which the same is to be read.

    Brightness is a factor of the gray levels, contrast one of their distance from the mean; what
    leaves the range is clipped, and lost.

    Args:
      film: `[H, W]` uint8.

    Returns:
      Copies by name.
    """
    edge = round(_BORDER * max(film.shape))

    def gray(levels: np.ndarray) -> np.ndarray:
        return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)

    mean = film.mean()
    half = Image.fromarray(film).resize(
        (film.shape[1] // 2, film.shape[0] // 2), Image.Resampling.BOX
    )
    return {
        "inverted": 255 - film,
        "mirrored": film[:, ::-1],
        "turned by 90": np.rot90(film),
        "turned by 180": np.rot90(film, 2),
        "turned by 270": np.rot90(film, 3),
        "brightness -20 %": gray(0.8 * film),
        "brightness +20 %": gray(1.2 * film),
        "contrast -20 %": gray(mean + 0.8 * (film - mean)),
        "contrast +20 %": gray(mean + 1.2 * (film - mean)),
        "half the resolution": np.asarray(half),
        "black border of 10 %": np.pad(film, edge),
        "white border of 10 %": np.pad(film, edge, constant_values=255),
    }


def points_back(name: str, points: np.ndarray, film: np.ndarray) -> np.ndarray:
    """Where points of a copy lie on the film that it is of.

    Args:
      name: of the copy, see `copies`.
      points: `[21, 2]` float `(x, y)` pixels of the copy.
      film: `[H, W]`.

    Returns:
      `[21, 2]` float `(x, y)` pixels of the film.
    """
    height, width = film.shape
    if name == "mirrored":
        return mirrored(points, width)
    if name.startswith("turned"):
        quarters = int(name.rsplit(" ", 1)[1]) // 90
        return turned(points, -quarters, (width, height) if quarters % 2 else (height, width))
    if name == "half the resolution":
        return (points + 0.5) * [width / (width // 2), height / (height // 2)] - 0.5
    return points - round(_BORDER * max(film.shape)) if "border" in name else points

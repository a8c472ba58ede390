"""Parts of a film turned, scaled and cut in one resampling."""

import numpy as np
from scipy import ndimage

# A Gaussian of this many pixels for each pixel of the film that falls into one of the result, the
# usual half width at which what the coarser grid cannot show is damped.
_BLUR = 0.45


def cut(
    film: np.ndarray,
    centre: np.ndarray,
    direction: float,
    side: float,
    size: int,
    fill: float | None = None,
) -> np.ndarray:
    """Cuts a square out of a film, turned such that a direction of the film points up in it.

    Cubic interpolation, after a blur where the result is coarser than the film.

    Args:
      film: `[H, W]`, uint8, uint16 or float.
      centre: `[2]` `(x, y)` pixels of the film, the middle of the square.
      direction: radians from +x towards +y on the film; -pi / 2 cuts without turning.
      side: of the square, pixels of the film.
      size: of the result in pixels.
      fill: gray level beyond the film; None repeats its border.

    Returns:
      `[size, size]` float32, gray levels of the film.
    """
    film = np.asarray(film)
    fill = None if fill is None else float(fill)
    # Means of whole blocks first: a wide blur of millions of pixels would take seconds.
    blocks = min(int(side / size / 2.0), *film.shape)
    if blocks > 1:
        film = _block_means(film, blocks)
        centre, side = (np.asarray(centre) + 0.5) / blocks - 0.5, side / blocks
    to_film = square_to_film(centre, direction, side, size)
    # Only what can be seen is blurred and interpolated.
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]])
    seen = corners @ to_film[:, :2].T + to_film[:, 2]
    margin = 4.0 + 3.0 * side / size
    limit = np.array(film.shape[::-1])
    low = np.clip(np.floor(seen.min(axis=0) - margin), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(seen.max(axis=0) + margin) + 1, low + 1, limit).astype(int)
    part = film[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    shrinking = side / size
    if shrinking > 1.0:
        part = ndimage.gaussian_filter(part, _BLUR * np.sqrt(shrinking**2 - 0.9), mode="nearest")
    matrix = to_film[::-1, 1::-1]
    offset = (to_film[:, 2] - low)[::-1]
    mode = "nearest" if fill is None else "constant"
    return ndimage.affine_transform(
        part, matrix, offset, (size, size), order=3, mode=mode, cval=fill or 0.0
    ).astype(np.float32)


def _block_means(film: np.ndarray, blocks: int) -> np.ndarray:
    """Means of `blocks` x `blocks` pixels; rows and columns beyond the last whole one repeat."""
    height, width = film.shape
    more = [(0, -height % blocks), (0, -width % blocks)]
    film = np.pad(film.astype(np.float32), more, mode="edge")
    rows, columns = film.shape[0] // blocks, film.shape[1] // blocks
    return film.reshape(rows, blocks, columns, blocks).mean(axis=(1, 3))


def square_to_film(centre: np.ndarray, direction: float, side: float, size: int) -> np.ndarray:
    """The map from a square that `cut` makes to the film it was cut from.

    Args:
      centre: as in `cut`.
      direction: as in `cut`.
      side: as in `cut`.
      size: as in `cut`.

    Returns:
      `[2, 3]` float64: film `(x, y)` = `[:, :2] @ (x, y) + [:, 2]`.
    """
    scale = side / size
    up = np.array([np.cos(direction), np.sin(direction)])
    right = np.array([-up[1], up[0]])
    linear = scale * np.stack([right, -up], axis=1)
    middle = 0.5 * (size - 1)
    offset = np.asarray(centre, np.float64) - linear @ np.array([middle, middle])
    return np.concatenate([linear, offset[:, None]], axis=1)

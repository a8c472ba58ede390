"""What a film's answer rests on: the film with one window after the other covered."""

import numpy as np

_WINDOW, _STRIDE = 4, 8  # a window is a quarter of the side, and moves by half of itself


def covered(image: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """A film and its copies, each with one window covered by the film's mean grey.

    Args:
      image: `[H, W, C]` uint8.

    Returns:
      `[1 + m, H, W, C]` uint8, the film itself first, and the `m` windows.
    """
    places = [_spans(side) for side in image.shape[:2]]
    windows = [(rows, columns) for rows in places[0] for columns in places[1]]
    films = np.repeat(image[None], 1 + len(windows), axis=0)
    grey = np.rint(image.mean((0, 1))).astype(np.uint8)
    for film, window in zip(films[1:], windows, strict=True):
        film[window] = grey
    return films, windows


def drop_map(
    drops: np.ndarray, windows: list[tuple[slice, slice]], shape: tuple[int, int]
) -> np.ndarray:
    """Spreads the drop of each window over its pixels.

    Args:
      drops: `[m]`.
      windows: `m` windows, which cover all pixels.
      shape: `(H, W)`.

    Returns:
      `[H, W]` float32, at each pixel the mean over the windows that hold it.
    """
    total, count = np.zeros(shape, np.float64), np.zeros(shape, np.int64)
    for drop, window in zip(drops, windows, strict=True):
        total[window] += drop
        count[window] += 1
    return (total / count).astype(np.float32)


def _spans(side: int) -> list[slice]:
    width, stride = max(1, side // _WINDOW), max(1, side // _STRIDE)
    starts = [*range(0, side - width, stride), side - width]
    return [slice(start, start + width) for start in starts]

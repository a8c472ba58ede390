"""What a film's answer rests on: the film with one window or region after the other covered."""

import numpy as np
from scipy.special import softmax

from metabone.evaluation.occlusion import windows_of

_WINDOW, _STRIDE = 4, 8  # a window is a quarter of the side, and moves by half of itself


def covered(image: np.ndarray, edge: int) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """A film and its copies, each with one window covered by the film's mean grey.

    Args:
      image: `[H, W, C]` uint8.
      edge: height and width of what is covered; rows below it are no pixels of the film.

    Returns:
      `[1 + m, H, W, C]` uint8, the film itself first, and the `m` windows.
    """
    windows = windows_of(edge, edge, max(1, edge // _WINDOW), max(1, edge // _STRIDE))
    films = np.repeat(image[None], 1 + len(windows), axis=0)
    grey = np.rint(image[:edge].mean((0, 1))).astype(np.uint8)
    for film, window in zip(films[1:], windows, strict=True):
        film[window] = grey
    return films, windows


def drops_without(logits: np.ndarray, temperature: float) -> np.ndarray:
    """By how much the probability of the answer falls when a region is not looked at.

    Args:
      logits: `[n, R, K]` of each region; the answer is by the mean of their probabilities.
      temperature: by which the logits of a mean are divided.

    Returns:
      `[n, R]` float32; 0 for a single region, without which nothing is left.
    """
    each = softmax(np.asarray(logits, np.float64), axis=-1)
    count = each.shape[1]
    if count == 1:
        return np.zeros(each.shape[:2], np.float32)
    total = each.sum(1)
    whole = _calibrated(total / count, temperature)
    without = _calibrated((total[:, None] - each) / (count - 1), temperature)
    best = whole.argmax(-1)
    rows = np.arange(len(each))
    return (whole[rows, best][:, None] - without[rows, :, best]).astype(np.float32)


def _calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(np.log(np.maximum(probabilities, 1e-300)) / temperature, axis=-1)

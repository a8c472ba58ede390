"""Regions moved onto a template: key points are a little off, and a stage shows in few pixels.

The template is a mean of edges over films whose stages need not be known. It is made from
meta-data or from a support set and never from queries, so that a query's crop does not depend on
which other queries are asked.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from metabone.radiograph.cutting import stretched

REACH = 12
"""How far a region is moved at most, pixels of a crop, in each direction."""

_ROUNDS = 6
# At the corners of the reach a template must fit better by this much than where the point lies.
_PENALTY = 0.1


class Registered(NamedTuple):
    """Crops moved onto a template.

    Attributes:
      regions: `[n, S, S]` uint8, each stretched on its own.
      shifts: `[n, 2]` int `(x, y)` pixels by which the window was moved on the crop.
      fits: `[n]` float32, correlation with the template there, -1 to 1.
    """

    regions: np.ndarray
    shifts: np.ndarray
    fits: np.ndarray


def edges(crops: np.ndarray) -> np.ndarray:
    """What is compared: how strong edges are in both directions.

    Args:
      crops: `[n, S, S]`, any gray levels; they are stretched first.

    Returns:
      `[n, S, S, 2]` float32 in about 0..1: absolute values of the Sobel filters along x and y.
    """
    gray = stretched(crops).astype(np.float32) / 255.0
    both = []
    for along, across in ((2, 1), (1, 2)):
        # Not `ndimage.sobel`, which would smooth over neighbouring crops as well.
        smooth = ndimage.correlate1d(gray, [1, 2, 1], axis=across, mode="nearest")
        both.append(np.abs(ndimage.correlate1d(smooth, [-1, 0, 1], axis=along, mode="nearest")))
    return 0.25 * np.stack(both, axis=-1)


def make_template(crops: np.ndarray, size: int = 64) -> np.ndarray:
    """The mean of edges of one region over films, after they were moved onto each other.

    Args:
      crops: `[n, S, S]` of one region with room around it, `S` at least `size + 2 * REACH`.
      size: side of the template.

    Returns:
      `[size, size, 2]` float32.

    Raises:
      ValueError: no crops, or too little room.
    """
    _check(crops, size)
    seen = edges(crops)
    shifts = np.zeros((len(crops), 2), int)
    for _ in range(_ROUNDS):
        template = _windows(seen, shifts, size).mean(axis=0)
        shifts, _ = _best(seen, template)
        # All moved alike would move the template out of the field.
        shifts = np.clip(shifts - np.rint(shifts.mean(axis=0)).astype(int), -REACH, REACH)
    return _windows(seen, shifts, size).mean(axis=0).astype(np.float32)


def register(crops: np.ndarray, template: np.ndarray) -> Registered:
    """Moves each crop's window to where its edges fit the template best.

    Normalised cross-correlation within `REACH`, less a small penalty on the distance.

    Args:
      crops: `[n, S, S]` as in `make_template`.
      template: `[s, s, 2]` from `make_template` of other films.

    Returns:
      The windows.

    Raises:
      ValueError: no crops, or too little room.
    """
    crops = np.asarray(crops)
    size = template.shape[0]
    _check(crops, size)
    shifts, fits = _best(edges(crops), template)
    windows = _windows(crops[..., None], shifts, size)[..., 0]
    return Registered(stretched(windows), shifts, fits.astype(np.float32))


def _check(crops: np.ndarray, size: int) -> None:
    crops = np.asarray(crops)
    if crops.ndim != 3 or not len(crops) or min(crops.shape[1:]) < size + 2 * REACH:
        least = size + 2 * REACH
        raise ValueError(f"crops {crops.shape}: expected [n, S, S] with S at least {least}")


def _windows(images: np.ndarray, shifts: np.ndarray, size: int) -> np.ndarray:
    """`[n, S, S, C]` to `[n, size, size, C]` around the middle, moved."""
    first = (images.shape[1] - size) // 2
    steps = first + np.arange(size)
    rows, columns = shifts[:, 1, None] + steps, shifts[:, 0, None] + steps
    each = np.arange(len(images))[:, None, None]
    return images[each, rows[:, :, None], columns[:, None, :]]


def _best(seen: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shift `[n, 2]` at which the template fits each image best, and how well."""
    scores = correlations(seen, template)
    axis = np.arange(-REACH, REACH + 1)
    away = (axis[:, None] ** 2 + axis[None, :] ** 2) / (2.0 * REACH**2)
    judged = (scores - _PENALTY * away).reshape(len(scores), -1)
    at = judged.argmax(axis=1)
    y, x = np.unravel_index(at, (len(axis), len(axis)))
    fits = scores.reshape(len(scores), -1)[np.arange(len(at)), at]
    return np.stack([x - REACH, y - REACH], axis=1), fits


def correlations(seen: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation of a template with each window within `REACH`.

    Args:
      seen: `[n, S, S, C]` float.
      template: `[s, s, C]` float.

    Returns:
      `[n, 2 * REACH + 1, 2 * REACH + 1]` float64 in -1..1 by `(y, x)`; 0 where a window is flat.
    """
    size, channels = template.shape[0], template.shape[2]
    first = (seen.shape[1] - size) // 2 - REACH
    reach = size + 2 * REACH
    seen = np.asarray(seen, np.float64)[:, first : first + reach, first : first + reach]
    pattern = template.astype(np.float64) - template.mean()
    spectrum = np.conj(np.fft.rfft2(pattern, (reach, reach), axes=(0, 1)))
    product = (np.fft.rfft2(seen, axes=(1, 2)) * spectrum).sum(axis=-1)
    places = 2 * REACH + 1
    fit = np.fft.irfft2(product, (reach, reach), axes=(1, 2))[:, :places, :places]

    def sums(values: np.ndarray) -> np.ndarray:
        total = np.pad(values.sum(axis=-1), ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
        ends = total[:, size:, size:] - total[:, :-size, size:]
        return ends - total[:, size:, :-size] + total[:, :-size, :-size]

    count = size * size * channels
    spread = sums(seen**2) - sums(seen) ** 2 / count
    norm = np.sqrt(np.maximum(spread, 0.0) * (pattern**2).sum())
    return np.where(norm > 1e-9, fit / np.maximum(norm, 1e-9), 0.0)

"""A film the way a reader wants it: a left hand, fingers up, bones bright, nothing around it.

Every step is a decision (which border, which of four turns, which side, which polarity) that copies
of one film come to alike, so that turned, mirrored, inverted, padded or dimmed copies end as the
same pixels, up to the rounding of their gray levels.
"""

from typing import NamedTuple

import numpy as np

from metabone.radiograph.landmarks import (
    fingers_direction,
    hand_length,
    is_right_hand,
    mirrored,
    turned,
)

# A row is border if it varies by less than this share of the film's range.
_FLAT = 0.05
_LEAST_PIXELS = 32
# Around the hand's points, in hand lengths: beside and above it, and below the wrist.
_BESIDE, _BELOW = 0.15, 0.28
_BLACK, _WHITE = 1.0, 99.5
# Each bone of the digits by the points at its ends, and how far beside its middle is no more bone.
_BONES = np.array([[first + k, first + k + 1] for first in (1, 5, 9, 13, 17) for k in range(3)])
_BESIDE_BONE = 0.05


class Turn(NamedTuple):
    """What was done to a film to make it canonical, in this order.

    Attributes:
      quarters: turns by 90 degrees against the clock, 0 to 3, as `np.rot90`.
      mirrored: whether it was then mirrored left to right: a right hand, or a mirrored film.
      inverted: whether dark bones were made bright.
    """

    quarters: int
    mirrored: bool
    inverted: bool


def inner_box(film: np.ndarray) -> tuple[int, int, int, int]:
    """What is left of a film without its even border: collimation, padding, empty air.

    Rows and columns are taken away from outside as long as they are even within what is left. The
    order makes no difference to where this ends.

    Args:
      film: `[H, W]`.

    Returns:
      `(left, top, right, bottom)` pixels, right and bottom exclusive; the whole film if less than
      32 pixels a side would be left.
    """
    film = np.asarray(film)
    left, top, right, bottom = whole = (0, 0, film.shape[1], film.shape[0])
    while True:
        inner = film[top:bottom, left:right]
        if min(inner.shape) < _LEAST_PIXELS:
            return whole
        flat = _FLAT * (float(inner.max()) - float(inner.min()))
        before = (left, top, right, bottom)
        rows, columns = _even(inner, flat), _even(inner.T, flat)
        if rows.all() or columns.all():
            return whole
        top, bottom = top + rows.argmin(), bottom - rows[::-1].argmin()
        left, right = left + columns.argmin(), right - columns[::-1].argmin()
        if before == (left, top, right, bottom):
            return tuple(int(edge) for edge in before)


def _even(rows: np.ndarray, flat: float) -> np.ndarray:
    return rows.max(axis=1).astype(float) - rows.min(axis=1) <= flat


def how_turned(film: np.ndarray, points: np.ndarray) -> Turn:
    """Which way a hand lies on a film.

    Args:
      film: `[H, W]`.
      points: `[21, 2]` float `(x, y)` pixels of it.

    Returns:
      What makes it canonical.
    """
    # Fingers that point right (0) need one turn against the clock to point up (-pi / 2).
    quarters = int(np.rint(1.0 + fingers_direction(points) / (0.5 * np.pi))) % 4
    return Turn(quarters, bool(is_right_hand(points)), is_inverted(film, points))


def is_inverted(film: np.ndarray, points: np.ndarray) -> bool:
    """Whether the digits' bones are darker than what lies beside them.

    Args:
      film: `[H, W]`.
      points: `[21, 2]` float `(x, y)` pixels of it.

    Returns:
      Whether most bones say so.
    """
    points = np.asarray(points, np.float64)
    length = hand_length(points)
    start, end = points[_BONES[:, 0]], points[_BONES[:, 1]]
    along = (end - start) / np.maximum(np.linalg.norm(end - start, axis=1, keepdims=True), 1e-6)
    across = _BESIDE_BONE * length * np.stack([-along[:, 1], along[:, 0]], axis=1)
    middle = 0.5 * (start + end)
    bone = _around(film, middle, length)
    beside = 0.5 * (_around(film, middle + across, length) + _around(film, middle - across, length))
    return bool(np.median(bone - beside) < 0)


def _around(film: np.ndarray, points: np.ndarray, length: float) -> np.ndarray:
    """Mean gray level of a small square around each of `[..., 2]` points."""
    height, width = film.shape
    half = 0.008 * length
    steps = np.linspace(-half, half, 5)
    x, y = points[..., 0, None, None] + steps, points[..., 1, None, None] + steps[:, None]
    columns = np.clip(np.rint(x), 0, width - 1).astype(int)
    rows = np.clip(np.rint(y), 0, height - 1).astype(int)
    return np.asarray(film, np.float32)[rows, columns].mean(axis=(-2, -1))


def turn_film(film: np.ndarray, turn: Turn) -> np.ndarray:
    """The film after the turn.

    Args:
      film: `[H, W]`.
      turn: from `how_turned`.

    Returns:
      `[H, W]` or `[W, H]` of its dtype.
    """
    film = np.rot90(film, turn.quarters)
    film = film[:, ::-1] if turn.mirrored else film
    # Within its own range: what is darkest becomes what is brightest.
    film = film.max() - (film - film.min()) if turn.inverted else film
    return np.ascontiguousarray(film)


def turn_points(points: np.ndarray, size: tuple[int, int], turn: Turn) -> np.ndarray:
    """Where points lie after the turn.

    Args:
      points: `[..., 2]` float `(x, y)` pixels of the film before.
      size: `(height, width)` of the film before.
      turn: from `how_turned`.

    Returns:
      `[..., 2]`.
    """
    points = turned(points, turn.quarters, size)
    width = size[turn.quarters % 2 == 0]
    return mirrored(points, width) if turn.mirrored else points


def turn_points_back(points: np.ndarray, size: tuple[int, int], turn: Turn) -> np.ndarray:
    """Where points of the turned film lie on the film before.

    Args:
      points: `[..., 2]` float `(x, y)` pixels of the film after the turn.
      size: `(height, width)` of the film before.
      turn: from `how_turned`.

    Returns:
      `[..., 2]`.
    """
    after = size if turn.quarters % 2 == 0 else size[::-1]
    points = mirrored(points, after[1]) if turn.mirrored else np.asarray(points)
    return turned(points, -turn.quarters, after)


def hand_box(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of an upright film that shows the hand, with a piece of the forearm.

    Args:
      points: `[21, 2]` float `(x, y)` pixels, fingers up.
      size: `(height, width)` of the film.

    Returns:
      `(left, top, right, bottom)` pixels on the film, right and bottom exclusive.
    """
    length = float(hand_length(points))
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    low = np.floor(low - _BESIDE * length)
    high = np.ceil(high + length * np.array([_BESIDE, _BELOW])) + 1
    height, width = size
    left, top = (int(np.clip(v, 0, n - 1)) for v, n in zip(low, (width, height), strict=True))
    right = int(np.clip(high[0], left + 1, width))
    bottom = int(np.clip(high[1], top + 1, height))
    return left, top, right, bottom


def normal_exposure(film: np.ndarray) -> np.ndarray:
    """Gray levels between a film's 1st and its 99.5th percentile, as 0 to 255.

    Args:
      film: `[H, W]` of any range.

    Returns:
      uint8 of the same shape; 0 without contrast.
    """
    low, high = np.percentile(film, (_BLACK, _WHITE))
    gray = (np.asarray(film, np.float32) - low) / max(high - low, 1e-6)
    return np.rint(255.0 * np.clip(gray, 0.0, 1.0)).astype(np.uint8)

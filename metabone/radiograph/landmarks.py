"""The 21 key points of a hand: their names, and what follows from where they are.

Points are `[..., 21, 2]` float, `(x, y)` pixels with the middle of the first pixel at (0, 0), x to
the right and y down. The order is that of COCO's hands: the wrist, then each digit from its base.
"""

import numpy as np

POINTS = 21

POINT_NAMES = (
    "wrist",
    *("thumb CMC", "thumb MCP", "thumb IP", "thumb tip"),
    *("index MCP", "index PIP", "index DIP", "index tip"),
    *("middle MCP", "middle PIP", "middle DIP", "middle tip"),
    *("ring MCP", "ring PIP", "ring DIP", "ring tip"),
    *("little MCP", "little PIP", "little DIP", "little tip"),
)
"""The wrist lies between the ends of radius and ulna; a joint's point in the joint's space."""

_MIDDLE_FINGER = np.array([0, 9, 10, 11, 12])
_KNUCKLES = np.array([5, 9, 13, 17])


def point_number(name: str) -> int:
    """Where a point stands in the order.

    Args:
      name: one of `POINT_NAMES`.

    Returns:
      Its number.

    >>> point_number("middle DIP")
    11
    """
    return POINT_NAMES.index(name)


def hand_length(points: np.ndarray) -> np.ndarray:
    """Length of the hand: from the wrist along the middle finger's joints to its tip.

    Args:
      points: `[..., 21, 2]`.

    Returns:
      `[...]` pixels.
    """
    chain = np.asarray(points)[..., _MIDDLE_FINGER, :]
    return np.linalg.norm(np.diff(chain, axis=-2), axis=-1).sum(axis=-1)


def fingers_direction(points: np.ndarray) -> np.ndarray:
    """Where the fingers point: from the wrist to the middle of the four knuckles.

    Args:
      points: `[..., 21, 2]`.

    Returns:
      `[...]` radians from +x towards +y, so that an upright hand has -pi / 2.
    """
    points = np.asarray(points)
    x, y = np.moveaxis(points[..., _KNUCKLES, :].mean(axis=-2) - points[..., 0, :], -1, 0)
    return np.arctan2(y, x)


def is_right_hand(points: np.ndarray) -> np.ndarray:
    """Whether a hand lies as a right hand does, or a left one whose film was mirrored.

    A film of the left hand, palm down, has the thumb on the right of the upright hand. What counts
    is on which side of the wrist's axis the index finger's knuckle lies from the little finger's.

    Args:
      points: `[..., 21, 2]`.

    Returns:
      `[...]` bool.
    """
    points = np.asarray(points)
    axis = points[..., _KNUCKLES, :].mean(axis=-2) - points[..., 0, :]
    across = points[..., 5, :] - points[..., 17, :]
    return axis[..., 0] * across[..., 1] - axis[..., 1] * across[..., 0] < 0


def mirrored(points: np.ndarray, width: int) -> np.ndarray:
    """Where the points lie after the film was mirrored left to right.

    Args:
      points: `[..., 21, 2]`.
      width: of the film in pixels.

    Returns:
      `[..., 21, 2]`.
    """
    points = np.asarray(points)
    return np.stack([width - 1 - points[..., 0], points[..., 1]], axis=-1)


def turned(points: np.ndarray, quarters: int, size: tuple[int, int]) -> np.ndarray:
    """Where the points lie after `np.rot90(film, quarters)`.

    Args:
      points: `[..., 21, 2]`.
      quarters: turns by 90 degrees against the clock.
      size: `(height, width)` of the film before.

    Returns:
      `[..., 21, 2]`.
    """
    x, y = np.moveaxis(np.asarray(points), -1, 0)
    height, width = size
    for _ in range(quarters % 4):
        x, y = y, width - 1 - x
        height, width = width, height
    return np.stack([x, y], axis=-1)

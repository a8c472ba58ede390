"""Regions cut out of a film along the bones, from its full resolution."""

import numpy as np

from metabone.radiograph.hand_views import Square
from metabone.radiograph.landmarks import hand_length, is_right_hand
from metabone.radiograph.region_sets import Region, region_squares
from metabone.radiograph.resampling import cut

ROOM = 1.5
"""Side over the field's of what is cut for registration, which then moves the field within it."""

_DARK, _BRIGHT = 2.0, 98.0


def cut_regions(
    film: np.ndarray,
    points: np.ndarray,
    regions: tuple[Region, ...],
    size: int = 64,
    room: float = 1.0,
) -> np.ndarray:
    """Cuts regions out of a film, each turned along its bone; right hands come out as left ones.

    Args:
      film: `[H, W]`, bones bright; uint8, uint16 or float.
      points: `[21, 2]` float `(x, y)` pixels of the film.
      regions: such as `REGION_SETS["min_kang_6"]`.
      size: of a region in pixels, without `room`.
      room: how much more than the field is cut, such as `ROOM`.

    Returns:
      `[R, S, S]` float32 gray levels of the film, `S = round(room * size)`; beyond the film its
      border is repeated.
    """
    return _cut_squares(film, points, region_squares(points, regions), size, room)


def jittered_regions(
    rng: np.random.Generator,
    film: np.ndarray,
    points: np.ndarray,
    regions: tuple[Region, ...],
    size: int = 64,
    room: float = 1.0,
    *,
    shift: float = 0.01,
    turn: float = 0.09,
    scale: float = 0.05,
) -> np.ndarray:
    """`cut_regions` a little beside: what a network is trained on.

    Args:
      rng: draws each region's own jitter.
      film: as in `cut_regions`.
      points: as in `cut_regions`.
      regions: as in `cut_regions`.
      size: as in `cut_regions`.
      room: as in `cut_regions`.
      shift: standard deviation of the centre, in units of hand length, in each direction.
      turn: standard deviation of the direction in radians.
      scale: standard deviation of the field, as a share of it.

    Returns:
      As `cut_regions`.
    """
    length = hand_length(points)
    squares = []
    for square in region_squares(points, regions):
        x, y, angle, size_change = rng.standard_normal(4)
        centre = square.centre + shift * length * np.array([x, y])
        side = square.side * np.exp(scale * size_change)
        squares.append(Square(centre, square.direction + turn * angle, side))
    return _cut_squares(film, points, squares, size, room)


def _cut_squares(film, points, squares, size, room):
    pixels = round(room * size)
    scale = pixels / size
    crops = [cut(film, s.centre, s.direction, s.side * scale, pixels) for s in squares]
    crops = np.stack(crops)
    return crops[:, :, ::-1] if is_right_hand(points) else crops


def stretched(crops: np.ndarray) -> np.ndarray:
    """Stretches each crop's gray levels between its 2nd and its 98th percentile.

    Args:
      crops: `[..., S, S]` of any range.

    Returns:
      uint8 of the same shape; 0 where a crop has no contrast.
    """
    low, high = np.percentile(crops, (_DARK, _BRIGHT), axis=(-2, -1), keepdims=True)
    gray = (crops - low) / np.maximum(high - low, 1e-6)
    return np.rint(255.0 * np.clip(gray, 0.0, 1.0)).astype(np.uint8)

"""Regions of a hand that tell maturity, as data: where each lies between the key points."""

import math
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.radiograph.hand_views import Square
from metabone.radiograph.landmarks import hand_length, is_right_hand, point_number
from metabone.radiograph.regions import REGION_NAMES


class Region(NamedTuple):
    """One region: a point, a direction, a field. Lengths are in units of hand length.

    Attributes:
      name: what it is called in tables.
      centre: names of the key points whose mean is its middle.
      along: names of two key points; the direction from the first to the second points up.
      field: side of the square.
      ahead: from the centre along the direction to the middle.
      thumbwards: from the centre across the direction, towards the thumb's side.
    """

    name: str
    centre: tuple[str, ...]
    along: tuple[str, str]
    field: float
    ahead: float = 0.0
    thumbwards: float = 0.0

    @property
    def points(self) -> tuple[str, ...]:
        """The key points that must be known for it."""
        return tuple(dict.fromkeys((*self.centre, *self.along)))


def _distal(name: str, finger: str) -> Region:
    if finger == "thumb":
        return Region(name, ("thumb IP",), ("thumb MCP", "thumb tip"), 0.12)
    return Region(name, (f"{finger} DIP",), (f"{finger} PIP", f"{finger} tip"), 0.11)


def _middle(name: str, finger: str) -> Region:
    return Region(name, (f"{finger} PIP",), (f"{finger} MCP", f"{finger} DIP"), 0.13)


def _proximal(name: str, finger: str) -> Region:
    end = "thumb IP" if finger == "thumb" else f"{finger} PIP"
    return Region(name, (f"{finger} MCP",), (f"{finger} MCP", end), 0.15)


def _wrist(name: str, field: float, ahead: float, thumbwards: float = 0.0) -> Region:
    return Region(name, ("wrist",), ("wrist", "middle MCP"), field, ahead, thumbwards)


_RADIUS = _wrist("radius", 0.17, -0.03, 0.055)
_ULNA = _wrist("ulna", 0.14, -0.03, -0.065)

_MIN_KANG = (
    _distal(REGION_NAMES[0], "thumb"),
    _distal(REGION_NAMES[1], "middle"),
    _distal(REGION_NAMES[2], "ring"),
    _proximal(REGION_NAMES[3], "middle"),
    _proximal(REGION_NAMES[4], "ring"),
    _proximal(REGION_NAMES[5], "thumb"),
)
_WRIST = _wrist("wrist", 0.34, -0.02)
_CARPALS = _wrist("carpals", 0.34, 0.09)

REGION_SETS: dict[str, tuple[Region, ...]] = {
    # Min and Kang 2018: thumb, middle and ring finger; see `regions.REGION_NAMES`.
    "min_kang_6": _MIN_KANG,
    # The same with what else a reader of bone age looks at.
    "hand_11": (
        *_MIN_KANG,
        _middle("third finger, middle phalanx", "middle"),
        _middle("fourth finger, middle phalanx", "ring"),
        _proximal("second finger, proximal phalanx", "index"),
        _WRIST,
        _CARPALS,
    ),
    # Fishman 1982: the sites of the eleven skeletal maturity indicators.
    "fishman_6": (
        _proximal("thumb, adductor sesamoid", "thumb"),
        _proximal("third finger, proximal phalanx", "middle"),
        _middle("third finger, middle phalanx", "middle"),
        _distal("third finger, distal phalanx", "middle"),
        _middle("fifth finger, middle phalanx", "little"),
        _RADIUS,
    ),
    # Tanner et al. 2001 (TW3): radius, ulna and the short bones of first, third and fifth digit.
    "rus_13": (
        _RADIUS,
        _ULNA,
        Region("metacarpal I", ("thumb CMC",), ("thumb CMC", "thumb MCP"), 0.14, 0.01, -0.02),
        Region("metacarpal III", ("middle MCP",), ("wrist", "middle MCP"), 0.14, -0.03),
        Region("metacarpal V", ("little MCP",), ("wrist", "little MCP"), 0.14, -0.03),
        _proximal("proximal phalanx I", "thumb"),
        _proximal("proximal phalanx III", "middle"),
        _proximal("proximal phalanx V", "little"),
        _middle("middle phalanx III", "middle"),
        _middle("middle phalanx V", "little"),
        _distal("distal phalanx I", "thumb"),
        _distal("distal phalanx III", "middle"),
        _distal("distal phalanx V", "little"),
    ),
    "wrist": (_WRIST,),
    "carpals": (_CARPALS,),
}
"""Sets of regions by name; fields as measured on real hands."""


def region_squares(points: np.ndarray, regions: tuple[Region, ...]) -> list[Square]:
    """Where regions lie on a film.

    Args:
      points: `[21, 2]` float `(x, y)` pixels of the film, of a left or a right hand.
      regions: such as `REGION_SETS["min_kang_6"]`.

    Returns:
      A square a region, for `resampling.cut`.
    """
    points = np.asarray(points, np.float64)
    length = float(hand_length(points))
    thumb_side = -1.0 if is_right_hand(points) else 1.0
    squares = []
    for region in regions:
        middle = points[[point_number(name) for name in region.centre]].mean(axis=0)
        start, end = (points[point_number(name)] for name in region.along)
        direction = math.atan2(end[1] - start[1], end[0] - start[0])
        ahead = np.array([math.cos(direction), math.sin(direction)])
        thumbwards = thumb_side * np.array([-ahead[1], ahead[0]])
        middle = middle + length * (region.ahead * ahead + region.thumbwards * thumbwards)
        squares.append(Square(middle, direction, length * region.field))
    return squares


def region_set(name: str) -> tuple[Region, ...]:
    """The regions of a set by its name; raises `InputError` for an unknown one."""
    if name not in REGION_SETS:
        raise InputError(f"regions {name!r}: expected one of {', '.join(REGION_SETS)}")
    return REGION_SETS[name]


def region_boxes(
    points: np.ndarray, regions: tuple[Region, ...], shape: tuple[int, int]
) -> np.ndarray:
    """Upright boxes around regions, to draw on a film.

    Args:
      points: `[21, 2]` float `(x, y)` pixels of the film.
      regions: such as `REGION_SETS["min_kang_6"]`.
      shape: `(height, width)` of the film.

    Returns:
      `[R, 4]` int32 `x0, y0, x1, y1` within the film, the right and lower edge exclusive.
    """
    boxes = []
    for square in region_squares(points, regions):
        turned = abs(math.cos(square.direction)) + abs(math.sin(square.direction))
        half = 0.5 * square.side * turned
        boxes.append([*(square.centre - half), *(square.centre + half)])
    height, width = shape
    return np.rint(boxes).clip(0, [width, height, width, height]).astype(np.int32)

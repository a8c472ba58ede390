"""Key points of hands from a COCO file that nobody vouches for."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.radiograph.landmarks import POINTS

MAX_FILE_BYTES = 64 * 2**20

_SIDES = ("lefthand_kpts", "righthand_kpts")


class AnnotatedHand(NamedTuple):
    """The annotated key points of one film.

    Attributes:
      points: `[21, 2]` float64 `(x, y)` pixels of the frame, order of `landmarks.POINT_NAMES`.
      width, height: of the frame in which they were set, pixels.
      right: whether the annotator called it a right hand.
    """

    points: np.ndarray
    width: float
    height: float
    right: bool

    def in_frame(self, width: int, height: int) -> np.ndarray:
        """The points on a copy of the film of another size, whatever its aspect.

        Args:
          width: of the copy in pixels.
          height: of the copy in pixels.

        Returns:
          `[21, 2]` float32 `(x, y)` pixels; the middle of the first pixel is (0, 0).
        """
        scale = np.array([width / self.width, height / self.height])
        return ((self.points + 0.5) * scale - 0.5).astype(np.float32)


def read_coco_hands(path: Path) -> dict[str, AnnotatedHand]:
    """Reads the hands of a COCO file with `lefthand_kpts` and `righthand_kpts`.

    A hand whose 21 points are all zero on one side and set on the other is of that other side.

    Args:
      path: the JSON file.

    Returns:
      The hands by id of their image, in the order of the file.

    Raises:
      InputError: it cannot be read, is no such file, or a hand is missing, twice, incomplete or
        outside its image.
    """
    content = _content(path)
    frames = {}
    for row, image in enumerate(_listed(path, content, "images")):
        where = f"{path}: images[{row}]"
        frame = tuple(_number(where, image, side) for side in ("width", "height"))
        if min(frame) < 1:
            raise InputError(f"{where}: {frame[0]:g} x {frame[1]:g} pixels; expected at least 1")
        frames[_id(where, image, "id")] = frame
    hands = {}
    for row, annotation in enumerate(_listed(path, content, "annotations")):
        where = f"{path}: annotations[{row}]"
        name = _id(where, annotation, "image_id")
        if name not in frames:
            raise InputError(f"{where}: image_id {name[:40]!r} is not among the file's images")
        if name in hands:
            raise InputError(f"{where}: a second hand of image {name[:40]!r}; expected one")
        hands[name] = _hand(where, annotation, *frames[name])
    if not hands:
        raise InputError(f"{path}: no annotations; expected hands with 21 key points")
    return hands


def _content(path: Path) -> dict:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{path}: above the limit of {MAX_FILE_BYTES >> 20} MiB")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON; expected a COCO file of hands") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a {type(content).__name__}; expected a COCO file of hands")
    return content


def _listed(path: Path, content: dict, name: str) -> list[dict]:
    rows = content.get(name)
    if not isinstance(rows, list):
        raise InputError(f"{path}: no list '{name}'; expected a COCO file of hands")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{path}: {name}[{index}] is a {type(row).__name__}; expected fields")
    return rows


def _id(where: str, row: dict, name: str) -> str:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"{where}: {name} is {str(value)[:40]!r}; expected a name or a number")
    return str(value)


def _number(where: str, row: dict, name: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{where}: {name} is {str(value)[:40]!r}; expected a number")
    return float(value)


def _hand(where: str, annotation: dict, width: float, height: float) -> AnnotatedHand:
    found = []
    for side in _SIDES:
        values = annotation.get(side, [])
        numbers = isinstance(values, list) and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
            for v in values
        )
        if not numbers or len(values) not in (0, 3 * POINTS):
            raise InputError(
                f"{where}: {side} is not {POINTS} times x, y and visibility, all finite numbers"
            )
        if any(values):
            found.append((side, np.asarray(values, np.float64).reshape(POINTS, 3)[:, :2]))
    if len(found) != 1:
        raise InputError(f"{where}: {len(found)} hands with key points; expected one")
    side, points = found[0]
    if (points < -1).any() or (points > np.array([width, height])).any():
        raise InputError(f"{where}: {side} has points outside {width:g} x {height:g} pixels")
    return AnnotatedHand(points, width, height, side == _SIDES[1])

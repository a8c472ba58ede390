"""Views of a film that a key-point network is trained on: any turn, side, exposure and border."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from metabone.radiograph.landmarks import fingers_direction
from metabone.radiograph.rendering import blur

VIEW_SIZE = 128
"""Side of what the network sees, in pixels; its maps have half as many cells."""

UPRIGHT_ROOM = 1.25
"""Side of an upright view over the longer side of the box around the hand's points."""

# About what a view resolves of a hand that fills it.
_STORED_SIZE = 160
_KNUCKLES = np.array([5, 9, 13, 17])


class PointedFilms(NamedTuple):
    """Films with their key points, each in the middle of a square.

    Attributes:
      images: `[N, S, S]` uint8.
      points: `[N, 21, 2]` float32 `(x, y)` pixels of the square.
      boxes: `[N, 4]` float32 `x0, y0, x1, y1`, the film's part of the square, edges inclusive.
      borders: `[N]` float32, gray level of the film's border, 0 to 255.
    """

    images: jax.Array
    points: jax.Array
    boxes: jax.Array
    borders: jax.Array


def draw_view(
    key: jax.Array, image: jax.Array, points: jax.Array, box: jax.Array, border: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draws one view: half of them upright and close, half as films come.

    Args:
      key: typed PRNG key.
      image: `[S, S]` uint8.
      points: `[21, 2]` float32.
      box: `[4]` float32.
      border: `[]` float32; these four as in `PointedFilms`.

    Returns:
      `[VIEW_SIZE, VIEW_SIZE]` float32, standardised, and `[21, 2]` float32 `(x, y)` pixels of it.
    """
    place_key, paint_key, noise_key = jax.random.split(key, 3)
    linear, centre = _placing(place_key, points)
    middle = 0.5 * (VIEW_SIZE - 1)
    seen = (points - centre) @ jnp.linalg.inv(linear).T + middle
    axis = jnp.arange(VIEW_SIZE, dtype=jnp.float32) - middle
    u, v = jnp.meshgrid(axis, axis)
    x = centre[0] + linear[0, 0] * u + linear[0, 1] * v
    y = centre[1] + linear[1, 0] * u + linear[1, 1] * v
    gray = _bilinear(image, x, y) / 255.0
    beyond = (x < box[0]) | (x > box[2]) | (y < box[1]) | (y > box[3])
    return _paint(paint_key, noise_key, gray, beyond, border / 255.0, seen), seen


def standardised(views: jax.Array) -> jax.Array:
    """What the network takes: mean 0 and deviation 1 in each view.

    Args:
      views: `[..., H, W]` float32, gray levels of any range.

    Returns:
      The same shape; zeros of a view without contrast.
    """
    views = views - views.mean(axis=(-2, -1), keepdims=True)
    deviation = jnp.sqrt(jnp.square(views).mean(axis=(-2, -1), keepdims=True))
    return views / jnp.maximum(deviation, 1e-6)


def _placing(key: jax.Array, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The linear map from view to film, `[2, 2]`, and the view's middle on the film, `[2]`."""
    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.normal(normal_key, (2,))
    uniform = jax.random.uniform(uniform_key, (8,))
    upright = uniform[0] < 0.5

    fingers = points[_KNUCKLES].mean(axis=0) - points[0]
    straight = jnp.arctan2(fingers[1], fingers[0])
    quarter = 0.5 * jnp.pi * jnp.floor(4.0 * uniform[1])
    as_it_came = -0.5 * jnp.pi + quarter + jnp.deg2rad(15.0) * normal[0]
    as_it_came = jnp.where(uniform[2] < 0.15, 2 * jnp.pi * uniform[3], as_it_came)
    up = jnp.where(upright, straight + jnp.deg2rad(8.0) * normal[1], as_it_came)
    up = jnp.stack([jnp.cos(up), jnp.sin(up)])
    right = jnp.stack([-up[1], up[0]])
    turn = jnp.stack([right, -up], axis=1)

    within = points @ turn
    low, high = within.min(axis=0), within.max(axis=0)
    reach = (high - low).max()
    close = UPRIGHT_ROOM * reach * (0.87 + 0.28 * uniform[4])
    # A few are so close that points leave the view.
    side = jnp.where(upright, close, reach / (0.32 + 0.7 * uniform[4]))
    away = jnp.where(upright, 0.05 * side, jnp.maximum(0.5 * (side - 0.95 * reach), 0.0))
    centre = turn @ (0.5 * (low + high) + away * (2.0 * uniform[5:7] - 1.0))
    flip = jnp.stack([jnp.where(uniform[7] < 0.5, -1.0, 1.0), jnp.float32(1.0)])
    return (side / VIEW_SIZE) * turn * flip, centre


def _bilinear(image: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    last = image.shape[0] - 1
    x, y = jnp.clip(x, 0.0, last), jnp.clip(y, 0.0, last)
    left, top = jnp.minimum(x.astype(jnp.int32), last - 1), jnp.minimum(y.astype(jnp.int32), last)
    top = jnp.minimum(top, last - 1)
    fx, fy = x - left, y - top
    flat = image.reshape(-1)
    at = top * image.shape[1] + left

    def take(offset: int) -> jax.Array:
        return flat[at + offset].astype(jnp.float32)

    row = image.shape[1]
    upper = take(0) + fx * (take(1) - take(0))
    lower = take(row) + fx * (take(row + 1) - take(row))
    return upper + fy * (lower - upper)


def _paint(
    key: jax.Array,
    noise_key: jax.Array,
    gray: jax.Array,
    beyond: jax.Array,
    border: jax.Array,
    points: jax.Array,
) -> jax.Array:
    """Exposure, collimation, markers, grain and inversion of a view in 0..1."""
    uniform_key, normal_key = jax.random.split(key)
    uniform = jax.random.uniform(uniform_key, (50,))
    normal = jax.random.normal(normal_key, (4,))
    axis = jnp.linspace(-0.5, 0.5, VIEW_SIZE)
    x, y = jnp.meshgrid(axis, axis)

    # Sharp and soft films: small copies of a film were averaged, or not.
    soft = blur(gray)
    gray = soft + (gray - soft) * jnp.where(uniform[0] < 0.5, 1.5 * uniform[1], 1.0)
    gray = jnp.clip(gray, 1e-3, 1.0) ** (0.55 + 1.25 * uniform[2])
    gray = gray + 0.15 * (normal[0] * x + normal[1] * y)
    contrast = 0.2 + 0.8 * uniform[3]
    low = (1.0 - contrast) * uniform[4]
    gray = low + contrast * gray
    level = jnp.where(uniform[5] < 0.5, low + contrast * border, uniform[6])
    gray = jnp.where(beyond, level, gray)

    # Films of films have two frames.
    for first in (7, 36):
        gray = _framed(uniform[first : first + 14], normal[2 + (first > 7)], x, y, points, gray)
    for first in (21, 28):
        gray = _mark(uniform[first : first + 7], x, y, gray)
    grain = jax.random.normal(noise_key, gray.shape)
    gray = gray + contrast * 0.06 * uniform[35] ** 2 * grain
    gray = jnp.clip(gray, 0.0, 1.0)
    return standardised(jnp.where(uniform[47] < 0.25, -gray, gray))


def _framed(uniform, normal, x, y, points, gray) -> jax.Array:
    """Collimated to a leaning rectangle around the hand, or not."""
    at = points / (VIEW_SIZE - 1) - 0.5
    low, high = at.min(axis=0), at.max(axis=0)
    lean = 0.08 * normal
    u, v = x - lean * y, y + lean * x
    room = 0.03 + 0.45 * uniform[:4] ** 2
    across = jnp.minimum(u - (low[0] - room[0]), high[0] + room[1] - u)
    down = jnp.minimum(v - (low[1] - room[2]), high[1] + room[3] - v)
    # Signed distance inside the rectangle, in sides of the view.
    inside = jnp.minimum(across, down)
    # Scattered light makes the edge of the beam shine.
    width = 0.006 + 0.02 * uniform[4]
    ridge = (0.5 * uniform[5] - 0.1) * jnp.exp(-((inside / width) ** 2))
    # Blades are dark or bright, or let a part through.
    shade = jnp.clip(0.5 - inside / (0.002 + 0.02 * uniform[6]), 0.0, 1.0)
    shade = shade * jnp.where(uniform[7] < 0.3, 0.3 + 0.7 * uniform[8], 1.0)
    framed = gray + shade * (uniform[9] - gray) + ridge
    return jnp.where(uniform[10] < 0.35, framed, gray)


def _mark(uniform, x, y, gray) -> jax.Array:
    """A plate with a stroke on it, somewhere: a marker, tape, a ring."""
    u, v = x - (uniform[0] - 0.5), y - (uniform[1] - 0.5)
    half = 0.02 + 0.06 * uniform[2:4]
    plate = (jnp.abs(u) < half[0]) & (jnp.abs(v) < half[1])
    stroke = (jnp.abs(u) < 0.3 * half[0]) & (jnp.abs(v) < 0.8 * half[1])
    painted = jnp.where(plate, gray + 0.4 * (uniform[4] - 0.5), gray)
    painted = jnp.where(stroke, uniform[5], painted)
    return jnp.where(uniform[6] < 0.35, painted, gray)


def pointed_films(films: Iterable[np.ndarray], points: Iterable[np.ndarray]) -> PointedFilms:
    """Shrinks films to what training looks at and puts each into the middle of a square.

    Args:
      films: `[H, W]` uint8 each, any sizes.
      points: `[21, 2]` `(x, y)` pixels of each film.

    Returns:
      The films, on the host.
    """
    rows = [_in_square(film, at) for film, at in zip(films, points, strict=True)]
    return PointedFilms(*(np.stack(leaves) for leaves in zip(*rows, strict=True)))


def _in_square(film: np.ndarray, points: np.ndarray) -> PointedFilms:
    height, width = film.shape
    scale = _STORED_SIZE / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    form = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    shrunk = np.asarray(Image.fromarray(film).resize((columns, rows), form))
    left, top = (_STORED_SIZE - columns) // 2, (_STORED_SIZE - rows) // 2
    border = border_level(shrunk)
    square = np.full((_STORED_SIZE, _STORED_SIZE), round(border), np.uint8)
    square[top : top + rows, left : left + columns] = shrunk
    moved = (np.asarray(points) + 0.5) * np.array([columns / width, rows / height]) - 0.5
    box = np.array([left, top, left + columns - 1, top + rows - 1], np.float32)
    return PointedFilms(
        square, (moved + np.array([left, top])).astype(np.float32), box, np.float32(border)
    )


def border_level(film: np.ndarray) -> float:
    """Gray level of a film's outermost pixels.

    Args:
      film: `[H, W]`.

    Returns:
      Their median.
    """
    return float(np.median(np.concatenate([film[0], film[-1], film[:, 0], film[:, -1]])))


class Square(NamedTuple):
    """Where a square view lies on a film; what `resampling.cut` takes.

    Attributes:
      centre: `[2]` float64 `(x, y)` pixels of the film.
      direction: radians on the film of what is up in the view.
      side: pixels of the film.
    """

    centre: np.ndarray
    direction: float
    side: float


def whole_film(size: tuple[int, int]) -> Square:
    """The view of a film as it came.

    Args:
      size: `(height, width)` in pixels.

    Returns:
      The smallest square with all of it.
    """
    height, width = size
    middle = np.array([0.5 * (width - 1), 0.5 * (height - 1)])
    return Square(middle, -0.5 * np.pi, float(max(height, width)))


def upright_hand(points: np.ndarray, size: tuple[int, int]) -> Square:
    """The view of a hand that stands upright and fills it, as every second view of training.

    Args:
      points: `[21, 2]` float `(x, y)` pixels.
      size: `(height, width)` of the film; whatever the points, the view is no larger than twice
        and no smaller than a sixteenth of its longer side.

    Returns:
      Where the view lies.
    """
    points = np.asarray(points, np.float64)
    direction = float(fingers_direction(points))
    up = np.array([np.cos(direction), np.sin(direction)])
    turn = np.stack([[-up[1], up[0]], -up], axis=1)
    within = points @ turn
    low, high = within.min(axis=0), within.max(axis=0)
    side = UPRIGHT_ROOM * float((high - low).max())
    side = float(np.clip(side, max(size) / 16, 2 * max(size)))
    return Square(turn @ (0.5 * (low + high)), direction, side)

"""Whole hands moved onto one template: an affine map a film, fitted to its key points.

An affine map also undoes what squashed a film to a square, since that is one itself, and mirrors a
right hand or a mirrored film, since its determinant may have either sign.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# The mean of 320 hands of `pointed_simulation.simulate_pointed_films(11, 320)`, each moved by the
# affine map that fits it best: a left hand, x towards the thumb and y towards the wrist in units of
# hand length, the middle finger's knuckle at the origin.
TEMPLATE = np.array(
    [
        *([-0.056, 0.544], [0.117, 0.412], [0.245, 0.220], [0.329, 0.090], [0.394, -0.006]),
        *([0.122, 0.006], [0.139, -0.192], [0.154, -0.304], [0.166, -0.392]),
        *([0.000, 0.000], [0.011, -0.223], [0.020, -0.358], [0.026, -0.453]),
        *([-0.119, 0.040], [-0.110, -0.158], [-0.110, -0.291], [-0.110, -0.386]),
        *([-0.224, 0.094], [-0.241, -0.062], [-0.257, -0.153], [-0.272, -0.236]),
    ]
)
"""`[21, 2]` where each key point belongs, order of `landmarks.POINT_NAMES`."""

# How far hands are from their template, in hand lengths a coordinate: a thumb's tip moves, a
# knuckle hardly.
_DEVIATION = np.array(
    [
        *(0.014, 0.010, 0.029, 0.048, 0.062, 0.015, 0.022, 0.031, 0.036),
        *(0.012, 0.014, 0.017, 0.019, 0.014, 0.020, 0.029, 0.034, 0.014, 0.015, 0.024, 0.034),
    ]
)

FRAME = (-0.37, -0.53, 0.49, 0.82)
"""`(left, top, right, bottom)` of what an aligned film shows of the template's plane: the hand with
its flesh, and of the forearm a quarter of a hand length."""

WORST_RESIDUAL = 0.1
"""Residual in hand lengths above which points are no hand's."""

MOST_STRETCH = 3.0
"""Ratio of a map's longest to its shortest axis from which on it is no hand's: those of squashed
films have up to 2.1."""

_REWEIGHTED = 4
# A point this many deviations off counts half.
_FAR = 2.5


class Placement(NamedTuple):
    """Where n hands lie on their films.

    Attributes:
      to_film: `[n, 2, 3]` float64, film `(x, y)` = `[:, :2] @ (x, y) + [:, 2]` of the template.
      residual: `[n]` float64, root of the weighted mean squared distance of the points from where
        they belong, in hand lengths of the template.
    """

    to_film: np.ndarray
    residual: np.ndarray

    def fits(self) -> np.ndarray:
        """`[n]` bool, whether the residual and the map's stretch are those of a hand."""
        axes = np.linalg.svd(self.to_film[:, :, :2], compute_uv=False)
        return (self.residual <= WORST_RESIDUAL) & (axes[:, 0] < MOST_STRETCH * axes[:, 1])

    def mirrored(self) -> np.ndarray:
        """`[n]` bool, whether the map mirrors: a right hand, or a mirrored film."""
        return np.linalg.det(self.to_film[:, :, :2]) < 0


def place_hands(points: np.ndarray, uncertainty: np.ndarray) -> Placement:
    """Fits the affine maps from the template to films, by weighted least squares.

    A point weighs the less the more it varies among hands and the less sure it is; points far off
    from where the others say they belong lose their weight (Cauchy's, iterated).

    Args:
      points: `[n, 21, 2]` float `(x, y)` pixels of each film.
      uncertainty: `[n, 21]` float, how far off a point may be, in hand lengths.

    Returns:
      The maps.
    """
    points = np.asarray(points, np.float64)
    design = np.concatenate([TEMPLATE, np.ones((len(TEMPLATE), 1))], axis=1)
    variance = _DEVIATION**2 + np.asarray(uncertainty, np.float64) ** 2
    weights = base = 1.0 / variance
    for _ in range(1 + _REWEIGHTED):
        normal = np.einsum("np,pi,pj->nij", weights, design, design)
        right = np.einsum("np,pi,npk->nik", weights, design, points)
        to_film = np.linalg.solve(normal, right).swapaxes(1, 2)
        apart = points - design @ to_film.swapaxes(1, 2)
        # In hand lengths of the template; a map without extent has none.
        off = np.einsum("nij,npj->npi", np.linalg.pinv(to_film[:, :, :2]), apart)
        squared = np.square(off).sum(axis=-1)
        weights = base / (1.0 + squared / (2.0 * _FAR**2 * variance))
    residual = np.sqrt((base * squared).sum(axis=1) / base.sum(axis=1))
    return Placement(to_film, residual)


def frame_to_template(size: int) -> np.ndarray:
    """The map from pixels of an aligned film to the template.

    Args:
      size: side of the aligned film in pixels.

    Returns:
      `[2, 3]` float64.
    """
    left, top, right, bottom = FRAME
    across, down = (right - left) / size, (bottom - top) / size
    return np.array([[across, 0.0, left + 0.5 * across], [0.0, down, top + 0.5 * down]])


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The affine map `outer(inner(x))`.

    Args:
      outer: `[..., 2, 3]`.
      inner: `[..., 2, 3]`.

    Returns:
      `[..., 2, 3]`.
    """
    linear = outer[..., :2] @ inner[..., :2]
    offset = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([linear, offset], axis=-1)


def moved(at: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points by affine maps.

    Args:
      at: `[n, 2, 3]`.
      points: `[n, P, 2]`.

    Returns:
      `[n, P, 2]`.
    """
    return points @ at[:, :, :2].swapaxes(1, 2) + at[:, None, :, 2]


def warp(films: jax.Array, to_film: jax.Array, fill: jax.Array, size: int) -> jax.Array:
    """Looks at films through affine maps; bilinear, the films' own pixels not averaged.

    Args:
      films: `[n, H, W]`, uint8 or float.
      to_film: `[n, 2, 3]` float32, from pixels of the result to pixels of the film.
      fill: `[n]` float32, gray level beyond the film.
      size: side of the result.

    Returns:
      `[n, size, size]` float32.
    """
    height, width = films.shape[1:]
    axis = jnp.arange(size, dtype=jnp.float32)

    def one(film, at, fill):
        x = at[0, 0] * axis + at[0, 1] * axis[:, None] + at[0, 2]
        y = at[1, 0] * axis + at[1, 1] * axis[:, None] + at[1, 2]
        beyond = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
        x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
        left = jnp.minimum(x.astype(jnp.int32), width - 2)
        top = jnp.minimum(y.astype(jnp.int32), height - 2)
        fx, fy = x - left, y - top
        flat, first = film.reshape(-1), top * width + left

        def take(offset):
            return flat[first + offset].astype(jnp.float32)

        upper = take(0) + fx * (take(1) - take(0))
        lower = take(width) + fx * (take(width + 1) - take(width))
        return jnp.where(beyond, fill, upper + fy * (lower - upper))

    return jax.vmap(one)(films, to_film, fill)

"""Training films shifted, turned, zoomed and mirrored at random, by one warp each."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from metabone.errors import InputError


class Moves(NamedTuple):
    """How films are moved: mirrored, zoomed and turned about their centre, then shifted.

    Attributes:
      shift: `[n, 2]` float32, down and to the right, in heights and widths of the film.
      rotation: `[n]` float32, degrees, clockwise.
      zoom: `[n]` float32, above 1 where what is on the film becomes larger.
      flip: `[n]` bool, whether left becomes right.
    """

    shift: jax.Array
    rotation: jax.Array
    zoom: jax.Array
    flip: jax.Array


def moved_films(
    key: jax.Array,
    images: jax.Array,
    *,
    shift: float = 0.2,
    rotation: float = 20.0,
    zoom: float = 0.2,
    flip: bool = True,
) -> jax.Array:
    """Moves each training film at random; S2's ranges by default.

    Args:
      key: typed.
      images: `[n, H + 1, W, C]` float32, the last row sex, see `move`.
      shift: largest, up or down and to either side, in heights and widths of the film.
      rotation: largest, to either side, in degrees.
      zoom: largest, in or out; the same along both axes, so that bones keep their proportions.
      flip: whether half of the films are mirrored.

    Returns:
      As `images`.

    Raises:
      InputError: see `draw_moves` and `move`.
    """
    moves = draw_moves(key, len(images), shift=shift, rotation=rotation, zoom=zoom, flip=flip)
    return move(images, moves)


def draw_moves(
    key: jax.Array, count: int, *, shift: float, rotation: float, zoom: float, flip: bool
) -> Moves:
    """Draws moves, each uniform within its range.

    Args:
      key: typed.
      count: of films.
      shift: see `moved_films`.
      rotation: likewise.
      zoom: likewise.
      flip: likewise.

    Returns:
      The moves.

    Raises:
      InputError: a negative range, or a zoom of 1 or more, which leaves nothing.
    """
    if shift < 0 or rotation < 0 or not 0 <= zoom < 1:
        raise InputError(
            f"shift (={shift}), rotation (={rotation}), zoom (={zoom}): expected 0 or more each, "
            "and a zoom below 1"
        )
    keys = jax.random.split(key, 4)
    return Moves(
        jax.random.uniform(keys[0], (count, 2), minval=-shift, maxval=shift),
        jax.random.uniform(keys[1], (count,), minval=-rotation, maxval=rotation),
        1 + jax.random.uniform(keys[2], (count,), minval=-zoom, maxval=zoom),
        jax.random.bernoulli(keys[3], 0.5, (count,)) & flip,
    )


def move(images: jax.Array, moves: Moves) -> jax.Array:
    """Moves films, bilinearly; what comes in from outside repeats the film's border.

    Args:
      images: `[n, H + 1, W, C]` float32; the last row, which holds sex
        (`radiograph.sex.with_sex_row`), stays as it is.
      moves: one a film.

    Returns:
      As `images`; films that are not moved are the same to the bit.

    Raises:
      InputError: images of another rank, or without room for the row.
    """
    if images.ndim != 4 or images.shape[1] < 2:
        raise InputError(
            f"films of shape {images.shape}: expected [n, H + 1, W, C], the last row sex"
        )
    films, row = images[:, :-1], images[:, -1:]
    sources = _sources(moves, *films.shape[1:3])

    def of_channel(channel, y, x):
        return map_coordinates(channel, (y, x), order=1, mode="nearest")

    of_film = jax.vmap(of_channel, (-1, None, None), -1)
    return jnp.concatenate([jax.vmap(of_film)(films, *sources), row], axis=1)


def _sources(moves: Moves, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Where each pixel of the moved films comes from: rows and columns `[n, H, W]` of the films."""

    def of_films(values):
        return values[:, None, None]

    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    angle = moves.rotation * (math.pi / 180)
    cosine, sine = jnp.cos(angle) / moves.zoom, jnp.sin(angle) / moves.zoom
    mirrored = jnp.where(moves.flip, -1.0, 1.0)
    v = jnp.arange(height)[:, None] - middle_y - of_films(moves.shift[:, 0] * height)
    u = jnp.arange(width) - middle_x - of_films(moves.shift[:, 1] * width)
    y = middle_y + of_films(cosine) * v - of_films(sine) * u
    x = middle_x + of_films(mirrored * cosine) * u + of_films(mirrored * sine) * v
    return y, x

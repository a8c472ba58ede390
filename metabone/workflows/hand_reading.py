"""The key points of films, read by a trained network: first on the whole film, then close."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.hand_gate import no_hand, without_hand
from metabone.radiograph.hand_views import (
    VIEW_SIZE,
    Square,
    border_level,
    standardised,
    upright_hand,
    whole_film,
)
from metabone.radiograph.heat_maps import TARGET_SIGMA, read_heat_maps
from metabone.radiograph.landmarks import hand_length
from metabone.radiograph.resampling import cut, square_to_film
from metabone.workflows.key_points import NET, PointNet

_CHUNK = 8
_CLOSER_LOOKS = 2
# Mirror images that differ by more, in pixels of a view, saw different things.
_AGREE = 12.0


class HandPoints(NamedTuple):
    """The key points of n films.

    Attributes:
      points: `[n, 21, 2]` float32 `(x, y)` pixels of each film, order of `landmarks.POINT_NAMES`.
      uncertainty: `[n, 21]` float32, how far off a point may be, in units of hand length: how wide
        the network's map is beyond what it was taught, and how far the readings of the view and of
        its mirror image are apart.
    """

    points: np.ndarray
    uncertainty: np.ndarray


def read_key_points(net: PointNet, films: Sequence[np.ndarray]) -> HandPoints:
    """Reads the key points of hands, whichever way they lie.

    Each film is looked at as a whole, then twice closely, the hand upright; each look is the mean
    of the view and its mirror image. A film without a hand gets points all the same, and a large
    uncertainty: `hand_gate.check_hand` tells.

    Args:
      net: from `train_key_points`, `load_point_net` or `shipped_point_net`.
      films: `[H, W]` each, any sizes and gray levels.

    Returns:
      The points.
    """
    return _look_closely(net, films, _CLOSER_LOOKS)


def shows_another(net: PointNet, films: Sequence[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Whether films show a hand beside the one that was read.

    That one is painted over, and the rest looked at as a whole and once closely.

    Args:
      net: what reads key points.
      films: `[H, W]` each.
      points: `[n, 21, 2]` float `(x, y)` pixels of each film.

    Returns:
      `[n]` bool.
    """
    rest = [without_hand(film, at) for film, at in zip(films, points, strict=True)]
    found = _look_closely(net, rest, 1)
    return np.array([no_hand(*hand) is None for hand in zip(*found, strict=True)], bool)


def _look_closely(net: PointNet, films: Sequence[np.ndarray], closer: int) -> HandPoints:
    """Points from a look at each whole film and some more at the hand that was seen in it."""
    sizes = [film.shape for film in films]
    squares = [whole_film(size) for size in sizes]
    points, unsure = _look_in_chunks(net, films, squares)
    for _ in range(closer):
        squares = [upright_hand(*row) for row in zip(points, sizes, strict=True)]
        points, unsure = _look_in_chunks(net, films, squares)
    return HandPoints(points, unsure)


def _look_in_chunks(
    net: PointNet, films: Sequence[np.ndarray], squares: Sequence[Square]
) -> tuple[np.ndarray, np.ndarray]:
    points, unsure = [np.zeros((0, 21, 2), np.float32)], [np.zeros((0, 21), np.float32)]
    for first in range(0, len(films), _CHUNK):
        chunk = slice(first, first + _CHUNK)
        at, by = _look(net, films[chunk], squares[chunk])
        points.append(at)
        unsure.append(by)
    return np.concatenate(points), np.concatenate(unsure)


@jax.jit
def _read_views(net: PointNet, views: jax.Array):
    maps, _ = NET.apply(net.params, net.norm_stats, standardised(views)[..., None], False)
    reading = read_heat_maps(maps)
    # A cell is two pixels, and its middle lies between them.
    return 2.0 * reading.points + 0.5, 2.0 * reading.spread


def _look(
    net: PointNet, films: Sequence[np.ndarray], squares: Sequence[Square]
) -> tuple[np.ndarray, np.ndarray]:
    """Points on the films and their uncertainty from one view of each."""
    views = np.zeros((_CHUNK, VIEW_SIZE, VIEW_SIZE), np.float32)
    for index, (film, square) in enumerate(zip(films, squares, strict=True)):
        views[index] = cut(film, *square, VIEW_SIZE, fill=border_level(film))
    both = jnp.asarray(np.concatenate([views, views[:, :, ::-1]]))
    points, spread = (np.asarray(leaf) for leaf in _read_views(net, both))
    plain, mirror = points[:_CHUNK], points[_CHUNK:].copy()
    mirror[..., 0] = VIEW_SIZE - 1 - mirror[..., 0]
    narrow = spread[:_CHUNK] <= spread[_CHUNK:]
    apart = np.linalg.norm(plain - mirror, axis=-1)
    # Where the two saw different things, the surer one is believed.
    surer = np.where(narrow.mean(axis=1)[:, None, None] >= 0.5, plain, mirror)
    agreed = (np.median(apart, axis=1) < _AGREE)[:, None, None]
    points = np.where(agreed, 0.5 * (plain + mirror), surer)
    taught = 2.0 * (2.0 * TARGET_SIGMA) ** 2
    wide = np.maximum((0.5 * (spread[:_CHUNK] + spread[_CHUNK:])) ** 2 - taught, 0.0)
    unsure = np.sqrt(wide + apart**2) / np.maximum(hand_length(points), 1.0)[:, None]
    on_film = np.empty_like(points[: len(films)])
    for index, square in enumerate(squares):
        to_film = square_to_film(*square, VIEW_SIZE)
        on_film[index] = points[index] @ to_film[:, :2].T + to_film[:, 2]
    return on_film.astype(np.float32), unsure[: len(films)].astype(np.float32)

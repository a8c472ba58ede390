"""Whole films moved onto one template, by key points that a network reads in two quick looks."""

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from metabone.radiograph.alignment import (
    TEMPLATE,
    compose,
    frame_to_template,
    moved,
    place_hands,
    warp,
)
from metabone.radiograph.canonical import is_inverted, normal_exposure
from metabone.radiograph.hand_gate import UNSURE_HAND
from metabone.radiograph.hand_views import UPRIGHT_ROOM, VIEW_SIZE, standardised
from metabone.radiograph.heat_maps import TARGET_SIGMA, read_heat_maps
from metabone.radiograph.landmarks import hand_length
from metabone.workflows.key_points import NET, PointNet

METHOD = 2
"""Counts the changes of what becomes of a film: what an earlier one aligned is aligned anew."""

USUAL_ASPECT = 0.79
"""Width over height of hand films, as a square one is first looked at: it may be squashed."""

_CHUNK = 16
# Films are squashed to squares, of this side to be looked at: an affine map does not mind.
_SEEN = 160


class _Start(NamedTuple):
    """How a film is first looked at: which part of it around its middle, and how far turned."""

    part: float
    degrees: float


# The first serves nearly all films; the others are for hands far from upright, and for small ones
# within a wide border.
_STARTS = (_Start(1.0, 0.0), _Start(0.7, 0.0), _Start(0.9, 45.0), _Start(0.9, -45.0))


class AlignedFilms(NamedTuple):
    """What became of n films.

    Attributes:
      images: `[n, S, S]` uint8, left hands, bones bright, as `alignment.FRAME` shows them, of
        normal exposure; a film that could not be aligned is squashed as it is, but for that.
      aligned: `[n]` bool.
      mirrored: `[n]` bool, whether an aligned one was mirrored.
      inverted: `[n]` bool, whether an aligned one was inverted.
    """

    images: np.ndarray
    aligned: np.ndarray
    mirrored: np.ndarray
    inverted: np.ndarray


def align_films(net: PointNet, films: Iterable[np.ndarray], size: int) -> AlignedFilms:
    """Moves whole films onto `alignment.TEMPLATE`; one does not depend on another.

    The network looks at the whole film, then at the hand, moved onto the template and mirrored.
    Where it is unsure, where its looks differ, or where what it read does not fit a hand, the film
    stays as it is.

    Args:
      net: what reads key points, such as `point_net_files.point_net_of("")`.
      films: `[H, W]` uint8 each, any sizes; read one chunk at a time. A square one is taken to be
        squashed from `USUAL_ASPECT`.
      size: side of the results in pixels.

    Returns:
      The films in their order.
    """
    found = AlignedFilms(*(list[Any]() for _ in AlignedFilms._fields))
    again: list[tuple[int, np.ndarray]] = []
    for chunk in _chunks(films):
        part = _align(net, chunk, size, _STARTS[0], 1)
        first = len(found.aligned)
        again += [(first + at, chunk[at]) for at in np.flatnonzero(~part.aligned)]
        for kept, new in zip(found, part, strict=True):
            kept.extend(new)
    for start in _STARTS:
        left, again = again, []
        for chunk in _chunks(left):
            part = _align(net, [film for _, film in chunk], size, start, 2)
            for at, (row, film) in enumerate(chunk):
                if not part.aligned[at]:
                    again.append((row, film))
                    continue
                for kept, new in zip(found, part, strict=True):
                    kept[row] = new[at]
    images = np.stack(found.images) if found.images else np.zeros((0, size, size), np.uint8)
    return AlignedFilms(images, *(np.array(marks, bool) for marks in found[1:]))


def _chunks(films: Iterable[Any]) -> Iterator[list[Any]]:
    films = iter(films)
    while chunk := list(itertools.islice(films, _CHUNK)):
        yield chunk


def _align(
    net: PointNet, films: list[np.ndarray], size: int, start: _Start, closer: int
) -> AlignedFilms:
    """At most a chunk of films, looked at as a whole and some times closely."""
    count = len(films)
    # The last chunk repeats its last film, so that one compilation serves all.
    films = films + films[-1:] * (_CHUNK - count)
    seen = np.stack([_squashed(film, _SEEN) for film in films])
    border = np.stack([seen[:, 0], seen[:, -1], seen[:, :, 0], seen[:, :, -1]], axis=1)
    fill = np.median(border.reshape(_CHUNK, -1), axis=1).astype(np.float32)
    whole = np.stack([_whole_film(film.shape, start) for film in films])
    before, (points, unsure) = None, _look(net, seen, whole, fill)
    for _ in range(closer):
        close = compose(place_hands(points, unsure).to_film, np.broadcast_to(_close(), whole.shape))
        before, (points, unsure) = points, _look(net, seen, close, fill)
    placed = place_hands(points, unsure)
    # How far apart the last two looks are, in the template's plane.
    back = np.linalg.pinv(placed.to_film[:, :, :2])
    apart = np.linalg.norm((points - before) @ back.swapaxes(1, 2), axis=-1)
    doubt = np.median(np.hypot(unsure, apart), axis=1)
    aligned = placed.fits() & (doubt <= UNSURE_HAND)

    squashed = np.stack([_squashed(film, size) for film in films])
    fine = np.stack([_squashed(film, 2 * size) for film in films])
    at = placed.to_film * (2 * size / _SEEN)
    at[:, :, 2] += size / _SEEN - 0.5
    at = compose(at, np.broadcast_to(frame_to_template(2 * size), at.shape))
    images = np.array(_halved(fine, at.astype(np.float32), fill, size))
    inverted = np.array([is_inverted(*row) for row in zip(seen, points, strict=True)])
    for row in np.flatnonzero(inverted):
        # Within the film's own range, as `canonical.turn_film` does.
        ends = int(films[row].min()) + int(films[row].max())
        images[row] = np.clip(ends - images[row].astype(int), 0, 255)
    images = np.where(aligned[:, None, None], images, squashed)
    # How bright a film came is no matter of the hand's.
    images = np.stack([normal_exposure(image) for image in images])
    return AlignedFilms(
        images[:count],
        aligned[:count],
        (placed.mirrored() & aligned)[:count],
        (inverted & aligned)[:count],
    )


def points_in_frame(size: int) -> np.ndarray:
    """Where key points belong on an aligned film.

    Args:
      size: side of the film in pixels.

    Returns:
      `[21, 2]` float64 `(x, y)` pixels.
    """
    at = frame_to_template(size)
    return (TEMPLATE - at[:, 2]) @ np.linalg.inv(at[:, :2]).T


def _squashed(film: np.ndarray, size: int) -> np.ndarray:
    if film.shape == (size, size):
        return film
    return np.asarray(Image.fromarray(film).resize((size, size), Image.Resampling.LANCZOS))


def _whole_film(shape: tuple[int, int], start: _Start) -> np.ndarray:
    """The map from a view of a film, in its aspect, to the film squashed to `_SEEN`."""
    height, width = shape
    aspect = USUAL_ASPECT if width == height else width / height
    turn = np.deg2rad(start.degrees)
    turn = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    scale = start.part * _SEEN / VIEW_SIZE * np.array([max(1.0, 1.0 / aspect), max(1.0, aspect)])
    linear = scale[:, None] * turn
    offset = 0.5 * (_SEEN - 1) - linear.sum(axis=1) * 0.5 * (VIEW_SIZE - 1)
    return np.concatenate([linear, offset[:, None]], axis=1)


def _close() -> np.ndarray:
    """The map from a view of an upright hand that fills it to the template, mirrored."""
    low, high = TEMPLATE.min(axis=0), TEMPLATE.max(axis=0)
    scale = UPRIGHT_ROOM * (high - low).max() / VIEW_SIZE * np.array([-1.0, 1.0])
    offset = 0.5 * (low + high) - scale * 0.5 * (VIEW_SIZE - 1)
    return np.array([[scale[0], 0.0, offset[0]], [0.0, scale[1], offset[1]]])


def _look(
    net: PointNet, seen: np.ndarray, at: np.ndarray, fill: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points `[n, 21, 2]` on the films, and how wide their maps are in hand lengths."""
    points, spread = _read(net, seen, at.astype(np.float32), fill)
    points, spread = np.asarray(points, np.float64), np.asarray(spread, np.float64)
    taught = 2.0 * (2.0 * TARGET_SIGMA) ** 2
    wide = np.sqrt(np.maximum(spread**2 - taught, 0.0))
    return moved(at, points), wide / np.maximum(hand_length(points), 1.0)[:, None]


@jax.jit
def _read(net: PointNet, seen: jax.Array, at: jax.Array, fill: jax.Array):
    views = standardised(warp(seen, at, fill, VIEW_SIZE))
    maps, _ = NET.apply(net.params, net.norm_stats, views[..., None], False)
    reading = read_heat_maps(maps)
    # A cell is two pixels, and its middle lies between them.
    return 2.0 * reading.points + 0.5, 2.0 * reading.spread


@partial(jax.jit, static_argnames="size")
def _halved(fine: jax.Array, at: jax.Array, fill: jax.Array, size: int) -> jax.Array:
    """Looks at twice the size, and means of four pixels: `[n, size, size]` uint8."""
    large = warp(fine, at, fill, 2 * size).reshape(-1, size, 2, size, 2)
    return jnp.rint(jnp.clip(large.mean(axis=(2, 4)), 0.0, 255.0)).astype(jnp.uint8)

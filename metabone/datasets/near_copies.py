"""Images that are one image twice, though their files differ: recompressed or resized."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from metabone.errors import InputError

LOOK = 64
"""Side of what films are compared by, in pixels."""

ALIKE = 0.9
"""Correlation of their fine detail from which two films are near copies.

Of 466,000 pairs of films of 966 different hands none was above 0.86. Of 25 copies of each kind,
saved as JPEG at quality 50, at half the resolution or with a border, all but one had 0.926 or more;
that one was cropped otherwise.
"""

SCREENED = 0.85
"""Correlation of coarse detail from which two images of any kind are compared finely."""

TILES_ALIKE = 0.9
"""Correlation that three quarters of the tiles of near copies reach; docs/own-films.md measures."""

MOST_PAIRS = 10_000
"""Pairs that are told; a set with more is hardly one of images."""

# Smallest and largest structure that is compared, in pixels of half a look and of a look.
_COARSE_BAND, _FINE_BAND = (1.0, 4.0), (0.7, 3.0)
_FINE_SIDE = 48  # A half copy of such an image still has detail for the fine comparison.
_COMMON, _IMAGES_A_DIRECTION, _ITERATIONS = 8, 50, 10
_LEAST_LEFT = 0.1  # What is left of an image that has nothing of its own is noise.
_TILES, _FEWEST_TILES = 4, 4
_BLOCK = 1024

# Exposure and the outline of a hand, which hands share, are coarser than this many pixels.
_COARSE = 3.0


def look_of_film(film: np.ndarray) -> np.ndarray:
    """What a film is compared by.

    Args:
      film: `[H, W]` uint8; canonical, so that copies that were mirrored, turned or inverted are
        found as well.

    Returns:
      `[LOOK, LOOK]` uint8.
    """
    return np.asarray(Image.fromarray(film).resize((LOOK, LOOK), Image.Resampling.BOX))


def near_copies(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int, float]]:
    """Finds films of one set that are nearly the same as films of another.

    Args:
      first: `[N, LOOK, LOOK]` uint8.
      second: `[M, LOOK, LOOK]` uint8.

    Returns:
      `(row of first, row of second, correlation)` of each pair from `ALIKE` on, the most alike
      first.
    """
    alike = _standardised(first) @ _standardised(second).T
    found = [(int(i), int(j), float(alike[i, j])) for i, j in np.argwhere(alike >= ALIKE)]
    return sorted(found, key=lambda pair: -pair[2])


def _standardised(looks: np.ndarray) -> np.ndarray:
    """`[N, D]` of fine detail and length one, or zero where a film is flat."""
    looks = np.asarray(looks, np.float32)
    fine = looks - ndimage.gaussian_filter(looks, (0, _COARSE, _COARSE))
    flat = fine.reshape(len(looks), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


class CopyPair(NamedTuple):
    """Two images that are nearly the same.

    Attributes:
      first: row of one.
      second: row of the other, above the first.
      alike: the lower quartile of the correlations of their 16 tiles.
      inverted: whether one is the other's negative.
    """

    first: int
    second: int
    alike: float
    inverted: bool


def look_of_image(image: Image.Image) -> np.ndarray:
    """What an image of any kind is compared by.

    Args:
      image: in greys or colours.

    Returns:
      `[LOOK, LOOK]` uint8, squashed to a square.
    """
    return np.asarray(image.convert("L").resize((LOOK, LOOK), Image.Resampling.BILINEAR))


def copies_within(looks: np.ndarray, sides: Sequence[int]) -> tuple[list[CopyPair], bool]:
    """Finds images of one set that are nearly the same: recompressed, resized or inverted.

    All pairs are compared coarsely, without what images of the set have in common, and those that
    are alike are compared finely, tile by tile, so that no frame or edge decides alone.

    Args:
      looks: `[N, LOOK, LOOK]` uint8, of `look_of_image`.
      sides: `N` shorter sides of the images, in pixels: fine detail of small ones is not compared.

    Returns:
      The pairs, the most alike first; and whether there were more than `MOST_PAIRS`, after which
      none is looked for.
    """
    looks = np.asarray(looks, np.uint8)
    if len(looks) < 2:
        return [], False
    half = looks.reshape(len(looks), LOOK // 2, 2, LOOK // 2, 2).mean((2, 4), dtype=np.float32)
    bands = _band(half, *_COARSE_BAND)
    seen = _without_common(_unit(bands.reshape(len(bands), -1)))
    small = np.asarray(sides) < _FINE_SIDE
    found: list[CopyPair] = []
    for start in range(0, len(looks), _BLOCK):
        block = seen[start : start + _BLOCK] @ seen[start:].T
        block[np.tril_indices(len(block), 0, block.shape[1])] = 0
        pairs = np.argwhere(np.abs(block) >= SCREENED)
        negative = block[tuple(pairs.T)] < 0
        pairs += start
        for few in range(0, len(pairs), _BLOCK):
            some, turned = pairs[few : few + _BLOCK], negative[few : few + _BLOCK]
            alike = _tiles_alike(*(bands[side] for side in some.T), turned)
            fine = ~small[some].any(1) & (alike >= TILES_ALIKE)
            if fine.any():
                shown = (_band(looks[side], *_FINE_BAND) for side in some[fine].T)
                alike[fine] = _tiles_alike(*shown, turned[fine])
            for row in np.flatnonzero(alike >= TILES_ALIKE):
                one, other = some[row].tolist()
                found.append(CopyPair(one, other, float(alike[row]), bool(turned[row])))
        if len(found) > MOST_PAIRS:
            return sorted(found, key=lambda pair: -pair.alike)[:MOST_PAIRS], True
    return sorted(found, key=lambda pair: -pair.alike), False


def _band(looks: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    """`[N, S, S]` float32 of the structure between two sizes, in pixels."""
    looks = np.asarray(looks, np.float32)
    smooth = ndimage.gaussian_filter(looks, (0, fine, fine))
    return smooth - ndimage.gaussian_filter(looks, (0, coarse, coarse))


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)


def _without_common(rows: np.ndarray) -> np.ndarray:
    """Without the directions that most of the set shares, such as a frame; zero where no more is.

    They are projected out and not subtracted, so that a negative stays the negative of its image.
    """
    count = min(_COMMON, len(rows) // _IMAGES_A_DIRECTION)
    # By orthogonal iteration with as many directions again, which decomposes nothing large.
    shared = np.random.default_rng(0).normal(size=(rows.shape[1], 2 * count)).astype(np.float32)
    for _ in range(_ITERATIONS):
        shared = np.linalg.qr(rows.T @ (rows @ shared))[0]
    shared = shared[:, :count]
    left = rows - (rows @ shared) @ shared.T
    return left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), _LEAST_LEFT)


def _tiles_alike(first: np.ndarray, second: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """`[P]`, the lower quartile of the correlations of tiles, of those that are not flat."""
    one, other = (_tiles(bands) for bands in (first, second))
    sizes = [np.linalg.norm(tiles, axis=2) for tiles in (one, other)]
    alike = (one * other).sum(2) / np.maximum(sizes[0] * sizes[1], 1e-6)
    alike = np.where(negative[:, None], -alike, alike)
    flat = np.maximum(*sizes) < np.sqrt(one.shape[2])
    alike = np.sort(np.where(flat, np.inf, alike), axis=1)
    told = (~flat).sum(1)
    rows = np.arange(len(alike))
    return np.where(told < _FEWEST_TILES, -1.0, alike[rows, np.maximum(told - 1, 0) // 4])


def _tiles(bands: np.ndarray) -> np.ndarray:
    count, side = bands.shape[:2]
    tile = side // _TILES
    tiles = bands.reshape(count, _TILES, tile, _TILES, tile).swapaxes(2, 3)
    tiles = tiles.reshape(count, _TILES**2, tile**2)
    return tiles - tiles.mean(2, keepdims=True)


def refuse_near_copies(one: str, first: Any, other: str, second: Any, called: str) -> None:
    """Refuses two parts of films that hold nearly the same film; says nothing without `looks`.

    Args:
      one: name of the first part.
      first: films with `looks`, such as a `FilmSet`.
      other: name of the second part.
      second: likewise.
      called: attribute of both by which a film is named in the message.

    Raises:
      InputError: a film of one part is a near copy of a film of the other.
    """
    if first.looks is None or second.looks is None:
        return
    found = near_copies(first.looks, second.looks)
    if found:
        i, j, alike = found[0]
        raise InputError(
            f"film {getattr(first, called)[i]} of '{one}' and film {getattr(second, called)[j]} of "
            f"'{other}' are nearly the same film (correlation {alike:.3f}); {len(found)} such "
            "pairs: parts must share no patient"
        )

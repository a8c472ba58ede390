"""How a film looks as a whole, by which one of another kind is told whatever a learner sees in it.

A learner's features are made to tell classes apart; noise, or another part of the body, may well
lie among them. So films are also compared by where they are light and dark and how fine their
structure is.
"""

import numpy as np
from PIL import Image

LOOK = 73
"""Numbers that say how a film looks."""

_PLACES = 8  # rows and columns of places that are compared
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_OCTAVES = 4
# So that places, greys and structure weigh about alike on simulated and real hand films.
_PLACE_WEIGHT, _GREY = 0.5, 64.0
_FAINT = 4.0  # grey levels of contrast below which a film's places are not stretched further


def look_of(images: np.ndarray) -> np.ndarray:
    """Describes films by their greys.

    Args:
      images: `[n, H, W, C]` uint8; `[n, R, H, W, C]` where films are seen by regions.

    Returns:
      `[n, 73]` float32, by regions `[n, R * 73]`: 64 means over an 8 x 8 grid, without the film's
      own brightness and contrast; quantiles of its greys; and the contrast of its structure in four
      octaves, finest first, in logarithms.
    """
    if images.ndim == 5:
        each = look_of(images.reshape(-1, *images.shape[2:]))
        return each.reshape(len(images), -1)
    return np.stack([_look(image.astype(np.float32).mean(-1)) for image in images])


def _look(film: np.ndarray) -> np.ndarray:
    small = Image.fromarray(film).resize((_PLACES, _PLACES), Image.Resampling.BOX)
    places = np.asarray(small, np.float32).ravel()
    places = (places - places.mean()) / (places.std() + _FAINT)
    greys = np.quantile(film, _SHARES) / _GREY
    octaves = []
    for _ in range(_OCTAVES):
        half = _halved(film)
        whole = film[: 2 * half.shape[0], : 2 * half.shape[1]]
        finer = half.repeat(2, 0).repeat(2, 1)[: whole.shape[0], : whole.shape[1]]
        octaves.append(np.log1p((whole - finer).std()))
        film = half
    return np.concatenate([_PLACE_WEIGHT * places, greys, octaves]).astype(np.float32)


def _halved(film: np.ndarray) -> np.ndarray:
    if min(film.shape) < 2:
        return film
    height, width = (side // 2 for side in film.shape)
    return film[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))

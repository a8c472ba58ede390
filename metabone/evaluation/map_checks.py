"""Whether a map of where a score comes from tells anything."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv
from scipy.stats import rankdata

from metabone.errors import InputError


def weights_randomised_change(
    map_of: Callable[[Any], np.ndarray], params: Any, fresh: Any, blocks: Mapping[str, Any]
) -> dict[str, float]:
    """How alike maps stay while a network's weights are randomised from the top down.

    A map that stays as it was does not depend on what the network has learned: it shows edges of
    the image.

    Args:
      map_of: parameters to maps `[n, H, W]` of some images.
      params: what the network has learned.
      fresh: parameters of the same form, drawn anew as `Network.init` draws them.
      blocks: name of a block to a pytree of bool like `params`, True at its leaves; from the top
        down, as `nets.trainable_blocks.mask_of` makes them. Each is randomised with all before it.

    Returns:
      Name of each block to the mean over images of the rank correlation (Spearman) of the map with
      the one that was learned: 1 for the same, about 0 for another. A map that is the same
      everywhere ranks nothing, and counts 0.

    Raises:
      ValueError: no blocks, or trees of another form.

    Source: Adebayo et al. 2018, section 3.1, cascading randomisation.
    """
    if not blocks:
        raise ValueError("no blocks: expected at least one to be randomised")
    learned = map_of(params)
    found = {}
    for name, mask in blocks.items():
        params = jax.tree.map(lambda own, new, drawn: new if drawn else own, params, fresh, mask)
        pairs = zip(learned, map_of(params), strict=True)
        found[name] = float(np.mean([_rank_correlation(*pair) for pair in pairs]))
    return found


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    ranks = [rankdata(each) for each in (first, second)]
    spreads = [each.std() for each in ranks]
    if not all(spreads):
        return 0.0
    offsets = [each - each.mean() for each in ranks]
    return float(np.mean(offsets[0] * offsets[1]) / (spreads[0] * spreads[1]))


class PointingGame(NamedTuple):
    """How often maps point to where the cue is known to be.

    Attributes:
      share: of the maps.
      low: lower end of its exact 95 % interval (Clopper and Pearson 1934).
      high: upper end.
      chance: mean share of the image that a box takes: what a map that points anywhere has.
      n: maps.
    """

    share: float
    low: float
    high: float
    chance: float
    n: int


def pointing_game(maps: ArrayLike, boxes: ArrayLike) -> PointingGame:
    """Share of maps whose highest pixel lies in the box of the cue.

    Args:
      maps: `[n, H, W]`; those of a cue that lowers the score with the sign changed.
      boxes: `[n, 4]` first row and column of each box, and the row and column after the last.

    Returns:
      The share with its interval. Where several pixels are highest all of them are to lie in the
      box: a map that is the same everywhere points nowhere.

    Raises:
      InputError: a map that is not finite, a box without pixels or not within the map.
      ValueError: other shapes, or no maps.

    Source: Zhang et al. 2016, section 4.2, without tolerance around the box.

    Example:
      >>> maps = np.zeros((2, 4, 4))
      >>> maps[:, 1, 2] = 1.0
      >>> pointing_game(maps, [[0, 2, 2, 4], [2, 0, 4, 2]]).share
      0.5
    """
    maps, boxes = np.asarray(maps), np.asarray(boxes)
    if maps.ndim != 3 or not len(maps) or boxes.shape != (len(maps), 4):
        raise ValueError(f"maps {maps.shape} and boxes {boxes.shape}: expected [n, H, W], [n, 4]")
    if not np.isfinite(maps).all():
        raise InputError("a map has a value that is not finite")
    height, width = maps.shape[1:]
    hits, areas = 0, []
    for each, (top, left, bottom, right) in zip(maps, boxes.tolist(), strict=True):
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise InputError(
                f"box {(top, left, bottom, right)}: expected pixels of {height}x{width}"
            )
        highest = each == each.max()
        hits += bool(highest[top:bottom, left:right].sum() == highest.sum())
        areas.append((bottom - top) * (right - left) / (height * width))
    n = len(maps)
    low = float(betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return PointingGame(hits / n, low, high, float(np.mean(areas)), n)

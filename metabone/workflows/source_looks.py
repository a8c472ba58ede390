"""Every image of a source, looked at once: what is remembered of it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.held import Held, in_grey
from metabone.datasets.near_copies import look_of_image
from metabone.datasets.progress import progress
from metabone.errors import InputError

_FLAT = 2.0  # Standard deviation in grey levels below which nothing is to be seen.


class Looked(NamedTuple):
    """What is known of the images that can be read.

    Attributes:
      rows: of the source.
      hashes: of each, as RGB.
      looks: `[n, ...]` uint8, see `near_copies.look_of_image`.
      sizes: width and height.
      stored: kinds of files, counted.
      colours: how many are not grey.
      done: conversions, counted.
      bits: stored depths of those that have one.
      flat: rows of one grey or nearly.
      groups: patients that files tell; None where they do not.
      unreadable: a line for each image that cannot be read.
    """

    rows: list[int]
    hashes: list[str]
    looks: np.ndarray
    sizes: list[tuple[int, int]]
    stored: Counter[str]
    colours: int
    done: Counter[str]
    bits: list[int]
    flat: list[int]
    groups: list[str | None]
    unreadable: list[str]


def look_at(held: Held, rows: Sequence[int]) -> Looked:
    """Reads images of a source, one after the other, and keeps what is to be told of them.

    Args:
      held: the source, open.
      rows: which.
    """
    seen = Looked([], [], np.zeros(0), [], Counter(), 0, Counter(), [], [], [], [])
    looks, colours = [], 0
    for row in progress(rows, "looking at images", len(rows)):
        try:
            image = held.read(row)
        except InputError as error:
            seen.unreadable.append(str(error))
            continue
        grey = in_grey(image.pixels)
        seen.rows.append(row)
        seen.hashes.append(_hash(image.pixels))
        looks.append(look_of_image(grey))
        seen.sizes.append(grey.size)
        seen.stored[image.stored] += 1
        seen.done.update(image.conversions)
        seen.groups.append(image.group)
        colours += image.pixels.ndim == 3
        seen.bits.extend([image.bits] * bool(image.bits))
        if np.asarray(grey).std() < _FLAT:
            seen.flat.append(row)
    return seen._replace(looks=np.asarray(looks, np.uint8), colours=colours)


def groups_of(held: Held, seen: Looked) -> dict[int, str]:
    """The patient of each image, as the source or else the files tell; empty for unknown."""
    if held.groups:
        return {row: held.groups[row] for row in seen.rows}
    if all(seen.groups):
        return {row: str(group) for row, group in zip(seen.rows, seen.groups, strict=True)}
    return {}


def _hash(pixels: np.ndarray) -> str:
    """Of the image as RGB, as readers take it: a grey file may be a copy of one in colours."""
    rgb = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))
    return image_fingerprints(rgb[None])[0]

"""From raw films to canonical ones with their key points, or to the reason why not."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.radiograph.canonical import (
    Turn,
    hand_box,
    how_turned,
    inner_box,
    normal_exposure,
    turn_film,
    turn_points,
    turn_points_back,
)
from metabone.radiograph.hand_gate import check_hand, cut_within
from metabone.radiograph.region_sets import Region
from metabone.workflows.hand_reading import read_key_points, shows_another
from metabone.workflows.key_points import PointNet

METHOD = 2
"""Counts the changes of what becomes of a film: what an earlier one prepared is prepared anew."""


class CanonicalHand(NamedTuple):
    """A film as readers want it, and what was done to it.

    Attributes:
      film: `[h, w]` uint8: a left hand, fingers up, bones bright, the hand with a piece of forearm,
        exposure normalised.
      points: `[21, 2]` float32 `(x, y)` pixels of `film`.
      uncertainty: `[21]` float32, hand lengths.
      raw_points: `[21, 2]` float32, the same points on the film as it came.
      border: `(left, top, right, bottom)` pixels of the film as it came, what its border left.
      turn: what was then done.
      box: `(left, top, right, bottom)` pixels of the turned film, what is shown.
      refusal: why it is not to be read; None for a film that can be.
    """

    film: np.ndarray
    points: np.ndarray
    uncertainty: np.ndarray
    raw_points: np.ndarray
    border: tuple[int, int, int, int]
    turn: Turn
    box: tuple[int, int, int, int]
    refusal: str | None


def canonical_hands(
    net: PointNet, films: Sequence[np.ndarray], regions: tuple[Region, ...] = ()
) -> list[CanonicalHand]:
    """Makes films canonical.

    Key points are read twice: on the film as it came, to see which way it lies, and on the turned
    film, so that copies of a film that differ in turn, side, polarity or border agree.

    Args:
      net: what reads key points.
      films: `[H, W]` each, any sizes and gray levels, at least 32 pixels a side.
      regions: which must be seen for a film not to be refused.

    Returns:
      A result a film; whatever it shows, nothing is raised.

    Raises:
      InputError: a film is not gray, or too small.
    """
    for index, film in enumerate(films):
        if film.ndim != 2 or min(film.shape) < 32:
            shape = " x ".join(map(str, film.shape))
            raise InputError(
                f"film {index}: {shape}; expected a gray film of at least 32 x 32 pixels"
            )
    borders = [inner_box(film) for film in films]
    inner = [_part(film, box) for film, box in zip(films, borders, strict=True)]
    first = read_key_points(net, inner)
    turns = [how_turned(film, at) for film, at in zip(inner, first.points, strict=True)]
    upright = [turn_film(film, turn) for film, turn in zip(inner, turns, strict=True)]
    read = read_key_points(net, upright)
    hands = []
    for index, film in enumerate(upright):
        points, unsure = read.points[index], read.uncertainty[index]
        back = turn_points(first.points[index], inner[index].shape, turns[index])
        raw = turn_points_back(points, inner[index].shape, turns[index])
        raw = raw + np.array(borders[index][:2])
        refusal = check_hand(raw, unsure, films[index].shape, regions)
        if refusal is None and np.abs(back - points).max() > 0.25 * np.ptp(points, axis=0).max():
            refusal = "no hand: its points differ between two looks at the film"
        refusal = refusal or cut_within(film, points, regions)
        box = hand_box(points, film.shape)
        hands.append(
            CanonicalHand(
                film=normal_exposure(_part(film, box)),
                points=points - np.array(box[:2], np.float32),
                uncertainty=unsure,
                raw_points=raw.astype(np.float32),
                border=borders[index],
                turn=turns[index],
                box=box,
                refusal=refusal,
            )
        )
    alone = [row for row, hand in enumerate(hands) if hand.refusal is None]
    others = shows_another(net, [upright[row] for row in alone], read.points[alone])
    for row, another in zip(alone, others, strict=True):
        if another:
            hands[row] = hands[row]._replace(refusal="two hands; expected one")
    return hands


def _part(film: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    return film[top:bottom, left:right]

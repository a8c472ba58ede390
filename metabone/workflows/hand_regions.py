"""Regions of hands on raw films, as a model reads them: always cut in the same way."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metabone.errors import InputError
from metabone.nets import feature_store
from metabone.radiograph.canonical import Turn
from metabone.radiograph.region_sets import REGION_SETS, Region
from metabone.radiograph.region_templates import registered_regions, simulated_templates
from metabone.workflows.canonical_hands import METHOD, CanonicalHand, canonical_hands
from metabone.workflows.key_points import PointNet
from metabone.workflows.point_net_files import point_net_of
from metabone.workflows.setting_values import did_you_mean

TEMPLATE = 64
"""Side of a template, and of a region before it is given a learner's size."""

_LEAST_PIXELS = 32


class HandCut(NamedTuple):
    """What was cut out of a film, or why nothing was.

    Attributes:
      regions: `[R, S, S]` uint8; None for a film that is refused.
      film: `[h, w]` uint8, the canonical film; the film as it came for one that is refused.
      notes: what was done to the film, one sentence each.
      refusal: why it is not to be read; empty for a film that can be.
    """

    regions: np.ndarray | None
    film: np.ndarray
    notes: tuple[str, ...]
    refusal: str


@dataclasses.dataclass(frozen=True, eq=False)
class HandRegions:
    """How regions are found on films, and moved onto their templates.

    Attributes:
      name: of the regions in `region_sets.REGION_SETS`.
      templates: `[R, S, S, 2]` float32, see `region_templates.simulated_templates`.
      weights: `weights_sha256` of the key-point network that films are read with.
      key_points: where this network is, see `point_net_files.point_net_of`; empty for the one that
        comes with the package.
      method: `canonical_hands.METHOD` of the version that the model was adapted by.
    """

    name: str
    templates: np.ndarray
    weights: str
    key_points: str = ""
    method: int = METHOD

    @property
    def regions(self) -> tuple[Region, ...]:
        """Which regions."""
        return REGION_SETS[self.name]

    @functools.cached_property
    def net(self) -> PointNet:
        """The key-point network, see `check`."""
        net = point_net_of(self.key_points)
        found = weights_sha256(net)
        if found != self.weights:
            raise InputError(
                f"key points by {self.key_points or 'the weights of this version of metabone'} "
                f"(sha256 {found[:12]}): the model was adapted with others ({self.weights[:12]}); "
                "--key_points says where they are"
            )
        return net

    def check(self) -> None:
        """Raises `InputError` where films would be seen otherwise than when it was adapted."""
        if self.method != METHOD:
            raise InputError(
                f"the model was adapted by another way to see hands ({self.method}) than that of "
                f"this version of metabone ({METHOD}); adapt it again"
            )
        _ = self.net

    def cut(self, films: Sequence[np.ndarray]) -> list[HandCut]:
        """Cuts the regions of films; those of one film depend on no other.

        Args:
          films: `[H, W]` each, any sizes and gray levels.

        Returns:
          A result a film; whatever it shows, nothing is raised.
        """
        self.check()
        large = [row for row, film in enumerate(films) if min(film.shape) >= _LEAST_PIXELS]
        hands = dict(
            zip(
                large,
                canonical_hands(self.net, [films[row] for row in large], self.regions),
                strict=True,
            )
        )
        read = [row for row, hand in hands.items() if hand.refusal is None]
        crops = dict(zip(read, self._registered([hands[row] for row in read]), strict=True))
        cuts = []
        for row, film in enumerate(films):
            if row in crops:
                cuts.append(HandCut(crops[row], hands[row].film, _notes(hands[row].turn), ""))
            elif row in hands:
                cuts.append(HandCut(None, film, (), str(hands[row].refusal)))
            else:
                height, width = film.shape
                reason = f"{width} x {height} pixels; expected at least {_LEAST_PIXELS} a side"
                cuts.append(HandCut(None, film, (), reason))
        return cuts

    def _registered(self, hands: list[CanonicalHand]) -> Sequence[np.ndarray]:
        if not hands:
            return ()
        points = np.stack([hand.points for hand in hands])
        films = [hand.film for hand in hands]
        return registered_regions(films, points, self.regions, self.templates)


def hand_regions(name: str, key_points: str = "") -> HandRegions:
    """Regions by name, with templates of simulated films.

    Args:
      name: of the regions in `region_sets.REGION_SETS`.
      key_points: see `HandRegions`.

    Raises:
      InputError: there are no such regions, or no such network.
    """
    check_regions(name)
    weights = weights_sha256(point_net_of(key_points))
    return HandRegions(name, simulated_templates(REGION_SETS[name]), weights, key_points)


def check_regions(name: str) -> None:
    """Raises `InputError` for regions that there are not."""
    if name not in REGION_SETS:
        close = did_you_mean(name, REGION_SETS)
        raise InputError(f"regions {name!r}: expected one of {', '.join(REGION_SETS)}{close}")


def weights_sha256(net: PointNet) -> str:
    """Hashes the weights of a key-point network, whatever file they were read from."""
    return feature_store.weights_sha256(net.params, net.norm_stats, "key points")


def _notes(turn: Turn) -> tuple[str, ...]:
    done = (
        ("turned, the fingers up", bool(turn.quarters)),
        ("mirrored to a left hand", turn.mirrored),
        ("inverted, so that bones are bright", turn.inverted),
    )
    return tuple(note for note, was in done if was)

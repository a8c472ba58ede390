"""Raw films of hands as a model of bone age sees them, or why it does not."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.errors import InputError
from metabone.workflows import aligned_films, canonical_hands
from metabone.workflows.age_model import AgeModel
from metabone.workflows.hand_regions import HandCut, hand_regions, weights_sha256
from metabone.workflows.point_net_files import point_net_of

NOT_ALIGNED = "Its hand could not be moved onto the template: it was read squashed, as it came."
_LEAST_PIXELS = 32


class SeenHand(NamedTuple):
    """A film as a model sees it.

    Attributes:
      image: `[..., H, W, 1]` uint8; None for a film that is refused.
      shown: `[h, w]` uint8, as people see it.
      warning: what may be amiss, a sentence; empty for nothing.
      refusal: why it is not read; empty for a film that is.
    """

    image: np.ndarray | None
    shown: np.ndarray
    warning: str = ""
    refusal: str = ""


def method_of(view: str) -> int:
    """Counts the changes of how films become a view; 0 of one that has seen none."""
    return {"aligned": aligned_films.METHOD, "regions": canonical_hands.METHOD}.get(view, 0)


def check_sight(model: AgeModel, key_points: str = "") -> None:
    """Checks that films are seen as those were that a model was trained on.

    Args:
      model: of bone age.
      key_points: where the network that finds key points is, see `point_net_files.point_net_of`.

    Raises:
      InputError: by another way, or through other key points.
    """
    if model.method != method_of(model.view):
        raise InputError(
            f"the model was trained on films {model.view} in another way ({model.method}) than "
            f"this version of metabone does it ({method_of(model.view)}); train it again"
        )
    found = weights_sha256(point_net_of(key_points)) if model.key_points else ""
    if model.key_points != found:
        raise InputError(
            f"key points by {key_points or 'the weights of this version of metabone'} (sha256 "
            f"{found[:12]}): the model was trained with others ({model.key_points[:12]}); "
            "--key_points says where they are"
        )


class AgeSight:
    """How films become what a model reads: by the very functions that its own films went through.

    Args:
      model: that is to read them.
      key_points: where the network that finds key points is, see `point_net_files.point_net_of`.

    Raises:
      InputError: the model was trained on films seen otherwise, see `check_sight`.
    """

    def __init__(self, model: AgeModel, key_points: str = ""):
        self._model, self._net = model, point_net_of(key_points)
        check_sight(model, key_points)
        regions = model.settings.regions
        self._hands = hand_regions(regions, key_points) if model.view == "regions" else None

    def see(self, films: Sequence[np.ndarray]) -> list[SeenHand]:
        """Sees films, each by itself.

        Args:
          films: `[H, W]` uint8 each, any sizes.

        Returns:
          A result a film; whatever it shows, nothing is raised.
        """
        if self._hands is not None:
            return [_of_cut(cut) for cut in self._hands.cut(films)]
        large = [row for row, film in enumerate(films) if min(film.shape) >= _LEAST_PIXELS]
        hands = canonical_hands.canonical_hands(self._net, [films[row] for row in large])
        refusals = {row: hand.refusal or "" for row, hand in zip(large, hands, strict=True)}
        kept = [row for row in large if not refusals[row]]
        seen = dict(zip(kept, self._whole([films[row] for row in kept]), strict=True))
        found = []
        for row, film in enumerate(films):
            if row in seen:
                image, warning = seen[row]
                found.append(SeenHand(image, film, warning))
                continue
            height, width = film.shape
            small = f"{width} x {height} pixels; expected at least {_LEAST_PIXELS} a side"
            found.append(SeenHand(None, film, refusal=refusals.get(row, small)))
        return found

    def _whole(self, films: Sequence[np.ndarray]) -> list[tuple[np.ndarray, str]]:
        size = self._model.image_shape[-2]
        squashed = [reading.resize(Image.fromarray(film), size) for film in films]
        if self._model.view == "squashed" or not films:
            return [(image, "") for image in squashed]
        found = aligned_films.align_films(self._net, films, size)
        return [
            (image[..., None], "") if aligned else (plain, NOT_ALIGNED)
            for image, aligned, plain in zip(found.images, found.aligned, squashed, strict=True)
        ]


def _of_cut(cut: HandCut) -> SeenHand:
    image = None if cut.regions is None else cut.regions[..., None]
    return SeenHand(image, cut.film, refusal=cut.refusal)

"""A learner together with what it has learned across tasks: what adapts to new images."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from metabone.errors import InputError
from metabone.learners.base import MetaLearner, MetaParams


class Trained(NamedTuple):
    """What meta-training ends with, and what `adapt` begins with.

    Attributes:
      learner_for: from a number of classes to the learner for that many. One with a head of its own
        serves up to as many classes as it was trained with (its further outputs are to be passed
        over); one that solves for its head serves any number. Raises `InputError` beyond that.
      meta_params: of the learner, in the learner's own type.
      image_shape: `(H, W, C)` of the uint8 images that `prepare` takes.
      prepare: uint8 `[n, H, W, C]` to what the learner takes, pure.
      features: `(adapted, prepared) -> [n, D]` float32, by which images are alike, pure; None where
        the learner's network has nothing between images and outputs.
      about: plain record for cards and reports: `learner` (a name), `source`, `kind` (`real` or
        `simulated`), `norm`, and whatever else is known.
    """

    learner_for: Callable[[int], MetaLearner]
    meta_params: MetaParams
    image_shape: tuple[int, int, int]
    prepare: Callable[[jax.Array], jax.Array]
    features: Callable[[Any, jax.Array], jax.Array] | None
    about: Mapping[str, Any]


def up_to(learner: MetaLearner, ways: int) -> Callable[[int], MetaLearner]:
    """The `learner_for` of a learner whose head has `ways` outputs."""

    def learner_for(classes: int) -> MetaLearner:
        if classes > ways:
            raise InputError(
                f"{classes} classes, but this learner was trained to tell {ways} apart; take one "
                "that serves any number, such as protonet or r2d2"
            )
        return learner

    return learner_for

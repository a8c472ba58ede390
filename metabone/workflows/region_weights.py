"""Weights of regions that a learner's validation films give, for what it says of other films."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from metabone.datasets.graded import GradedImages
from metabone.episodes.store import ImageStore, build_store
from metabone.errors import InputError
from metabone.evaluation.protocol import (
    FilmReading,
    compile_reading,
    read_draws,
    read_films,
    read_logits,
)
from metabone.evaluation.region_weights import learn_region_weights
from metabone.learners.base import MetaLearner
from metabone.workflows.arms import Arm


def weights_of(
    arm: Arm,
    meta_params: Any,
    *,
    ways: int,
    shots: int,
    queries: int,
    pooled: bool = False,
    seed: int = 0,
    draws: int = 30,
) -> np.ndarray:
    """Learns how much each region should count, from draws of the films that an arm chose on.

    Args:
      arm: its learner reads region by region, as it answers first (inductively); `validation` are
        regions of films in order, `GradedImages`, that no other part shares a patient with.
      meta_params: of `arm.learner`.
      ways: classes: as many equal parts of the films by bone age.
      shots: support films a class; fewer where a class has too few.
      queries: query films a class; at most half of a class.
      pooled: one adaptation on all regions together.
      seed: of the draws.
      draws: how many tasks; one with an answer that is not finite is left out.

    Returns:
      `[R]` float32 of sum 1, see `learn_region_weights`.

    Raises:
      InputError: an arm that reads whole films or has no such films, fewer films than two a class,
        or a learner that answered no draw.
    """
    store, fewest = _films_of(arm, ways)
    queries = min(queries, fewest // 2)
    shots = min(shots, fewest - queries)
    how = dict(shots=shots, queries=queries, pooled=pooled, ordered=arm.ordered)
    said = read_logits(arm.learner, [arm.learner.predict], **how)
    program = compile_reading(said, meta_params, store)
    found = read_draws(program, meta_params, store, seed=seed, draws=draws)
    logits = found.logits[:, 0]
    finite = np.isfinite(logits).all((1, 2, 3))
    if not finite.any():
        raise InputError(f"{arm.learning} {arm.model}: no draw of validation films was answered")
    return learn_region_weights(logits[finite], found.truth[finite])


def read_weighted(
    learner: MetaLearner, predictions: Sequence[Callable[[Any, jax.Array], jax.Array]], **how: Any
) -> Callable[[Any, ImageStore, jax.Array, jax.Array], FilmReading]:
    """`read_films` of `(meta_params, weights)`, which is compiled before either is known.

    Args:
      learner: see `read_films`.
      predictions: see `read_films`.
      **how: what else `read_films` takes, but weights.

    Returns:
      `((meta_params, [R]), store, seed, index) -> FilmReading`, pure.
    """

    def adapt(both: Any, support: Any, key: jax.Array) -> Any:
        return learner.adapt(both[0], support, key)

    return read_films(
        learner._replace(adapt=adapt), predictions, weights=lambda both: both[1], **how
    )


def _films_of(arm: Arm, ways: int) -> tuple[ImageStore, int]:
    """The arm's validation films by equal parts of age, and how many the smallest class has."""
    images = arm.validation
    if arm.whole or not isinstance(images, GradedImages):
        raise InputError(
            f"{arm.learning} {arm.model}: weights of regions are learned from regions of films "
            "with bone ages that it chose on; it has none"
        )
    count = int(images.strata.max()) + 1
    months, patients = images.grades[::count], images.patients[::count]
    edges = np.quantile(months, np.arange(1, ways) / ways)
    classes = np.searchsorted(edges, months, side="right")
    fewest = min(len(np.unique(patients[classes == label])) for label in range(ways))
    if fewest < 2:
        raise InputError(
            f"weights of regions: {len(months)} validation films have {fewest} of a class; "
            f"expected two of each of {ways}"
        )
    values = images.images.reshape(len(months), count, *images.images.shape[1:])
    return jax.device_put(build_store(values, classes, groups=patients)), fewest

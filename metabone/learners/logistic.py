"""Logistic regression on frozen features: the plain baseline that few-shot learners must beat."""

from typing import Any

import jax
import jax.numpy as jnp

from metabone.episodes.types import Examples
from metabone.learners.base import (
    MetaLearner,
    Norm,
    all_but_stats,
    cross_entropy,
    guarded,
    prediction,
)
from metabone.learners.embedding import Embedded
from metabone.learners.lbfgs import minimise
from metabone.learners.refusals import positive, whole
from metabone.learners.transfer import TrainedParams
from metabone.nets.network import Network


def logistic_head(
    network: Network,
    ways: int,
    *,
    strength: float = 1e-2,
    steps: int = 100,
    unit: bool = True,
    norm: Norm = "running",
) -> MetaLearner:
    """Multinomial logistic regression on a trained network's features (Tian et al. 2020).

    Minimises the mean cross-entropy plus strength / 2 times the squared weights, biases free, by
    L-BFGS. In scikit-learn's terms `strength` is 1 / (C n).

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`.
      strength: of the pull towards zero.
      steps: L-BFGS steps at most; it ends earlier at a gradient below 1e-5.
      unit: scales each image's features to length one.
      norm: `running` normalises all images by the statistics that the network was trained with,
        `inductive` by those of the support set alone, `transductive` the queries by their own.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `TrainedParams` of a network that
      was trained otherwise.

    Raises:
      InputError: fewer than two ways, a strength, number of steps or norm that cannot be; in use,
        inside a `jax.shard_map` that checks what varies, which optax's line search does not pass.
    """
    ways, steps = whole("ways", ways, 2), whole("steps", steps, 0)
    strength = positive("strength", strength)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def embed(params: Any, norm_stats: Any, images: jax.Array, own: bool):
        """Features by stored statistics or by the images' own, and what normalised them."""
        found, stats = network.apply(params, norm_stats, images, own)
        found = found.reshape(len(images), -1)
        if unit:
            length = jnp.linalg.norm(found, axis=-1, keepdims=True)
            found /= jnp.where(length > 0, length, 1)
        return found, stats

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        seen, stats = embed(*meta_params, support.images, norm != "running")

        def objective(head):
            penalty = strength / 2 * jnp.square(head["weights"]).sum()
            return cross_entropy(_answer(seen, head), support.labels) + penalty

        start = {
            "weights": jnp.zeros((seen.shape[-1], ways), seen.dtype),
            "bias": jnp.zeros(ways, seen.dtype),
        }
        return Embedded(meta_params.weights, stats, minimise(objective, start, steps))

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        return _answer(embed(weights, norm_stats, images, norm == "transductive")[0], head)

    return guarded(MetaLearner(init, None, adapt, prediction(logits, norm), all_but_stats))


def _answer(features: jax.Array, head: dict[str, jax.Array]) -> jax.Array:
    return features @ head["weights"] + head["bias"]

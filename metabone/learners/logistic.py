"""Logistic regression on frozen features: the plain baseline that few-shot learners must beat."""

from typing import Any

import jax
import jax.numpy as jnp

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.base import MetaLearner, all_but_stats, cross_entropy, guarded, prediction
from metabone.learners.embedding import Embedded
from metabone.learners.lbfgs import minimise
from metabone.learners.transfer import TrainedParams
from metabone.nets.network import Network


def logistic_head(
    network: Network, ways: int, *, strength: float = 1e-2, steps: int = 100, unit: bool = True
) -> MetaLearner:
    """Multinomial logistic regression on a trained network's features (Tian et al. 2020).

    Minimises the mean cross-entropy plus strength / 2 times the squared weights, biases free, by
    L-BFGS. In scikit-learn's terms `strength` is 1 / (C n). Features are by the stored batch
    statistics, so that a prediction depends on no other query.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`.
      strength: of the pull towards zero.
      steps: L-BFGS steps at most; it ends earlier at a gradient below 1e-5.
      unit: scales each image's features to length one.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `TrainedParams` of a network that
      was trained otherwise.

    Raises:
      InputError: fewer than two ways, a strength or number of steps that cannot be; in use, inside
        a `jax.shard_map` that checks what varies, which optax's line search does not pass.
    """
    if ways < 2:
        raise InputError(f"ways (={ways}): expected at least 2")
    if not strength > 0:
        raise InputError(f"strength (={strength}): expected a number above 0")
    if steps < 0:
        raise InputError(f"steps (={steps}): expected at least 0")

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def features(params: Any, norm_stats: Any, images: jax.Array) -> jax.Array:
        found = network.apply(params, norm_stats, images, False)[0].reshape(len(images), -1)
        if not unit:
            return found
        length = jnp.linalg.norm(found, axis=-1, keepdims=True)
        return found / jnp.where(length > 0, length, 1)

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        seen = features(*meta_params, support.images)

        def objective(head):
            penalty = strength / 2 * jnp.square(head["weights"]).sum()
            return cross_entropy(_answer(seen, head), support.labels) + penalty

        start = {
            "weights": jnp.zeros((seen.shape[-1], ways), seen.dtype),
            "bias": jnp.zeros(ways, seen.dtype),
        }
        return Embedded(*meta_params, minimise(objective, start, steps))

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        return _answer(features(adapted.weights, adapted.norm_stats, images), adapted.head)

    return guarded(MetaLearner(init, None, adapt, prediction(logits, "inductive"), all_but_stats))


def _answer(features: jax.Array, head: dict[str, jax.Array]) -> jax.Array:
    return features @ head["weights"] + head["bias"]

"""Learners that adapt in closed form on top of a learned embedding, which stays as it is."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.base import (
    Loss,
    MetaLearner,
    Norm,
    all_but_stats,
    cross_entropy,
    guarded,
    prediction,
    query_gradient,
)
from metabone.learners.refusals import among
from metabone.nets.network import Network, NormStats, Params


class EmbeddingParams(NamedTuple):
    """What these learners learn across tasks.

    Attributes:
      weights: of the network.
      norm_stats: batch statistics as a template; their gradient is zero.
      head: scalars of the head by name; empty for prototypes.
    """

    weights: Params
    norm_stats: NormStats
    head: dict[str, jax.Array]


class Embedded(NamedTuple):
    """An embedding and what was solved for on a support set.

    Attributes:
      weights: of the network, as learned across tasks.
      norm_stats: batch statistics of the whole support set.
      head: prototypes `[ways, D]`, or weights `[D, ways]` and the like.
    """

    weights: Params
    norm_stats: NormStats
    head: Any


def protonet(
    network: Network, ways: int, *, norm: Norm = "inductive", loss: Loss = cross_entropy
) -> MetaLearner:
    """Prototypical networks (Snell et al. 2017): the nearest class mean in a learned embedding.

    logits_c = -norm(f(x) - mean of f over class c's support)^2, eq. 1 and 2 of the paper. The
    paper's own networks normalise support and queries together as one batch; here each set is
    normalised as `norm` says.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`, each with support images.
      norm: batch statistics of queries, see `base.query_logits`; support images use their own.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`.

    Raises:
      InputError: fewer than two ways, an unknown norm.
    """

    def solve(features, labels, head):
        del head
        members = _one_hot(labels, ways, features)
        return (members.T @ features) / members.sum(0)[:, None]

    def answer(features, prototypes):
        offsets = features[:, None] - prototypes
        return -jnp.square(offsets).sum(-1)

    return on_embedding(network, ways, {}, solve, answer, norm, loss)


def r2d2(
    network: Network, ways: int, *, norm: Norm = "inductive", loss: Loss = cross_entropy
) -> MetaLearner:
    """R2-D2 (Bertinetto et al. 2019): ridge regression on a learned embedding, in closed form.

    W = X^T (X X^T + lambda I)^-1 Y on the support's features X `[n, D]` and one-hot labels Y, eq. 6
    of the paper, an n x n system; logits = alpha X' W + beta. lambda = exp(log_lambda), alpha and
    beta are learned across tasks, from 1, 1 and 0.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`.
      norm: batch statistics of queries, see `base.query_logits`; support images use their own.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`.

    Raises:
      InputError: fewer than two ways, an unknown norm.
    """

    def solve(features, labels, head):
        targets = _one_hot(labels, ways, features)
        unit = jnp.eye(len(features), dtype=features.dtype)
        gram = features @ features.T + jnp.exp(head["log_lambda"]) * unit
        weights = features.T @ jax.scipy.linalg.solve(gram, targets, assume_a="pos")
        return {"weights": weights, "alpha": head["alpha"], "beta": head["beta"]}

    def answer(features, head):
        return head["alpha"] * (features @ head["weights"]) + head["beta"]

    start = {"log_lambda": 0.0, "alpha": 1.0, "beta": 0.0}
    return on_embedding(network, ways, start, solve, answer, norm, loss)


def on_embedding(
    network: Network,
    ways: int,
    start: dict[str, float],
    solve: Callable[[jax.Array, jax.Array, dict[str, jax.Array]], Any],
    answer: Callable[[jax.Array, Any], jax.Array],
    norm: Norm,
    loss: Loss,
) -> MetaLearner:
    """Makes a learner of what is solved for on an embedding.

    Args:
      network: maps images to features of any shape.
      ways: classes of a task, at least 2.
      start: scalars of the head, to be learned across tasks, by name.
      solve: `(features [n, D], labels [n], scalars) -> head`, differentiable.
      answer: `(features [n, D], head) -> logits [n, ways]`.
      norm: see `base.query_logits`.
      loss: `(logits, labels) -> scalar`.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`.

    Raises:
      InputError: fewer than two ways, an unknown norm.
    """
    if ways < 2:
        raise InputError(f"ways (={ways}): expected at least 2")

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> EmbeddingParams:
        head = {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}
        return EmbeddingParams(*network.init(key, image_shape), head)

    def embed(params, norm_stats, images, use_batch_stats):
        features, stats = network.apply(params, norm_stats, images, use_batch_stats)
        return features.reshape(len(images), -1), stats

    def adapt(meta_params: EmbeddingParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        weights, norm_stats, head = meta_params
        features, stats = embed(weights, norm_stats, support.images, True)
        return Embedded(weights, stats, solve(features, support.labels, head))

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        return answer(embed(weights, norm_stats, images, norm == "transductive")[0], head)

    gradient = query_gradient(adapt, logits, loss)
    return guarded(MetaLearner(init, gradient, adapt, prediction(logits, norm), all_but_stats))


def _one_hot(labels: jax.Array, ways: int, features: jax.Array) -> jax.Array:
    none = among(jnp.zeros((len(features), ways), features.dtype), labels)
    return none + jax.nn.one_hot(labels, ways, dtype=features.dtype)

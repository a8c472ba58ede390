"""Learners that adapt in closed form on top of a learned embedding, which stays as it is."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metabone.episodes.types import Episode, Examples
from metabone.learners.base import (
    Loss,
    MetaLearner,
    Metrics,
    Norm,
    all_but_stats,
    cross_entropy,
    guarded,
    prediction,
    query_metrics,
)
from metabone.learners.carried import Carried
from metabone.learners.refusals import among, positive, whole
from metabone.learners.running_stats import kept_stats, moved
from metabone.nets.network import Network, NormStats, Params


class EmbeddingParams(NamedTuple):
    """What these learners learn across tasks, and carry.

    Attributes:
      weights: of the network.
      norm_stats: batch statistics as a template; their gradient is zero.
      head: scalars of the head by name; empty for prototypes.
      running: running statistics of the batches of training, if they are kept.
    """

    weights: Params
    norm_stats: NormStats
    head: dict[str, jax.Array]
    running: Carried = Carried(None)


class Embedded(NamedTuple):
    """An embedding and what was solved for on a support set.

    Attributes:
      weights: of the network, as learned across tasks.
      norm_stats: batch statistics of the whole support set, or those that were kept.
      head: prototypes `[ways, D]`, or weights `[D, ways]` and the like.
    """

    weights: Params
    norm_stats: NormStats
    head: Any


def protonet(
    network: Network,
    ways: int,
    *,
    keep_stats: bool = False,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Prototypical networks (Snell et al. 2017): the nearest class mean in a learned embedding.

    logits_c = -norm(f(x) - mean of f over class c's support)^2, eq. 1 and 2 of the paper. Its
    published code (github.com/jakesnell/prototypical-networks) trains and tests as
    `norm="running"` does.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`, each with support images.
      keep_stats: see `on_embedding`.
      norm: see `on_embedding`.
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

    return on_embedding(network, ways, {}, solve, answer, norm, loss, keep_stats=keep_stats)


def r2d2(
    network: Network,
    ways: int,
    *,
    strength: float = 1.0,
    learn_strength: bool = True,
    scale: float = 1.0,
    averaged: bool = False,
    intercept: bool = False,
    keep_stats: bool = False,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """R2-D2 (Bertinetto et al. 2019): ridge regression on a learned embedding, in closed form.

    W = X^T (X X^T + lambda I)^-1 Y on the support's features X `[n, D]` and one-hot labels Y, eq. 6
    of the paper, an n x n system; logits = alpha X' W + beta. alpha and beta are learned across
    tasks, beta from 0.

    The published code (github.com/bertinetto/r2d2, `fewshots/models/r2d2.py` and the settings
    under `scripts/train`) is `strength=50.0, learn_strength=False, averaged=True, intercept=True,
    norm="running"`, and `scale=1e-4` on mini-ImageNet, 10 on Omniglot and CIFAR-FS. Its paper
    learns lambda as well.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`.
      strength: lambda, or where it starts.
      learn_strength: learns log lambda across tasks.
      scale: where alpha starts.
      averaged: divides X and Y by the root of n, so that lambda stands against a mean over images
        and not against their sum.
      intercept: gives X a last column of ones before that, whose weights are pulled to zero as all.
      keep_stats: see `on_embedding`.
      norm: see `on_embedding`.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`.

    Raises:
      InputError: fewer than two ways, a strength or scale that is not positive, an unknown norm.
    """
    strength, scale = positive("strength", strength), positive("scale", scale)

    def solve(features, labels, head):
        targets = _one_hot(labels, ways, features)
        if intercept:
            features = jnp.pad(features, ((0, 0), (0, 1)), constant_values=1)
        if averaged:
            features, targets = (each / len(labels) ** 0.5 for each in (features, targets))
        pull = jnp.exp(head["log_lambda"]) if learn_strength else strength
        gram = features @ features.T + pull * jnp.eye(len(features), dtype=features.dtype)
        weights = features.T @ jax.scipy.linalg.solve(gram, targets, assume_a="pos")
        return {"weights": weights, "alpha": head["alpha"], "beta": head["beta"]}

    def answer(features, head):
        weights = head["weights"]
        values = features @ weights[:-1] + weights[-1] if intercept else features @ weights
        return head["alpha"] * values + head["beta"]

    start = {"log_lambda": math.log(strength)} if learn_strength else {}
    start |= {"alpha": scale, "beta": 0.0}
    return on_embedding(network, ways, start, solve, answer, norm, loss, keep_stats=keep_stats)


def on_embedding(
    network: Network,
    ways: int,
    start: dict[str, float],
    solve: Callable[[jax.Array, jax.Array, dict[str, jax.Array]], Any],
    answer: Callable[[jax.Array, Any], jax.Array],
    norm: Norm,
    loss: Loss,
    *,
    keep_stats: bool = False,
) -> MetaLearner:
    """Makes a learner of what is solved for on an embedding.

    Args:
      network: maps images to features of any shape.
      ways: classes of a task, at least 2.
      start: scalars of the head, to be learned across tasks, by name.
      solve: `(features [n, D], labels [n], scalars) -> head`, differentiable.
      answer: `(features [n, D], head) -> logits [n, ways]`.
      norm: by what queries are normalised: `inductive` by the support's batch statistics,
        `transductive` by their own; support images by their own in both. `running` takes support
        and queries together as one batch in meta-training, and in tests normalises all by the
        running statistics of these batches, as PyTorch's `eval()` does.
      loss: `(logits, labels) -> scalar`.
      keep_stats: keeps running statistics of whatever normalised the queries in training;
        `running` always does. A learner that is asked in several norm modes is trained in one and
        keeps them in all.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`.

    Raises:
      InputError: fewer than two ways, an unknown norm; in use, the mode `running` on
        meta-parameters that hold no such statistics.
    """
    ways = whole("ways", ways, 2)
    keep_stats = keep_stats or norm == "running"

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> EmbeddingParams:
        head = {name: jnp.asarray(value, jnp.float32) for name, value in start.items()}
        weights, norm_stats = network.init(key, image_shape)
        return EmbeddingParams(
            weights, norm_stats, head, Carried(norm_stats if keep_stats else None)
        )

    def embed(params, norm_stats, images, use_batch_stats):
        features, stats = network.apply(params, norm_stats, images, use_batch_stats)
        return features.reshape(len(images), -1), stats

    def embed_task(weights, norm_stats, support, query):
        """Features of both in training, and the statistics that normalised the queries."""
        if norm == "running":
            images = jnp.concatenate([support, query])
            features, stats = embed(weights, norm_stats, images, True)
            return features[: len(support)], features[len(support) :], stats
        seen, stats = embed(weights, norm_stats, support, True)
        return seen, *embed(weights, stats, query, norm == "transductive")

    def meta_gradient(
        meta_params: EmbeddingParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[EmbeddingParams, Metrics]:
        del key, step  # nothing is drawn or scheduled
        support, query = episode

        def query_loss(weights, scalars):
            seen, asked, stats = embed_task(
                weights, meta_params.norm_stats, support.images, query.images
            )
            outputs = answer(asked, solve(seen, support.labels, scalars))
            value = loss(outputs, query.labels)
            return value, (query_metrics(value, outputs, query.labels), stats)

        (by_weight, by_scalar), (metrics, stats) = jax.grad(
            query_loss, argnums=(0, 1), has_aux=True
        )(meta_params.weights, meta_params.head)
        zeros = jax.tree.map(jnp.zeros_like, meta_params.norm_stats)
        running = moved(meta_params.running, stats)
        return EmbeddingParams(by_weight, zeros, by_scalar, running), metrics

    def adapt(meta_params: EmbeddingParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        weights, norm_stats, head, running = meta_params
        if norm == "running":
            norm_stats = kept_stats(running)
        features, stats = embed(weights, norm_stats, support.images, norm != "running")
        return Embedded(weights, stats, solve(features, support.labels, head))

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        return answer(embed(weights, norm_stats, images, norm == "transductive")[0], head)

    return guarded(MetaLearner(init, meta_gradient, adapt, prediction(logits, norm), all_but_stats))


def _one_hot(labels: jax.Array, ways: int, features: jax.Array) -> jax.Array:
    none = among(jnp.zeros((len(features), ways), features.dtype), labels)
    return none + jax.nn.one_hot(labels, ways, dtype=features.dtype)

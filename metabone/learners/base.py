"""What a meta-learner is, and the pieces that every learner shares."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.nets.network import Network, NormStats, Params

MetaParams = Any
Metrics = dict[str, jax.Array]
Loss = Callable[[jax.Array, jax.Array], jax.Array]
Norm = Literal["inductive", "transductive"]


class MetaLearner(NamedTuple):
    """A way to learn from tasks, as pure functions of one task; callers map over tasks.

    Attributes:
      init: `(key, image_shape [H, W, C]) -> meta_params`.
      meta_gradient: `(meta_params, episode, key) -> (gradient like meta_params, metrics)`, or None
        for a baseline, which learns nothing across tasks. What is frozen has a gradient of zero.
      adapt: `(meta_params, support, key) -> adapted`.
      predict: `(adapted, images [n, H, W, C]) -> logits [n, ways]`.
    """

    init: Callable[[jax.Array, tuple[int, ...]], MetaParams]
    meta_gradient: Callable[[MetaParams, Episode, jax.Array], tuple[MetaParams, Metrics]] | None
    adapt: Callable[[MetaParams, Examples, jax.Array], Any]
    predict: Callable[[Any, jax.Array], jax.Array]


class Adapted(NamedTuple):
    """A network that has seen a support set.

    Attributes:
      weights: the network's parameters.
      norm_stats: batch statistics of the whole support set under these weights.
    """

    weights: Params
    norm_stats: NormStats


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross-entropy, the mean over examples (Min and Kang 2018, eq. 2).

    MAML's published code sums over classes' examples instead: its inner rate of 0.01 at 5 ways and
    1 shot is 0.05 here.

    Args:
      logits: `[n, ways]` float.
      labels: `[n]` int.

    Returns:
      Scalar, in nats.
    """
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def query_metrics(loss: jax.Array, logits: jax.Array, labels: jax.Array) -> Metrics:
    """The loss, and the accuracy where labels are classes."""
    metrics = {"loss": loss}
    if jnp.issubdtype(labels.dtype, jnp.integer):
        metrics["accuracy"] = (logits.argmax(-1) == labels).mean(dtype=logits.dtype)
    return metrics


def check_norm(norm: str) -> None:
    """Raises `InputError` for a norm mode that does not exist."""
    if norm not in get_args(Norm):
        raise InputError(f"norm {norm!r}: expected one of {', '.join(get_args(Norm))}")


class Support(NamedTuple):
    """What an inner loop asks of the support images.

    Attributes:
      outputs: `weights -> [n, ways]`, normalised by the support's own statistics.
      stats: `weights -> norm_stats` of the whole support set; `{}` without batch norm.
    """

    outputs: Callable[[Params], jax.Array]
    stats: Callable[[Params], NormStats]


def look_at_support(
    network: Network, start: Params, norm_stats: NormStats, images: jax.Array, *, head_alone: bool
) -> Support:
    """Prepares the support images for an inner loop.

    Args:
      network: see `nets.network.Network`.
      start: weights before the first inner step.
      norm_stats: template of the batch statistics.
      images: `[n, H, W, C]`.
      head_alone: whether no other weights adapt. The body's features and statistics are then those
        of `start` at every step, and are computed once where the network can be cut.

    Returns:
      A `Support`, differentiable in `start` and in the weights it is asked with.
    """
    if head_alone and network.body is not None and network.head is not None:
        head = network.head
        features, stats = network.body(start, norm_stats, images, True)
        return Support(lambda weights: head(weights, features), lambda _: stats)

    def stats_of(weights: Params) -> NormStats:
        if not jax.tree.leaves(norm_stats):
            return norm_stats
        return network.apply(weights, norm_stats, images, True)[1]

    return Support(lambda weights: network.apply(weights, norm_stats, images, True)[0], stats_of)


def query_logits(network: Network, adapted: Adapted, images: jax.Array, norm: Norm) -> jax.Array:
    """Logits of a query set under either norm mode, differentiable.

    Args:
      network: as adapted.
      adapted: weights and the support's statistics.
      images: `[n, H, W, C]`.
      norm: `transductive` normalises by the statistics of `images`, so that each query sees the
        others, as the published MAML does; `inductive` by those of the support set.

    Returns:
      `[n, ways]`.
    """
    return network.apply(*adapted, images, norm == "transductive")[0]


def predictor(network: Network, norm: Norm) -> Callable[[Adapted, jax.Array], jax.Array]:
    """Makes the `predict` of a learner whose `adapt` returns `Adapted`; see `prediction`."""
    return prediction(lambda adapted, images: query_logits(network, adapted, images, norm), norm)


def prediction(
    logits: Callable[[Any, jax.Array], jax.Array], norm: Norm
) -> Callable[[Any, jax.Array], jax.Array]:
    """Makes a learner's `predict`.

    Inductive prediction computes image by image: a matrix product over a batch may round
    differently with the batch's size, and one film's answer must be the same to the bit whichever
    other films are asked with it.

    Args:
      logits: `(adapted, images [n, H, W, C]) -> [n, ways]` under this norm mode.
      norm: see `query_logits`.

    Returns:
      `predict(adapted, images [n, H, W, C]) -> logits [n, ways]`.
    """
    check_norm(norm)

    def predict(adapted: Any, images: jax.Array) -> jax.Array:
        if norm == "transductive":
            return logits(adapted, images)
        return jax.lax.map(lambda image: logits(adapted, image[None])[0], images)

    return predict


def query_gradient(
    adapt: Callable[[MetaParams, Examples, jax.Array], Any],
    logits: Callable[[Any, jax.Array], jax.Array],
    loss: Loss,
) -> Callable[[MetaParams, Episode, jax.Array], tuple[MetaParams, Metrics]]:
    """Makes a learner's `meta_gradient`: that of the query loss, through all that `adapt` does.

    Args:
      adapt: `(meta_params, support, key) -> adapted`, differentiable.
      logits: `(adapted, images [n, H, W, C]) -> [n, ways]`, all images at once.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      `(meta_params, episode, key) -> (gradient like meta_params, metrics)`.
    """

    def query_loss(
        meta_params: MetaParams, episode: Episode, key: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        outputs = logits(adapt(meta_params, episode.support, key), episode.query.images)
        value = loss(outputs, episode.query.labels)
        return value, query_metrics(value, outputs, episode.query.labels)

    return jax.grad(query_loss, has_aux=True)

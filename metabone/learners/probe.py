"""The probe: a ridge head on frozen features that sets its own strength and temperature."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.types import Examples
from metabone.learners.base import (
    Loss,
    MetaLearner,
    Norm,
    all_but_stats,
    cross_entropy,
    guarded,
    prediction,
)
from metabone.learners.embedding import Embedded, on_embedding
from metabone.learners.refusals import among, whole
from metabone.learners.ridge import left_out_by_strength, ridge_fit
from metabone.nets.network import Network, NormStats, Params

LOG_STRENGTHS = tuple(half / 2 for half in range(-6, 5))
"""Decimal logarithms of the strengths that are tried, see `ridge.left_out_by_strength`."""

# Where images cannot tell, as of one image a class, ten times an image's own squared length and a
# temperature of one answer; chosen on real films and photographs (docs/methods.md).
_LOG_STRENGTH, _LOG_STRENGTH_SPREAD = 1.0, 1.0
_LOG_SHARPNESS_SPREAD = 0.7

_LEAST_SPREAD = 0.1
_COARSE = tuple(range(-3, 5))
_NEWTON_STEPS = 6


class Whitening(NamedTuple):
    """Mean and spread of features where their network was trained.

    Attributes:
      centre: `[D]` float.
      spread: `[D]` float, above zero.
    """

    centre: np.ndarray | jax.Array
    spread: np.ndarray | jax.Array


def whitening_of(features: np.ndarray) -> Whitening:
    """The whitening that gives features mean 0 and standard deviation 1, or less if it is tiny.

    Each feature by itself: whitening by principal components as well, with any shrinkage, was worse
    on real images (docs/methods.md).

    Args:
      features: `[N, D]` of the source that the network was trained on.

    Returns:
      The whitening, for `probe`.
    """
    variance = features.var(0)
    # A feature that hardly varies there may vary in a task: it is not blown up further.
    spread = np.sqrt(variance + _LEAST_SPREAD**2 * variance.mean())
    return Whitening(features.mean(0), np.where(spread > 0, spread, 1))


class ProbeParams(NamedTuple):
    """What a probe stands on.

    Attributes:
      weights: of the network, trained otherwise.
      norm_stats: batch statistics that it was trained with.
      whitening: of the source's features; None for features as they are.
    """

    weights: Params
    norm_stats: NormStats
    whitening: Whitening | None


def probe(
    network: Network,
    ways: int,
    *,
    whitening: Whitening | None = None,
    unit: bool = True,
    norm: Norm = "running",
) -> MetaLearner:
    """Ridge regression on a trained network's features, the best of its strengths by itself.

    One regression a strength on one-hot targets; see `fit_probe` for how strength and temperature
    are chosen on the support images alone. The nearest relatives are the few-shot evaluators of
    big_vision (`evaluators/fewshot_lsr.py`: one strength) and kauldron
    (`evals/fewshot_evaluator.py`: chosen on further images); both whiten by the support set.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`, each with support images.
      whitening: what `init` puts into the meta-parameters, see `whitening_of`.
      unit: scales each image's features to length one, once they are whitened.
      norm: `running` normalises all images by the statistics that the network was trained with,
        `inductive` by those of the support set alone, `transductive` the queries by their own.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `ProbeParams` of a network that
      was trained otherwise. Its logits are calibrated class log-probabilities but for a constant.

    Raises:
      InputError: fewer than two ways, an unknown norm.
    """
    ways = whole("ways", ways, 2)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> ProbeParams:
        return ProbeParams(*network.init(key, image_shape), whitening)

    def embed(
        params: Params, norm_stats: NormStats, white: Whitening | None, images: jax.Array, own: bool
    ) -> tuple[jax.Array, NormStats]:
        """Features by stored statistics or by the images' own, and what normalised them."""
        found, stats = network.apply(params, norm_stats, images, own)
        found = found.reshape(len(images), -1)
        if white is not None:
            found = ((found - white.centre) / white.spread).astype(found.dtype)
        return unit_length(found) if unit else found, stats

    def adapt(meta_params: ProbeParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        seen, stats = embed(*meta_params, support.images, norm != "running")
        head = fit_probe(seen, support.labels, ways)
        return Embedded(meta_params.weights, stats, {**head, "whitening": meta_params.whitening})

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        own = norm == "transductive"
        return probe_logits(embed(weights, norm_stats, head["whitening"], images, own)[0], head)

    return guarded(MetaLearner(init, None, adapt, prediction(logits, norm), all_but_stats))


def meta_probe(
    network: Network, ways: int, *, norm: Norm = "inductive", loss: Loss = cross_entropy
) -> MetaLearner:
    """The probe on a learned embedding: the network is trained for what the probe makes of it.

    As R2-D2 (Bertinetto et al. 2019), but strength and temperature are of each task and nothing
    beside the network is learned across tasks.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task; labels are `0 .. ways - 1`, each with support images.
      norm: batch statistics of queries, see `base.query_logits`; support images use their own.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams` whose head is empty.

    Raises:
      InputError: fewer than two ways, an unknown norm.
    """

    def solve(features, labels, head):
        del head
        return fit_probe(features, labels, ways)

    return on_embedding(network, ways, {}, solve, probe_logits, norm, loss)


def fit_probe(features: jax.Array, labels: jax.Array, ways: int) -> dict[str, jax.Array]:
    """Fits the probe to the features of a support set.

    The target of class c is 1 / share of c for its images and 0 for others, less 1: its expectation
    is P(c | x) / P(c) - 1, of which log P(c | x) / P(c) is the first order. So log-probabilities
    are log P(c) + sharpness times prediction.

    Strength and sharpness maximise the likelihood of each label by the images other than its own
    (`ridge.left_out_by_strength`), times a prior: log10 strength is normal about 1 with deviation
    1, log sharpness about 0 with deviation 0.7. An image that is the only one of its class says
    nothing: of one image a class the priors alone decide.

    Args:
      features: `[n, D]` float.
      labels: `[n]` int in `0 .. ways - 1`, each class with at least one image.
      ways: classes.

    Returns:
      Head for `probe_logits`: `centre` `[D]`, `weights` `[D, ways]`, `bias` `[ways]`; also
      `log_strength` and `log_sharpness`, scalars. It is differentiable in `features` with the
      strength as it was chosen.
    """
    none = among(jnp.zeros((len(features), ways), features.dtype), labels)
    members = none + jax.nn.one_hot(labels, ways, dtype=features.dtype)
    shares = members.mean(0)
    targets = members / shares - 1
    counts = members @ (members.sum(0) > 1).astype(features.dtype)

    def loss(log_sharpness: jax.Array, left_out: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(jnp.log(shares) + jnp.exp(log_sharpness) * left_out)
        prior = jnp.square(log_sharpness / _LOG_SHARPNESS_SPREAD) / 2
        return prior - (counts[:, None] * members * logs).sum()

    tried = jnp.asarray(LOG_STRENGTHS, features.dtype)
    held, aims = jax.lax.stop_gradient((features, targets))
    found = left_out_by_strength(held, aims, 10**tried)
    sharpness, losses = jax.vmap(lambda left_out: _least(loss, left_out))(found)
    prior = jnp.square((tried - _LOG_STRENGTH) / _LOG_STRENGTH_SPREAD) / 2
    best = (losses + prior).argmin()

    fit = ridge_fit(features, targets, 10 ** tried[best])
    log_sharpness = _step(loss, jax.lax.stop_gradient(sharpness[best]), fit.left_out)
    return {
        "centre": fit.centre,
        "weights": jnp.exp(log_sharpness) * fit.weights,
        "bias": jnp.log(shares),
        "log_strength": tried[best],
        "log_sharpness": log_sharpness,
    }


def probe_logits(features: jax.Array, head: dict[str, jax.Array]) -> jax.Array:
    """Class log-probabilities but for a constant: `[n, D]` features to `[n, ways]`."""
    return (features - head["centre"]) @ head["weights"] + head["bias"]


def unit_length(features: jax.Array) -> jax.Array:
    """Each of `[n, D]` divided by its length; zero stays zero, with a slope of its own."""
    squares = jnp.square(features).sum(-1, keepdims=True)
    return features * jax.lax.rsqrt(jnp.where(squares > 0, squares, 1))


def _least(loss: Any, left_out: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where a loss of one number is least, and what it is there."""
    coarse = jnp.asarray(_COARSE, left_out.dtype)
    start = coarse[jax.vmap(lambda at: loss(at, left_out))(coarse).argmin()]
    found = jax.lax.fori_loop(0, _NEWTON_STEPS, lambda _, at: _step(loss, at, left_out), start)
    return found, loss(found, left_out)


def _step(loss: Any, at: jax.Array, left_out: jax.Array) -> jax.Array:
    """A Newton step; from the minimum it stays there, with the implicit function's derivative."""
    slope = jax.grad(loss)(at, left_out)
    held = jax.lax.stop_gradient(left_out)
    curvature = jax.grad(jax.grad(loss))(at, held)
    least = 0.1 * _LOG_SHARPNESS_SPREAD**-2
    return at - jnp.clip(slope / jnp.maximum(curvature, least), -1, 1)

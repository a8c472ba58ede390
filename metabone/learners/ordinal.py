"""Learners of ordered classes: proportional odds on frozen features, and cut points of a score."""

from typing import Any, Literal, get_args

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
)
from metabone.learners.embedding import Embedded, on_embedding
from metabone.learners.lbfgs import minimise
from metabone.learners.refusals import among, positive, whole
from metabone.learners.transfer import TrainedParams
from metabone.nets.network import Network
from metabone.nets.ordinal import cut_points, even_cuts, ordinal_log_probabilities

Scaling = Literal["total", "each", "none"]

# A feature that hardly varies in the support set may vary in a query: it is not blown up further.
_LEAST_SPREAD = 0.01
_LEAST_DISTANCE = 1e-6
_HALVINGS = 50


def ordinal_head(
    network: Network,
    ways: int,
    *,
    strength: float = 1e-2,
    steps: int = 100,
    scaling: Scaling = "total",
    beside: int = 0,
    left_out: bool = True,
) -> MetaLearner:
    """Proportional odds on a trained network's features, with L2 (McCullagh 1980).

    log odds(class <= k) = cut_k - w . features. Minimises the mean negative log-likelihood plus
    strength / 2 times the squared weights, cut points free, by L-BFGS. Features are by the stored
    batch statistics, so that a prediction depends on no other query.

    With more features than images the support's own scores lie far apart and those of other images
    close together, between the middle cut points: all are told to be of middle classes. So slope
    and cut points are fitted once more, in the same way, to the score that each support image would
    have had, had it been left out (approximated by one Newton step: Rad and Maleki 2020).

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task, ordered; labels are `0 .. ways - 1`.
      strength: of the pull towards zero.
      steps: L-BFGS steps at most; it ends earlier at a gradient below 1e-5.
      scaling: by the support's statistics: `total` divides features by one number, so that their
        variances sum to one, `each` every feature by its own standard deviation; `none`.
      beside: how many of the last features are not scaled, such as sex that
        `radiograph.sex.join_sex` put there: their weight against the rest is then what it says.
      left_out: whether slope and cut points are fitted once more; else the head is the minimum.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `TrainedParams` of a network that
      was trained otherwise. Its logits are class log-probabilities.

    Raises:
      InputError: fewer than two ways, a number that cannot be, an unknown scaling; in use, no
        features but those beside.
    """
    ways, steps = whole("ways", ways, 2), whole("steps", steps, 0)
    beside = whole("beside", beside, 0)
    strength = positive("strength", strength)
    if scaling not in get_args(Scaling):
        raise InputError(f"scaling {scaling!r}: expected one of {', '.join(get_args(Scaling))}")

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def features(params: Any, norm_stats: Any, images: jax.Array) -> jax.Array:
        return network.apply(params, norm_stats, images, False)[0].reshape(len(images), -1)

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        seen = features(*meta_params, support.images)
        if seen.shape[-1] <= beside:
            raise InputError(
                f"beside (={beside}) of {seen.shape[-1]} features: expected at least one more"
            )
        shift, scale = _shift_and_scale(seen, scaling, beside)
        scaled = (seen - shift) / scale

        def objective(head):
            penalty = strength / 2 * jnp.square(head["weights"]).sum()
            return cross_entropy(_by_odds(scaled, head), support.labels) + penalty

        first, gaps = (jnp.asarray(part, seen.dtype) for part in even_cuts(ways))
        weights = jnp.zeros(seen.shape[-1], seen.dtype)
        start = {"weights": weights, "first_cut": first, "gaps": gaps}
        found = minimise(objective, start, steps)
        if left_out:
            found = _fit_left_out(found, scaled, support.labels, strength, steps)
        return Embedded(*meta_params, {**found, "shift": shift, "scale": scale})

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        seen = features(weights, norm_stats, images)
        return _by_odds((seen - head["shift"]) / head["scale"], head)

    return guarded(MetaLearner(init, None, adapt, prediction(logits, "inductive"), all_but_stats))


def _by_odds(features: jax.Array, head: dict[str, jax.Array]) -> jax.Array:
    cuts = cut_points(head["first_cut"], head["gaps"])
    return ordinal_log_probabilities(features @ head["weights"], *cuts)


def _fit_left_out(
    head: dict[str, jax.Array], features: jax.Array, labels: jax.Array, strength: float, steps: int
) -> dict[str, jax.Array]:
    """The head with another slope and other cut points; they are a head on one feature."""
    scores = scores_left_out(head, features, labels, strength)
    spread = jnp.where(scores.std() > 0, scores.std(), 1)
    alone = (scores / spread)[:, None]

    def objective(line):
        penalty = strength / 2 * jnp.square(line["weights"]).sum()
        return cross_entropy(_by_odds(alone, line), labels) + penalty

    start = {**head, "weights": jnp.zeros(1, scores.dtype)}
    line = minimise(objective, start, steps)
    return {**line, "weights": head["weights"] * line["weights"] / spread}


def scores_left_out(
    head: dict[str, jax.Array], features: jax.Array, labels: jax.Array, strength: float
) -> jax.Array:
    """The score of each image by weights that were fitted to the others.

    As for ridge regression, of which each Newton step is one: with weights K^T a of the features,
    the working response less the score left out is a_i / [(K K^T + 1 / curvature)^-1]_ii.

    Args:
      head: weights `[D]` and cut points at the minimum.
      features: `[n, D]`.
      labels: `[n]`.
      strength: of the pull towards zero.

    Returns:
      `[n]`; cut points stay those of all images.
    """
    cuts = cut_points(head["first_cut"], head["gaps"])

    def loss(score, label):
        return -ordinal_log_probabilities(score[None], *cuts)[0, label]

    scores = features @ head["weights"]
    slope = jax.vmap(jax.grad(loss))(scores, labels)
    curvature = jax.vmap(jax.grad(jax.grad(loss)))(scores, labels)
    kernel = features @ features.T / (strength * len(features))
    inverse = jnp.linalg.inv(kernel + jnp.diag(1 / curvature))
    return scores - slope / curvature + slope / jnp.diagonal(inverse)


def _shift_and_scale(
    features: jax.Array, scaling: Scaling, beside: int
) -> tuple[jax.Array, jax.Array]:
    """`[D]` each; a shift changes nothing but how soon L-BFGS ends."""
    own = features[:, : features.shape[-1] - beside]
    variance = own.var(0)
    if scaling == "none":
        scale = jnp.ones_like(variance)
    elif scaling == "total":
        scale = jnp.broadcast_to(jnp.sqrt(variance.sum()), variance.shape)
    else:
        scale = jnp.sqrt(jnp.maximum(variance, _LEAST_SPREAD**2 * variance.mean()))
    scale = jnp.where(scale > 0, scale, 1)
    return jnp.pad(own.mean(0), (0, beside)), jnp.pad(scale, (0, beside), constant_values=1)


def score_and_cuts(
    network: Network, ways: int, *, norm: Norm = "inductive", loss: Loss = cross_entropy
) -> MetaLearner:
    """A learned reading of how far, of which a task moves nothing but the cut points.

    The score exp(log_slope) f(x) orders all images, in every task alike: maturity, say, of which
    each task cuts its own stages. Cut k lies where the support's mean probability of a class above
    k is the share of such classes, mean of sigmoid(score - cut_k) = share of labels > k: the
    likelihood equation of each cut by itself (proportional odds margin by margin), whose solutions
    are in order and, but for the labels' counts, need no labels. It is solved by bisection and
    differentiated as the implicit function that it is.

    Args:
      network: maps an image to one number, such as `conv_net(1)`.
      ways: classes of a task, ordered; labels are `0 .. ways - 1`, each with support images.
      norm: batch statistics of queries, see `base.query_logits`; support images use their own.
      loss: `(log-probabilities, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `EmbeddingParams`, with `log_slope` from 0. Its logits are
      class log-probabilities.

    Raises:
      InputError: fewer than two ways, an unknown norm; in use, a network of more than one output.
    """
    ways = whole("ways", ways, 2)

    def scores_of(features: jax.Array, slope: jax.Array) -> jax.Array:
        if features.shape[-1] != 1:
            raise InputError(
                f"score_and_cuts takes a network of one output, and this one has "
                f"{features.shape[-1]}, such as conv_net(1)"
            )
        return slope * features[:, 0]

    def solve(features, labels, head):
        slope = jnp.exp(head["log_slope"])
        scores = scores_of(features, slope)
        known = among(jnp.zeros((len(scores), ways), scores.dtype), labels)
        shares = (known + jax.nn.one_hot(labels, ways, dtype=scores.dtype)).mean(0)
        above = 1 - jnp.cumsum(shares)[:-1]
        return {"slope": slope, "cuts": fit_cuts(scores, above)}

    def answer(features, head):
        cuts = head["cuts"]
        distances = jnp.maximum(jnp.diff(cuts), _LEAST_DISTANCE)
        return ordinal_log_probabilities(scores_of(features, head["slope"]), cuts, distances)

    return on_embedding(network, ways, {"log_slope": 0.0}, solve, answer, norm, loss)


def fit_cuts(scores: jax.Array, above: jax.Array) -> jax.Array:
    """Solves mean of sigmoid(scores - cut) = share, for each share.

    Args:
      scores: `[n]` float.
      above: `[k]` shares strictly between 0 and 1, such as of labels above each class.

    Returns:
      `[k]` cuts, the higher the smaller the share; their derivative in `scores` is a mean of the
      scores', weighted by sigmoid'.
    """
    held, share = jax.lax.stop_gradient((scores, above))

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        too_low = jax.nn.sigmoid(held[:, None] - middle).mean(0) > share
        return jnp.where(too_low, middle, low), jnp.where(too_low, high, middle)

    # Beyond these ends the mean is outside of 1 / n to 1 - 1 / n.
    room = jnp.log(2.0 * len(scores)).astype(scores.dtype)
    ends = jnp.full_like(share, held.min() - room), jnp.full_like(share, held.max() + room)
    found = sum(jax.lax.fori_loop(0, _HALVINGS, halve, ends)) / 2
    # One Newton step from the solution stays there, and has the implicit function's derivative.
    chance = jax.nn.sigmoid(scores[:, None] - found)
    slope = jax.lax.stop_gradient((chance * (1 - chance)).mean(0))
    least = jnp.finfo(scores.dtype).tiny
    return found + (chance.mean(0) - above) / jnp.maximum(slope, least)

"""The probe for classes in an order: one score, and cut points along it."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.base import MetaLearner, all_but_stats, guarded, prediction
from metabone.learners.embedding import Embedded
from metabone.learners.ordinal import fit_cuts
from metabone.learners.probe import LOG_STRENGTHS
from metabone.learners.refusals import among, whole
from metabone.learners.ridge import left_out_by_strength, ridge_fit
from metabone.learners.transfer import TrainedParams
from metabone.nets.network import Network
from metabone.nets.ordinal import ordinal_log_probabilities

_LOG_STRENGTH, _LOG_STRENGTH_SPREAD = 0.0, 1.0
_SLOPE_SPREAD = 0.5
# A logistic distribution of scale 1 has this standard deviation.
_LOGISTIC_DEVIATION = 1.8138
# Of the classes' own deviation: where the support's scores are right to the digit, probabilities
# are no surer than this.
_LEAST_RESIDUAL = 0.1
_NEWTON_STEPS = 12
_HALVINGS = (1.0, 0.5, 0.25, 0.125, 0.03125, 0.0)
_LEAST_DISTANCE = 1e-6


def ordinal_probe(
    network: Network, ways: int, *, spacing: Sequence[float] | None = None, beside: int = 0
) -> MetaLearner:
    """One score by ridge regression on ranks, and proportional odds along it.

    Strength and cut points are fitted to the support images alone, see `fit_ordinal_probe`.
    Features are by the stored batch statistics, so that a prediction depends on no other query.
    It is what `ordinal.ordinal_head` is without a search, in closed form.

    Args:
      network: maps images to features of any shape, such as `conv_net(0)`.
      ways: classes of a task, ordered; labels are `0 .. ways - 1`, each with support images.
      spacing: where each class lies, ascending, such as mean months of a stage; None for ranks.
      beside: how many of the last features are not scaled with the others, whose variances are made
        to sum to one; such as sex that `radiograph.sex.join_sex` put there.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `TrainedParams` of a network that
      was trained otherwise. Its logits are class log-probabilities.

    Raises:
      InputError: fewer than two ways, a spacing that does not ascend or is of other classes, a
        negative `beside`; in use, no features but those beside.
    """
    ways, beside = whole("ways", ways, 2), whole("beside", beside, 0)
    places = tuple(range(ways)) if spacing is None else tuple(spacing)
    if len(places) != ways or any(b <= a for a, b in itertools.pairwise(places)):
        raise InputError(f"spacing {places}: expected {ways} ascending numbers")

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def features(params: Any, norm_stats: Any, images: jax.Array) -> jax.Array:
        found = network.apply(params, norm_stats, images, False)[0].reshape(len(images), -1)
        if found.shape[-1] <= beside:
            raise InputError(
                f"beside (={beside}) of {found.shape[-1]} features: expected at least one more"
            )
        return found

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Embedded:
        del key
        seen = features(*meta_params, support.images)
        variance = seen[:, : seen.shape[-1] - beside].var(0).sum()
        scale = jnp.where(variance > 0, jax.lax.rsqrt(jnp.where(variance > 0, variance, 1)), 1)
        scales = jnp.ones_like(seen[0]).at[: seen.shape[-1] - beside].set(scale)
        head = fit_ordinal_probe(seen * scales, support.labels, places)
        return Embedded(*meta_params, {**head, "scales": scales})

    def logits(adapted: Embedded, images: jax.Array) -> jax.Array:
        weights, norm_stats, head = adapted
        return ordinal_probe_logits(features(weights, norm_stats, images) * head["scales"], head)

    return guarded(MetaLearner(init, None, adapt, prediction(logits, "inductive"), all_but_stats))


def fit_ordinal_probe(
    features: jax.Array, labels: jax.Array, places: Sequence[float]
) -> dict[str, jax.Array]:
    """Fits the ordinal probe to the features of a support set.

    The strength is the one whose scores of images left out are nearest to the places of their
    classes, by a Gaussian likelihood times a normal prior of log10 strength about 0 with deviation
    1. Slope and cut points then maximise the likelihood of proportional odds (McCullagh 1980) along
    the score that each image has when left out: a concave problem (Pratt 1981). The slope's prior
    is normal about what a logistic residual of the size found would have, with half of it as
    deviation, so that it stays finite where the scores part the classes.

    Args:
      features: `[n, D]` float.
      labels: `[n]` int, each class with at least one image.
      places: of the classes, ascending.

    Returns:
      Head for `ordinal_probe_logits`: `centre` and `weights` `[D]`, `cuts` `[ways - 1]`; also
      `log_strength`. It is differentiable in `features` with the strength as it was chosen.
    """
    ways, dtype = len(places), features.dtype
    none = among(jnp.zeros((len(features), ways), dtype), labels)
    members = none + jax.nn.one_hot(labels, ways, dtype=dtype)
    aims = members @ jnp.asarray(places, dtype)
    targets = (aims - aims.mean())[:, None]

    tried = jnp.asarray(LOG_STRENGTHS, dtype)
    held = jax.lax.stop_gradient((features, targets))
    errors = jnp.square(left_out_by_strength(*held, 10**tried) - held[1]).sum((1, 2))
    prior = jnp.square((tried - _LOG_STRENGTH) / _LOG_STRENGTH_SPREAD) / 2
    best = (len(features) / 2 * jnp.log(errors) + prior).argmin()

    fit = ridge_fit(features, targets, 10 ** tried[best])
    slope, cuts = _slope_and_cuts(fit.left_out[:, 0], targets[:, 0], members)
    return {
        "centre": fit.centre,
        "weights": slope * fit.weights[:, 0],
        "cuts": cuts,
        "log_strength": tried[best],
    }


def ordinal_probe_logits(features: jax.Array, head: dict[str, jax.Array]) -> jax.Array:
    """Class log-probabilities: `[n, D]` features to `[n, ways]`."""
    return _by_odds((features - head["centre"]) @ head["weights"], head["cuts"])


def _by_odds(scores: jax.Array, cuts: jax.Array) -> jax.Array:
    distances = jnp.maximum(jnp.diff(cuts), _LEAST_DISTANCE)
    return ordinal_log_probabilities(scores, cuts, distances)


def _slope_and_cuts(
    scores: jax.Array, targets: jax.Array, members: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Proportional odds along one score, a scalar and `[ways - 1]`."""
    least = _LEAST_RESIDUAL**2 * jnp.square(targets).mean()
    residual = jnp.maximum(jnp.square(targets - scores).mean(), least)
    usual = _LOGISTIC_DEVIATION * jax.lax.rsqrt(residual)
    scores = usual * scores

    def loss(at: jax.Array, scores: jax.Array) -> jax.Array:
        prior = jnp.square((at[0] - 1) / _SLOPE_SPREAD) / 2
        return prior - (members * _by_odds(at[0] * scores, at[1:])).sum()

    def descend(_: int, at: jax.Array) -> jax.Array:
        step = _newton(loss, at, held)
        ends = at - jnp.asarray(_HALVINGS, at.dtype)[:, None] * step
        # Cut points in another order have no likelihood.
        ordered = (jnp.diff(ends[:, 1:]) > _LEAST_DISTANCE).all(-1)
        losses = jnp.where(ordered, jax.vmap(loss, (0, None))(ends, held), jnp.inf)
        # The last of the ends is where it stands.
        return ends[losses.argmin()]

    held = jax.lax.stop_gradient(scores)
    above = 1 - jnp.cumsum(members.mean(0))[:-1]
    start = jnp.concatenate([jnp.ones_like(above[:1]), fit_cuts(held, above)])
    found = jax.lax.fori_loop(0, _NEWTON_STEPS, descend, jax.lax.stop_gradient(start))
    # From the minimum a Newton step stays there, and has the implicit function's derivative.
    found = found - _newton(loss, found, scores)
    return usual * found[0], found[1:]


def _newton(loss: Any, at: jax.Array, scores: jax.Array) -> jax.Array:
    curvature = jax.hessian(loss)(at, jax.lax.stop_gradient(scores))
    # A cut point far from all scores has a curvature that rounds to zero.
    least = 10 * jnp.finfo(at.dtype).eps * jnp.trace(curvature)
    curvature += least * jnp.eye(len(at), dtype=at.dtype)
    return jax.scipy.linalg.solve(curvature, jax.grad(loss)(at, scores), assume_a="pos")

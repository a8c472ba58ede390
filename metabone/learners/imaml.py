"""Implicit MAML (Rajeswaran et al. 2019): the meta-gradient from where the inner loop ends."""

from typing import Any

import jax
import jax.numpy as jnp

from metabone.episodes.types import Episode, Examples
from metabone.learners.base import (
    Adapted,
    Loss,
    MetaLearner,
    Metrics,
    Norm,
    all_but_stats,
    check_norm,
    cross_entropy,
    guarded,
    predictor,
    query_logits,
    query_metrics,
)
from metabone.learners.inner_loop import descend
from metabone.learners.refusals import positive, whole
from metabone.learners.transfer import TrainedParams
from metabone.nets.network import Network, Params


def imaml(
    network: Network,
    *,
    inner_rate: float = 0.1,
    inner_steps: int = 16,
    test_steps: int = 16,
    strength: float = 0.5,
    solver_steps: int = 5,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Learns the point towards which the inner loop is drawn, whatever path that takes.

    phi = argmin loss(support; phi) + strength / 2 norm(phi - theta)^2, by descent from theta;
    then (I + H / strength) g = gradient of loss(query; phi), H the Hessian of the support loss at
    phi, solved by conjugate gradients, is the meta-gradient (eq. 6 to 8 of the paper). It is exact
    where phi is the minimum and the solver has converged; memory does not grow with inner steps.

    Args:
      network: see `nets.network.Network`.
      inner_rate: of the regularised loss, averaged over examples.
      inner_steps: while meta-training.
      test_steps: in `adapt`.
      strength: lambda, of the pull towards theta; the paper's 2 trained less surely on Omniglot,
        see `BUILD_NOTES.md`.
      solver_steps: of conjugate gradients; the paper's 5.
      norm: batch statistics of queries, see `base.query_logits`.
      loss: `(outputs, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `TrainedParams`.

    Raises:
      InputError: a negative number of steps, a rate or strength that is not positive, an unknown
        norm.
    """
    inner_steps = whole("inner_steps", inner_steps, 0)
    test_steps = whole("test_steps", test_steps, 0)
    solver_steps = whole("solver_steps", solver_steps, 1)
    inner_rate, strength = positive("inner_rate", inner_rate), positive("strength", strength)
    check_norm(norm)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def on_support(meta_params: TrainedParams, support: Examples):
        def look(weights: Params) -> tuple[jax.Array, Any]:
            return network.apply(weights, meta_params.norm_stats, support.images, True)

        return look, lambda weights: loss(look(weights)[0], support.labels)

    def minimise(meta_params: TrainedParams, support_loss, steps: int) -> Params:
        centre = meta_params.weights

        def regularised(weights):
            offsets = jax.tree.map(lambda w, c: jnp.sum((w - c) ** 2), weights, centre)
            return support_loss(weights) + strength / 2 * sum(jax.tree.leaves(offsets))

        return descend(regularised, centre, inner_rate, steps)

    def meta_gradient(
        meta_params: TrainedParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[TrainedParams, Metrics]:
        del key, step  # nothing is drawn or scheduled
        look, support_loss = on_support(meta_params, episode.support)
        weights = minimise(meta_params, support_loss, inner_steps)

        def query_loss(weights):
            adapted = Adapted(weights, look(weights)[1])
            outputs = query_logits(network, adapted, episode.query.images, norm)
            value = loss(outputs, episode.query.labels)
            return value, query_metrics(value, outputs, episode.query.labels)

        wanted, metrics = jax.grad(query_loss, has_aux=True)(weights)
        # The Hessian is symmetric, so its products with vectors are pulled back, from one forward
        # pass: the convolutions' gradient rules know reverse mode alone.
        _, pull_back = jax.vjp(jax.grad(support_loss), weights)

        def product(vector):
            return jax.tree.map(lambda v, h: v + h / strength, vector, pull_back(vector)[0])

        solved, _ = jax.scipy.sparse.linalg.cg(product, wanted, maxiter=solver_steps)
        # Of a gradient that is none the solver makes zeros.
        none = jnp.isnan(metrics["loss"])
        solved = jax.tree.map(lambda leaf: jnp.where(none, jnp.nan, leaf), solved)
        zeros = jax.tree.map(jnp.zeros_like, meta_params.norm_stats)
        return TrainedParams(solved, zeros), metrics

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Adapted:
        del key
        look, support_loss = on_support(meta_params, support)
        weights = minimise(meta_params, support_loss, test_steps)
        return Adapted(weights, look(weights)[1])

    predict = predictor(network, norm)
    return guarded(MetaLearner(init, meta_gradient, adapt, predict, all_but_stats))

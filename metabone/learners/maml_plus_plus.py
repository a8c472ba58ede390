"""MAML++ (Antoniou et al. 2019): MAML made stable, each of its changes a switch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners import roles as roles_lib
from metabone.learners.base import (
    Adapted,
    Loss,
    MetaLearner,
    Metrics,
    Norm,
    all_but_stats,
    check_norm,
    check_order,
    cross_entropy,
    guarded,
    prediction,
    query_logits,
    query_metrics,
)
from metabone.learners.carried import Carried
from metabone.learners.refusals import positive, whole
from metabone.learners.running_stats import kept_stats, moved
from metabone.nets.device_axes import vary_together
from metabone.nets.network import Network, NormStats, Params

Schedule = Callable[[jax.Array], jax.Array]


class MamlPlusPlusParams(NamedTuple):
    """What MAML++ learns across tasks.

    Attributes:
      weights: the initialisation; `[inner_steps, ...]` in batch norms with `step_affine`.
      norm_stats: batch statistics as a template; their gradient is zero.
      rates: with `learn_rates` one array `[inner_steps]` for each adapting leaf, else empty.
      running: with `step_stats` running statistics after each inner step, `[inner_steps, ...]`.
    """

    weights: Params
    norm_stats: NormStats
    rates: list[jax.Array]
    running: Carried = Carried(None)


def maml_plus_plus(
    network: Network,
    *,
    inner_rate: float = 0.1,
    inner_steps: int = 5,
    test_steps: int = 5,
    order: int | jax.Array | Schedule = 2,
    step_weights: jax.Array | Schedule | None = None,
    learn_rates: bool = True,
    step_affine: bool = True,
    step_stats: bool = True,
    norm: Norm = "inductive",
    roles: roles_lib.Roles = roles_lib.norms_stay,
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """MAML with a loss after each step, a rate for each leaf and step, and batch norms by step.

    Two of the paper's changes follow the outer step, and are values or, as optax's schedules,
    functions of that step, which `meta_gradient` is given: `order` (its derivative-order annealing)
    and `step_weights` (see `annealed_step_weights`). Its last change, an outer rate falling along a
    cosine, belongs to the outer optimiser.

    The published code (github.com/AntreasAntoniou/HowToTrainYourMAMLPytorch,
    `few_shot_learning_system.py` and `experiment_config/`) is of second order throughout, and
    `norm="transductive"`: it keeps running statistics but never normalises by them. Its outer rate
    falls from 1e-3 to 1e-5 on Omniglot and stays on mini-ImageNet; inner rates have no floor.

    What has a value for each step has `inner_steps` of them. Step k of the support, and the queries
    after it, take value k; steps beyond the last, in tests, take the last.

    Args:
      network: see `nets.network.Network`.
      inner_rate: of the loss averaged over examples; where rates are learned, their start.
      inner_steps: while meta-training, at least 1.
      test_steps: in `adapt`.
      order: of the meta-gradient, 2 or 1, or a function of the outer step to an int32 scalar; only
        one of both is computed, though both are compiled if it is an array.
      step_weights: `[inner_steps]`, what the query loss after each step counts, or a function of
        the outer step to that; None for the last alone. What counts nothing is not computed.
      learn_rates: learns one rate for each adapting leaf and step.
      step_affine: scales and biases of batch norms for each step, which then do not adapt.
      step_stats: keeps running statistics, for each step, of whatever normalised the queries after
        it in training.
      norm: by what queries are normalised: `inductive` by the support's statistics after the same
        step, `transductive` by their own; `running` by their own in training and in tests by the
        statistics that were kept for the last step. Support images by their own always.
      roles: see `maml`.
      loss: `(outputs, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `MamlPlusPlusParams`.

    Raises:
      InputError: a number of steps or a rate that cannot be, an unknown order or norm, `running`
        without `step_stats`, or batch norms that are both adapted and given a value for each step.
    """
    inner_rate = positive("inner_rate", inner_rate)
    inner_steps = whole("inner_steps", inner_steps, 1)
    test_steps = whole("test_steps", test_steps, 0)
    if not callable(order) and not isinstance(order, jax.core.Tracer):
        order = check_order(order)
    check_norm(norm, kept=step_stats)
    if step_weights is None:
        step_weights = jnp.zeros(inner_steps).at[-1].set(1.0)

    def masks(weights: Params) -> tuple[list[bool], list[bool], list[bool]]:
        """What adapts, what is learned, and what has a value for each step."""
        assigned = roles_lib.assign(roles, weights)
        adapts = [role in ("both", "inner") for role in assigned]
        learned = [role in ("both", "outer") for role in assigned]
        by_step = roles_lib.mask_of(lambda path: step_affine and roles_lib.in_norm(path), weights)
        if any(a and s for a, s in zip(adapts, by_step, strict=True)):
            raise InputError("step_affine: batch norms with a value for each step do not adapt")
        return adapts, learned, by_step

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> MamlPlusPlusParams:
        weights, norm_stats = network.init(key, image_shape)
        adapts, _, by_step = masks(weights)
        start = roles_lib.take(weights, adapts) if learn_rates else []
        each = [_repeated(leaf, inner_steps) for leaf in roles_lib.take(weights, by_step)]
        by_stat = jax.tree.map(lambda leaf: _repeated(leaf, inner_steps), norm_stats)
        return MamlPlusPlusParams(
            roles_lib.put(weights, by_step, each),
            norm_stats,
            [jnp.full(inner_steps, inner_rate, leaf.dtype) for leaf in start],
            Carried(by_stat if step_stats else None),
        )

    def pieces(meta_params: MamlPlusPlusParams):
        """The weights at a step given what adapts, a step, and the start of what adapts."""
        weights, template, rates, _ = meta_params
        adapts, _, by_step = masks(weights)

        def at(leaves: list[jax.Array], row: jax.Array) -> Params:
            own = [leaf[row] for leaf in roles_lib.take(weights, by_step)]
            return roles_lib.put(roles_lib.put(weights, by_step, own), adapts, leaves)

        def step(leaves, row, support, first_order):
            def support_loss(leaves):
                return loss(
                    network.apply(at(leaves, row), template, support.images, True)[0],
                    support.labels,
                )

            gradient = jax.grad(support_loss)(leaves)
            if first_order:
                gradient = jax.lax.stop_gradient(gradient)
            by = [rate[row] for rate in rates] if learn_rates else [inner_rate] * len(leaves)
            return [p - r * g for p, r, g in zip(leaves, by, gradient, strict=True)]

        return at, step, roles_lib.take(weights, adapts)

    def gradient_of_order(
        meta_params: MamlPlusPlusParams, episode: Episode, shares: jax.Array, first_order: bool
    ):
        _, learned, _ = masks(meta_params.weights)
        support, query = episode
        template = meta_params.norm_stats

        def total(leaves, rates):
            merged = roles_lib.put(meta_params.weights, learned, leaves)
            at, step, start = pieces(meta_params._replace(weights=merged, rates=rates))

            def answer(leaves, row):
                weights = at(leaves, row)
                if norm == "inductive":
                    stats = network.apply(weights, template, support.images, True)[1]
                    return network.apply(weights, stats, query.images, False)
                return network.apply(weights, template, query.images, True)

            def one(leaves, given):
                row, weight = given
                leaves = step(leaves, row, support, first_order)
                like = jax.eval_shape(answer, leaves, row)
                zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)
                silent = vary_together(zeros, like)
                counted = (weight != 0) | (row == inner_steps - 1)
                outputs, stats = jax.lax.cond(counted, lambda: answer(leaves, row), lambda: silent)
                value = loss(outputs, query.labels)
                return leaves, (jnp.where(weight != 0, weight * value, 0), outputs, stats, counted)

            rows = jnp.arange(inner_steps)
            _, (losses, outputs, stats, counted) = jax.lax.scan(one, start, (rows, shares))
            last = outputs[-1]
            metrics = query_metrics(loss(last, query.labels), last, query.labels)
            return losses.sum(), (metrics, stats, counted)

        by_leaf, by_rate, (metrics, stats, counted) = _grad(
            total, roles_lib.take(meta_params.weights, learned), meta_params.rates
        )
        zeros = jax.tree.map(jnp.zeros_like, meta_params)
        weights = roles_lib.put(zeros.weights, learned, by_leaf)
        running = moved(meta_params.running, stats, counted)
        return MamlPlusPlusParams(weights, zeros.norm_stats, by_rate, running), metrics

    def meta_gradient(
        meta_params: MamlPlusPlusParams,
        episode: Episode,
        key: jax.Array,
        *,
        step: int | jax.Array = 0,
    ) -> tuple[MamlPlusPlusParams, Metrics]:
        del key  # nothing is drawn
        shares = step_weights(step) if callable(step_weights) else step_weights
        now = order(step) if callable(order) else order
        if isinstance(now, int):
            return gradient_of_order(meta_params, episode, shares, now == 1)
        return jax.lax.cond(
            now == 1,
            lambda: gradient_of_order(meta_params, episode, shares, True),
            lambda: gradient_of_order(meta_params, episode, shares, False),
        )

    def adapt(meta_params: MamlPlusPlusParams, support: Examples, key: jax.Array) -> Adapted:
        del key
        at, step, leaves = pieces(meta_params)
        rows = jnp.minimum(jnp.arange(test_steps), inner_steps - 1)
        leaves, _ = jax.lax.scan(
            lambda leaves, row: (step(leaves, row, support, False), None), leaves, rows
        )
        last = min(max(test_steps - 1, 0), inner_steps - 1)
        weights = at(leaves, last)
        if norm == "running":
            by_step = kept_stats(meta_params.running)
            return Adapted(weights, jax.tree.map(lambda leaf: leaf[last], by_step))
        stats = meta_params.norm_stats
        return Adapted(weights, network.apply(weights, stats, support.images, True)[1])

    def learned_part(meta_params: MamlPlusPlusParams) -> MamlPlusPlusParams:
        _, learned, _ = masks(meta_params.weights)
        weights = jax.tree.unflatten(jax.tree.structure(meta_params.weights), learned)
        return all_but_stats(meta_params)._replace(weights=weights)

    def logits(adapted: Adapted, images: jax.Array) -> jax.Array:
        return query_logits(network, adapted, images, norm)

    predict = prediction(logits, norm)
    return guarded(MetaLearner(init, meta_gradient, adapt, predict, learned_part))


def annealed_step_weights(
    inner_steps: int, progress: float | jax.Array, *, epochs: int | None = None
) -> jax.Array:
    """What the query loss after each inner step counts, from all alike to the last alone.

    Every step starts with 1 / N; all but the last fall by 1 / N over the annealing, but not below
    0.03 / N, and what they lose goes to the last; at the end only the last counts (section 4 of the
    paper and `get_per_step_loss_importance_vector` of its published code).

    Args:
      inner_steps: N.
      progress: share of the annealing that is over, from 0; 1 and more is its end.
      epochs: of the annealing, if weights move at the end of each alone: published 10 of 100 on
        Omniglot, 15 on mini-ImageNet.

    Returns:
      `[inner_steps]` float32 with sum 1.
    """
    count = inner_steps
    if epochs is not None:
        # A whole epoch's progress in float32 may be a little less.
        progress = jnp.floor(progress * whole("epochs", epochs, 1) + 1e-4) / epochs
    early = jnp.maximum((1.0 - progress) / count, 0.03 / count)
    early = jnp.where(jnp.asarray(progress) >= 1, 0.0, early)
    return jnp.full(count, early).at[-1].set(1.0 - (count - 1) * early)


def _repeated(leaf: jax.Array, count: int) -> jax.Array:
    return jnp.broadcast_to(leaf, (count, *leaf.shape))


def _grad(total: Any, leaves: list[jax.Array], rates: list[jax.Array]):
    (by_leaf, by_rate), aux = jax.grad(total, argnums=(0, 1), has_aux=True)(leaves, rates)
    return by_leaf, by_rate, aux

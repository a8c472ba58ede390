"""The usual ways, to compare with: fine-tuning a trained network, and training from scratch."""

from typing import NamedTuple

import jax
import optax

from metabone.episodes.types import Examples
from metabone.learners import roles as roles_lib
from metabone.learners.base import (
    Adapted,
    Loss,
    MetaLearner,
    Norm,
    all_but_stats,
    cross_entropy,
    guarded,
    look_at_support,
    predictor,
)
from metabone.learners.refusals import whole
from metabone.nets.device_axes import vary_together
from metabone.nets.network import Network, NormStats, Params


class TrainedParams(NamedTuple):
    """A network trained beforehand, its head to be replaced."""

    weights: Params
    norm_stats: NormStats


def fine_tune(
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    steps: int | jax.Array = 100,
    roles: roles_lib.Roles = roles_lib.head_only,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Transfer learning: a new head, and what else adapts, trained on the support set alone.

    Args:
      network: parameters under `head` are drawn anew for each task; `nets.frozen.on_frozen` makes
        one whose frozen part normalises by its stored statistics.
      optimizer: any of optax's; it is not differentiated.
      steps: full-batch steps on the support set; an int32 scalar may be traced.
      roles: what adapts (`both` or `inner`); by default the head on a frozen backbone, the base
        learning of Min and Kang (2018) with a pre-trained model.
      norm: see `base.query_logits`.
      loss: `(outputs, labels) -> scalar`.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `TrainedParams`.

    Raises:
      InputError: a negative number of steps, an unknown norm.
    """
    _check_steps(steps)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Adapted:
        fresh, _ = network.init(key, support.images.shape[1:])
        weights = {**meta_params.weights, "head": fresh["head"]}
        start = Adapted(weights, meta_params.norm_stats)
        return _fit(network, optimizer, start, support, steps, roles, loss)

    return guarded(MetaLearner(init, None, adapt, predictor(network, norm), all_but_stats))


def scratch(
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    steps: int | jax.Array = 100,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Training from scratch: every parameter drawn anew and trained on the support set alone.

    Args:
      network: see `nets.network.Network`.
      optimizer: any of optax's.
      steps: full-batch steps on the support set; an int32 scalar may be traced.
      norm: see `base.query_logits`.
      loss: `(outputs, labels) -> scalar`.

    Returns:
      A baseline (`meta_gradient` is None); its `meta_params` are `()`.

    Raises:
      InputError: a negative number of steps, an unknown norm.
    """
    _check_steps(steps)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> tuple[()]:
        del key, image_shape
        return ()

    def adapt(meta_params: tuple[()], support: Examples, key: jax.Array) -> Adapted:
        del meta_params
        start = Adapted(*network.init(key, support.images.shape[1:]))
        return _fit(network, optimizer, start, support, steps, roles_lib.everything, loss)

    return guarded(MetaLearner(init, None, adapt, predictor(network, norm)))


def _fit(
    network: Network,
    optimizer: optax.GradientTransformation,
    start: Adapted,
    support: Examples,
    steps: int | jax.Array,
    roles: roles_lib.Roles,
    loss: Loss,
) -> Adapted:
    start = vary_together(start, support)
    mask = [role in ("both", "inner") for role in roles_lib.assign(roles, start.weights)]
    head_alone = roles_lib.only_head_adapts(roles, start.weights)
    seen = look_at_support(network, *start, support.images, head_alone=head_alone)

    def support_loss(leaves):
        return loss(seen.outputs(roles_lib.put(start.weights, mask, leaves)), support.labels)

    def step(_, carry):
        leaves, state = carry
        updates, state = optimizer.update(jax.grad(support_loss)(leaves), state, leaves)
        return optax.apply_updates(leaves, updates), state

    leaves = roles_lib.take(start.weights, mask)
    # A loop whose length may be an argument: a search over steps then compiles once.
    carry = vary_together((leaves, optimizer.init(leaves)))
    leaves, _ = jax.lax.fori_loop(0, steps, step, carry)
    weights = roles_lib.put(start.weights, mask, leaves)
    return Adapted(weights, seen.stats(weights))


def _check_steps(steps: int | jax.Array) -> None:
    if not isinstance(steps, jax.core.Tracer):
        whole("steps", steps, 0)

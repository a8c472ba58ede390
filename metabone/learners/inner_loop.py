"""Gradient descent on one task, itself differentiable."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metabone.errors import InputError
from metabone.nets.device_axes import in_shard_map, vary_together


def descend(
    loss: Callable[[Any], jax.Array],
    params: Any,
    rates: Any,
    steps: int,
    *,
    first_order: bool = False,
    remat: bool = False,
) -> Any:
    """Takes `steps` steps of `params <- params - rates * gradient` (Min and Kang 2018, eq. 1).

    Args:
      loss: scalar function of `params`.
      params: any pytree of float arrays.
      rates: a scalar, or a pytree like `params` of arrays that broadcast against its leaves; or an
        optax optimiser, whose updates are taken instead and whose state begins anew.
      steps: any number, zero included.
      first_order: takes the inner gradients as constants when this is differentiated, so that
        nothing of the past steps is stored.
      remat: recomputes each step when this is differentiated instead of storing its activations,
        so that memory hardly grows with `steps`.

    Returns:
      The adapted parameters, like `params`.

    Raises:
      InputError: an optimiser that cannot be differentiated where a gradient is zero.
    """
    by_rates = not isinstance(rates, optax.GradientTransformation)
    optimizer = _by_rates(rates) if by_rates else rates
    if not (by_rates or first_order):
        _check_differentiable(optimizer, params)
    if in_shard_map():
        params = vary_together(params, jax.eval_shape(loss, params), rates if by_rates else ())

    def step(carry, _):
        current, state = carry
        gradient = jax.grad(loss)(current)
        if first_order:
            gradient = jax.lax.stop_gradient(gradient)
        updates, state = optimizer.update(gradient, state, current)
        return (optax.apply_updates(current, updates), state), None

    if remat and not first_order:
        # No common subexpressions to guard against: the recomputation lives in another scan body.
        step = jax.checkpoint(step, prevent_cse=False)
    start = vary_together((params, optimizer.init(params)))
    return jax.lax.scan(step, start, None, length=steps)[0][0]


def _by_rates(rates: Any) -> optax.GradientTransformation:
    def update(gradient, state, params):
        one = jax.tree_util.all_leaves([rates]) and jnp.ndim(rates) == 0
        # A NumPy scalar has a dtype, which arithmetic would widen to; a Python number has none.
        rate = float(rates) if one and not isinstance(rates, jax.Array) else rates
        each = jax.tree.map(lambda _: rate, params) if one else rates
        return jax.tree.map(lambda r, g: -r * g, each, gradient), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _check_differentiable(optimizer: optax.GradientTransformation, params: Any) -> None:
    """Dead units have gradients of exactly zero, where Adam's root has no finite derivative."""
    with jax.ensure_compile_time_eval():
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), params)

        def total(gradient):
            updates, _ = optimizer.update(gradient, optimizer.init(zeros), zeros)
            return sum(leaf.sum() for leaf in jax.tree.leaves(updates))

        slopes = jax.tree.leaves(jax.grad(total)(zeros))
        finite = all(bool(jnp.all(jnp.isfinite(slope))) for slope in slopes)
    if not finite:
        raise InputError(
            "this inner optimiser has no finite derivative where a gradient is zero; "
            "Adam has with eps_root=1e-8"
        )

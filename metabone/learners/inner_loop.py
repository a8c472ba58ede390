"""Gradient descent on one task, itself differentiable."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


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
      rates: a scalar, or a pytree like `params` of arrays that broadcast against its leaves.
      steps: any number, zero included.
      first_order: takes the inner gradients as constants when this is differentiated, so that
        nothing of the past steps is stored.
      remat: recomputes each step when this is differentiated instead of storing its activations,
        so that memory hardly grows with `steps`.

    Returns:
      The adapted parameters, like `params`.
    """
    if isinstance(rates, int | float | jax.Array) and jnp.ndim(rates) == 0:
        rates = jax.tree.map(lambda _: rates, params)

    def step(current, _):
        gradient = jax.grad(loss)(current)
        if first_order:
            gradient = jax.lax.stop_gradient(gradient)
        return jax.tree.map(lambda p, r, g: p - r * g, current, rates, gradient), None

    if remat and not first_order:
        # No common subexpressions to guard against: the recomputation lives in another scan body.
        step = jax.checkpoint(step, prevent_cse=False)
    return jax.lax.scan(step, params, None, length=steps)[0]

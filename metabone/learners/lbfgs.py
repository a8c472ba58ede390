"""Minimises a smooth objective of one task to the end, for heads on features that stay."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from metabone.errors import InputError
from metabone.nets.device_axes import device_axes


def minimise(objective: Callable[[Any], jax.Array], start: Any, steps: int) -> Any:
    """Takes L-BFGS steps until the gradient's norm is below 1e-5.

    Args:
      objective: `params -> scalar`.
      start: any pytree of float arrays.
      steps: at most.

    Returns:
      Parameters like `start`; not to be differentiated.

    Raises:
      InputError: an objective that differs from device to device in `jax.shard_map` with checks.
    """
    if device_axes(jax.eval_shape(objective, start)):
        raise InputError(
            "a head that is fitted to the end differs by device only in "
            "jax.shard_map(..., check_vma=False): optax's line search does not pass the check"
        )
    optimizer = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(objective)

    def unfinished(carry):
        _, _, gradient_norm, step = carry
        return (step < steps) & (gradient_norm > 1e-5)

    def step(carry):
        params, state, _, step = carry
        value, gradient = value_and_grad(params, state=state)
        updates, state = optimizer.update(
            gradient, state, params, value=value, grad=gradient, value_fn=objective
        )
        params = optax.apply_updates(params, updates)
        return params, state, optax.tree.norm(gradient), step + 1

    carry = (start, optimizer.init(start), jnp.inf, 0)
    return jax.lax.while_loop(unfinished, step, carry)[0]

"""Work on a few images at a time, so that what it makes on the way stays in the cache."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from metabone.nets.device_axes import vary_together

# A core's own cache holds 1 to 2 MiB.
_BYTES = 2**21


def over_images(
    function: Callable[..., Any], *arrays: jax.Array, bytes_each: int, total: bool = False
) -> Any:
    """Calls a function on slices of arrays along their first axis, one after the other.

    Args:
      function: of slices `[k, ...]`; to a pytree of `[k, ...]`, or of anything with `total`.
      *arrays: `[n, ...]` each.
      bytes_each: what the function makes for one image; decides the number k at a time. On
        accelerators all are taken at once.
      total: whether the results are added up rather than put one after the other.

    Returns:
      What `function(*arrays)` returns, up to rounding.
    """
    count = arrays[0].shape[0]
    together = _together(count, bytes_each)
    if together == count:
        return function(*arrays)
    slices = tuple(a.reshape(count // together, together, *a.shape[1:]) for a in arrays)
    if not total:
        parts = lax.map(lambda part: function(*part), slices)
        return jax.tree.map(lambda a: a.reshape(count, *a.shape[2:]), parts)
    like = jax.eval_shape(function, *(a[0] for a in slices))
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)

    def add(so_far, part):
        return jax.tree.map(jnp.add, so_far, function(*part)), None

    return lax.scan(add, vary_together(zero, like), slices)[0]


def _together(count: int, bytes_each: int) -> int:
    if jax.default_backend() != "cpu":
        return count
    fitting = [k for k in range(1, count + 1) if count % k == 0 and k * bytes_each <= _BYTES]
    return max(fitting, default=1)

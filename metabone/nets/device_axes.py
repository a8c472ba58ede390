"""What differs from device to device inside `jax.shard_map`, kept apart from what is the same.

JAX differentiates what is the same on all devices by the sum over devices: a transposed cast. That
is right at the end of a program and wrong in the midst of one: an inner loop would follow the sum
of all devices' tasks, and a gradient rule of one's own is given a type that it does not expect. So
whatever meets values that differ is itself cast to differ, before anything is differentiated.
"""

from typing import Any

import jax


def vary_together(tree: Any, *others: Any) -> Any:
    """Casts to vary over each device axis over which anything given varies; values stay.

    Args:
      tree: a pytree of arrays.
      *others: pytrees of arrays, or of their shapes as `jax.eval_shape` gives them.

    Returns:
      `tree`; outside `jax.shard_map`, and without its checks, the very same.
    """
    axes = device_axes(tree, *others)
    if not axes:
        return tree

    def cast(leaf):
        lacking = tuple(sorted(axes - device_axes(leaf)))
        return jax.lax.pcast(leaf, lacking, to="varying") if lacking else leaf

    return jax.tree.map(cast, tree)


def device_axes(*trees: Any) -> frozenset[str]:
    """The names of the device axes over which any leaf of some pytrees varies."""
    leaves = jax.tree.leaves(trees)
    return frozenset().union(*(jax.typeof(leaf).manual_axis_type.varying for leaf in leaves))


def in_shard_map() -> bool:
    """Whether anything can vary over device axes here."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)

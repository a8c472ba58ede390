"""What a learner carries from task to task, which no outer optimiser steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Carried(NamedTuple):
    """A part of meta-parameters that each task takes over from the one before.

    A `meta_gradient` returns in its place the value after its task, where of all else it returns a
    gradient. An outer optimiser never sees it: it is neither stepped nor decayed nor clipped.

    Attributes:
      value: any pytree of arrays, such as the state of an inner optimiser.
    """

    value: Any


def carried_parts(tree: Any) -> list[Carried]:
    """What is carried in a tree, in its order.

    Args:
      tree: meta-parameters, or what a `meta_gradient` returns for them.

    Returns:
      One entry a part.
    """
    return [leaf for leaf in jax.tree.leaves(tree, is_leaf=_is_carried) if _is_carried(leaf)]


def without_carried(tree: Any) -> Any:
    """A tree whose carried parts are empty: what an outer optimiser is to see.

    Args:
      tree: meta-parameters, or a tree in their form.

    Returns:
      The tree, `Carried(())` where something is carried.
    """
    return with_carried(tree, [Carried(()) for _ in carried_parts(tree)])


def with_carried(tree: Any, parts: list[Carried]) -> Any:
    """Puts carried parts in their places.

    Args:
      tree: in the form of the meta-parameters, its own parts of any value.
      parts: as `carried_parts` gives them.

    Returns:
      The tree.
    """
    left = iter(parts)
    return jax.tree.map(
        lambda leaf: next(left) if _is_carried(leaf) else leaf, tree, is_leaf=_is_carried
    )


def mean_over_tasks(values: Any) -> Any:
    """What goes on after tasks that began at the same values side by side: their mean.

    Args:
      values: a pytree of arrays `[tasks, ...]`.

    Returns:
      The same without that axis; of whole numbers, which count something, the largest.
    """
    return jax.tree.map(
        lambda leaf: (
            leaf.max(axis=0) if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf.mean(axis=0)
        ),
        values,
    )


def mean_over_devices(values: Any, axis: str) -> Any:
    """`mean_over_tasks` over the devices of an axis of `jax.shard_map`.

    Args:
      values: a pytree of arrays that differ from device to device.
      axis: its name.

    Returns:
      The same on all of them.
    """
    return jax.tree.map(
        lambda leaf: (
            jax.lax.pmax(leaf, axis)
            if jnp.issubdtype(leaf.dtype, jnp.integer)
            else jax.lax.pmean(leaf, axis)
        ),
        values,
    )


def _is_carried(leaf: Any) -> bool:
    return isinstance(leaf, Carried)

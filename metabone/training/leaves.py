"""A tree of arrays as a flat dictionary from a leaf's path to its array, and back."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

Leaves = dict[str, np.ndarray]


def paths(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path.

    Args:
      tree: any pytree.

    Returns:
      Leaves in the tree's order. Fields, keys and positions are joined by `/`; a tree that is a
      single leaf has the path `'value'`.

    Raises:
      ValueError: if two leaves have one path, as in `{"a/b": ..., "a": {"b": ...}}`.

    >>> paths({"dense": [1, 2], "scale": 3})
    {'dense/0': 1, 'dense/1': 2, 'scale': 3}
    """
    found: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator="/") or "value"
        if name in found:
            raise ValueError(f"two leaves of the state share the path '{name}'")
        found[name] = leaf
    return found


def subtree(leaves: Mapping[str, Any], part: str) -> dict[str, Any]:
    """The leaves below one path, named from there.

    Args:
      leaves: anything by path.
      part: the path; empty for the whole tree.

    Returns:
      Leaves by path as `paths` of that subtree names them; empty if there is no such part.

    >>> subtree({"params/kernel": 1, "params/bias": 2, "count": 3}, "params")
    {'kernel': 1, 'bias': 2}
    """
    if not part:
        return dict(leaves)
    if part in leaves:
        return {"value": leaves[part]}
    return {k.removeprefix(f"{part}/"): v for k, v in leaves.items() if k.startswith(f"{part}/")}


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of typed random keys.

    Args:
      leaf: anything.
    """
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def as_leaves(tree: Any) -> Leaves:
    """Copies a tree to the host; random keys as their data.

    Args:
      tree: any pytree of arrays.

    Returns:
      NumPy arrays by path, owning their memory.
    """
    raw = {k: jax.random.key_data(v) if is_key(v) else v for k, v in paths(tree).items()}
    return {name: np.array(leaf) for name, leaf in jax.device_get(raw).items()}


def describe_leaves(tree: Any) -> dict[str, dict[str, Any]]:
    """Shape and dtype of every leaf, in a JSON form.

    Args:
      tree: a pytree of arrays or of `jax.ShapeDtypeStruct`.

    Returns:
      By path: `shape` and `dtype` as the leaf has them, and `stored`, the dtype on disk, which
      differs for random keys alone (there `shape` is that of the key data).
    """
    described = {}
    for name, leaf in paths(tree).items():
        if is_key(leaf):
            data = jax.eval_shape(jax.random.key_data, leaf)
            shape, dtype, stored = data.shape, str(leaf.dtype), str(data.dtype)
        else:
            leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
            shape, dtype = leaf.shape, str(leaf.dtype)
            stored = dtype
        described[name] = {"shape": list(shape), "dtype": dtype, "stored": stored}
    return described


def first_difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Names the first leaf in which two descriptions differ.

    Args:
      found: `describe_leaves` of what is there.
      expected: `describe_leaves` of what is wanted.

    Returns:
      One phrase, or an empty string if they agree.
    """

    def shown(leaf):
        return f"{leaf['dtype']}[{','.join(map(str, leaf['shape']))}]"

    for name, leaf in expected.items():
        if name not in found:
            return f"'{name}' expected {shown(leaf)}, found nothing"
        if found[name] != leaf:
            return f"'{name}' expected {shown(leaf)}, found {shown(found[name])}"
    for name, leaf in found.items():
        if name not in expected:
            return f"'{name}' expected nothing, found {shown(leaf)}"
    return ""


def as_tree(leaves: Leaves, template: Any) -> Any:
    """Puts arrays on the device in the form of a template.

    Args:
      leaves: NumPy arrays by path, the template's paths.
      template: a pytree of arrays or of `jax.ShapeDtypeStruct`.

    Returns:
      A tree of JAX arrays like the template, with its shardings where it has any.
    """

    def placed(name, like):
        # Copied: a device array on the CPU may otherwise be a view of the host's memory, which a
        # step that donates its state would write to.
        array = jax.numpy.array(leaves[name], copy=True)
        if is_key(like):
            array = jax.random.wrap_key_data(array, impl=_key_impl(like))
        sharding = getattr(like, "sharding", None)
        if sharding is not None and len(sharding.device_set) > 1:
            array = jax.device_put(array, sharding)
        return array

    filled = [placed(name, like) for name, like in paths(template).items()]
    return jax.tree.unflatten(jax.tree.structure(template), filled)


def _key_impl(like: Any) -> Any:
    """The implementation of a key array, which may be abstract."""
    found = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), like)
    return found[0]


def nest(leaves: Leaves) -> Any:
    """Makes nested dictionaries of paths.

    Args:
      leaves: arrays by path.

    Returns:
      Nested dictionaries; the array itself for a tree that was a single leaf.

    >>> nest({"dense/kernel": 1, "dense/bias": 2})
    {'dense': {'kernel': 1, 'bias': 2}}
    """
    if list(leaves) == ["value"]:
        return next(iter(leaves.values()))
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        inside = tree
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[name] = leaf
    return tree

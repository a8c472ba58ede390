"""Which parameters the inner loop adapts and which the outer loop learns, as labels."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax

from metabone.errors import InputError

Role = Literal["both", "inner", "outer", "frozen"]
Roles = Callable[[str], Role]


def everything(path: str) -> Role:
    """MAML: every parameter adapts and is meta-learned."""
    del path
    return "both"


def head_only(path: str) -> Role:
    """A frozen body; the head adapts and is meta-learned."""
    return "both" if _in_head(path) else "frozen"


def head_adapts(path: str) -> Role:
    """ANIL (Raghu et al. 2020): all is meta-learned, only the head adapts."""
    return "both" if _in_head(path) else "outer"


def body_adapts(path: str) -> Role:
    """BOIL (Oh et al. 2021): all is meta-learned, only the body adapts."""
    return "outer" if _in_head(path) else "both"


def norms_stay(path: str) -> Role:
    """Batch norms' scales and biases are learned, not adapted: MAML as published, and MAML++."""
    return "outer" if in_norm(path) else "both"


def in_norm(path: str) -> bool:
    """Whether a parameter belongs to a layer named `norm...`, as batch norms are in `nets`."""
    return any(part.startswith("norm") for part in path.split("/")[:-1])


def _in_head(path: str) -> bool:
    return path.split("/")[0] == "head"


def _paths(params: Any) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


def assign(roles: Roles, params: Any) -> list[Role]:
    """The role of each leaf of `params`, in the order of `jax.tree.leaves`.

    Args:
      roles: from a leaf's path, such as `head/classes/kernel`, to its role: `both` adapts and is
        meta-learned, `inner` adapts from a fixed start, `outer` is meta-learned but does not adapt,
        `frozen` neither; it is then never differentiated.
      params: any pytree of dictionaries.

    Returns:
      One role a leaf.

    Raises:
      InputError: an unknown role, or none that adapts.
    """
    paths = _paths(params)
    assigned = [roles(path) for path in paths]
    for path, role in zip(paths, assigned, strict=True):
        if role not in get_args(Role):
            raise InputError(
                f"role {role!r} of {path}: expected one of {', '.join(get_args(Role))}"
            )
    if not any(role in ("both", "inner") for role in assigned):
        raise InputError(
            f"no parameter adapts: all of {', '.join(paths[:3])}... are outer or frozen"
        )
    return assigned


def mask_of(wanted: Callable[[str], bool], params: Any) -> list[bool]:
    """Which leaves of `params` have a path that is wanted, in the order of `jax.tree.leaves`."""
    return [wanted(path) for path in _paths(params)]


def only_head_adapts(roles: Roles, params: Any) -> bool:
    """Whether every parameter that adapts lies in the network's head."""
    return all(_in_head(path) for path in _paths(params) if roles(path) in ("both", "inner"))


def take(tree: Any, mask: list[bool]) -> list[jax.Array]:
    """The leaves where `mask` is true."""
    return [leaf for leaf, wanted in zip(jax.tree.leaves(tree), mask, strict=True) if wanted]


def put(tree: Any, mask: list[bool], leaves: list[jax.Array]) -> Any:
    """`tree` with the leaves where `mask` is true replaced by `leaves`, in order."""
    replacements = iter(leaves)
    flat, structure = jax.tree.flatten(tree)
    merged = [next(replacements) if m else leaf for leaf, m in zip(flat, mask, strict=True)]
    return jax.tree.unflatten(structure, merged)

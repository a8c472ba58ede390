"""One tree of arrays in one Orbax checkpoint, with a note: written whole, and checked when read.

The tree is stored flat, one array a leaf under the leaf's path (`meta_params/dense/kernel`), so any
Orbax reads it without knowing our classes. The note lists every leaf's shape and dtype, which are
compared with what is expected before any array is read. Nothing is ever unpickled.
"""

import contextlib
import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from metabone.errors import InputError
from metabone.training.leaves import (
    Leaves,
    as_leaves,
    as_tree,
    describe_leaves,
    first_difference,
    nest,
    subtree,
)

_FORMAT = "metabone training state 1"


def write_tree(path: Path, tree: Any, note: Mapping[str, Any]) -> None:
    """Writes a tree beside its place and renames it into it.

    Args:
      path: an absolute path where nothing is yet; its parent folder must exist.
      tree: any pytree of arrays; typed random keys are stored as their data.
      note: plain JSON values to keep with it.
    """
    leaves = as_leaves(tree)
    description = {
        "format": _FORMAT,
        "note": dict(note),
        "leaves": describe_leaves(tree),
        "leaves_crc32": _checksum(leaves),
    }
    description["crc32"] = _checksum_of(description)
    # Orbax refuses arrays without elements, and no tree at all; their description says it all.
    filled = {name: leaf for name, leaf in leaves.items() if leaf.size}
    with _quiet(), _checkpointer() as checkpointer:
        checkpointer.save(
            path,
            args=ocp.args.PyTreeSave(filled or {"nothing": np.zeros(1, np.uint8)}),
            custom_metadata=description,
        )


def read_note(path: Path) -> dict[str, Any]:
    """Reads the note alone.

    Args:
      path: what `write_tree` was given.

    Returns:
      The note.

    Raises:
      InputError: if there is no checkpoint, it cannot be read, or it is not this project's.
    """
    return _description(path)["note"]


def read_tree(path: Path, template: Any = None, part: str = "") -> Any:
    """Reads a tree, or a part of it.

    Args:
      path: what `write_tree` was given.
      template: a tree of arrays or of `jax.ShapeDtypeStruct` like what is to be read, or None.
      part: path of a subtree, e.g. `'meta_params'`; empty for the whole.

    Returns:
      A tree of JAX arrays like the template, bit for bit as it was saved and with the template's
      shardings; without a template nested dicts of NumPy arrays, random keys as their data.

    Raises:
      InputError: if there is no checkpoint, it is not this project's, is damaged, has no such part,
        or holds another tree, shape or dtype; the message names the first leaf that differs.
    """
    description = _description(path)
    stored = description["leaves"]
    inside = subtree(stored, part)
    if part and not inside:
        raise InputError(f"the checkpoint {path} has no '{part}'")
    if template is not None:
        differing = first_difference(inside, describe_leaves(template))
        if differing:
            raise InputError(f"the checkpoint {path} is of another model: {differing}")
    leaves = _arrays(path, stored)
    if _checksum(leaves) != description["leaves_crc32"]:
        raise InputError(f"the checkpoint {path} is damaged: its checksum differs")
    leaves = subtree(leaves, part)
    return nest(leaves) if template is None else as_tree(leaves, template)


def _description(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise InputError(f"no checkpoint at {path}")
    with _reading(path), _checkpointer() as checkpointer:
        description = checkpointer.metadata(path).custom_metadata or {}
    if description.get("format") != _FORMAT:
        raise InputError(f"{path} is not a checkpoint of metabone (expected '{_FORMAT}')")
    if description.pop("crc32", None) != _checksum_of(description):
        raise InputError(f"the checkpoint {path} is damaged: its description was altered")
    return description


def _arrays(path: Path, stored: Mapping[str, Mapping[str, Any]]) -> Leaves:
    leaves = {name: np.zeros(d["shape"], d["stored"]) for name, d in stored.items()}
    filled = {name: leaf for name, leaf in leaves.items() if leaf.size}
    if not filled:
        return leaves
    restore_args = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in filled}
    with _reading(path), _checkpointer() as checkpointer:
        found = checkpointer.restore(
            path, args=ocp.args.PyTreeRestore(item=filled, restore_args=restore_args)
        )
        return leaves | {name: np.asarray(found[name]) for name in filled}


def _checksum(leaves: Leaves) -> int:
    crc = 0
    for name in sorted(leaves):
        # Viewed as bytes because dtypes such as bfloat16 have no buffer format.
        data = np.ascontiguousarray(leaves[name]).reshape(-1).view(np.uint8)
        crc = zlib.crc32(data, zlib.crc32(name.encode(), crc))
    return crc


def _checksum_of(description: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(description, sort_keys=True).encode())


def _checkpointer() -> ocp.Checkpointer:
    rename = ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.ATOMIC_RENAME)
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(), atomicity_options=rename)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Makes one line of whatever a damaged or foreign folder makes Orbax raise."""
    try:
        with _quiet():
            yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"the checkpoint {path} cannot be read: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax's remarks off the terminal; what goes wrong is raised as well as remarked."""
    logger = logging.getLogger("absl")

    def nothing(record):
        return False

    logger.addFilter(nothing)
    try:
        yield
    finally:
        logger.removeFilter(nothing)

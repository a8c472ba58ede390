"""One tree of arrays on disk with a note: written whole, and checked before it is read.

A folder with an Orbax checkpoint in `state/` and a `description.json`. The tree is stored flat, one
array a leaf under the leaf's path (`meta_params/dense/kernel`), so any Orbax reads it without
knowing our classes. The description lists every leaf's shape and dtype, which are compared with
what is expected, and every file's size and checksum, so that a damaged checkpoint is one clear
line and not whatever a decoder makes of it. Nothing is ever unpickled.
"""

import contextlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from metabone.errors import InputError
from metabone.training.json_files import plain, read_json, write_json_atomically
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
_DESCRIPTION = "description.json"
_STATE = "state"


def write_tree(path: Path, tree: Any, note: Mapping[str, Any]) -> None:
    """Writes a tree beside its place and renames it into it.

    Args:
      path: an absolute path where nothing is yet; its parent folder must exist.
      tree: any pytree of arrays; typed random keys are stored as their data.
      note: plain JSON values to keep with it.
    """
    leaves = as_leaves(tree)
    # Orbax refuses arrays without elements, and no array at all; their description says it all.
    filled = {name: leaf for name, leaf in leaves.items() if leaf.size}
    beside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    with _quiet(), _checkpointer() as checkpointer:
        filled = filled or {"nothing": np.zeros(1, np.uint8)}
        checkpointer.save(beside / _STATE, args=ocp.args.PyTreeSave(filled))
    files = sorted(file for file in (beside / _STATE).rglob("*") if file.is_file())
    description = {
        "format": _FORMAT,
        "note": dict(note),
        "leaves": describe_leaves(tree),
        "files": {file.relative_to(beside).as_posix(): _fingerprint(file) for file in files},
    }
    description["crc32"] = _checksum(description)
    write_json_atomically(beside / _DESCRIPTION, description)
    os.rename(beside, path)


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
    for name, fingerprint in description["files"].items():
        if _fingerprint(path / name) != fingerprint:
            raise InputError(f"the checkpoint {path} is damaged: {name} is not what was written")
    leaves = subtree(_arrays(path, stored), part)
    return nest(leaves) if template is None else as_tree(leaves, template)


def _description(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise InputError(f"no checkpoint at {path}")
    if not (path / _DESCRIPTION).is_file():
        raise InputError(f"{path} is not a checkpoint of metabone (it has no {_DESCRIPTION})")
    description = read_json(path / _DESCRIPTION)
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise InputError(f"{path} is not a checkpoint of metabone (expected '{_FORMAT}')")
    if description.pop("crc32", None) != _checksum(description):
        raise InputError(f"the checkpoint {path} is damaged: {_DESCRIPTION} was altered")
    return description


def _arrays(path: Path, stored: Mapping[str, Mapping[str, Any]]) -> Leaves:
    leaves = {name: np.zeros(d["shape"], d["stored"]) for name, d in stored.items()}
    filled = {name: leaf for name, leaf in leaves.items() if leaf.size}
    if not filled:
        return leaves
    restore_args = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in filled}
    try:
        with _quiet(), _checkpointer() as checkpointer:
            args = ocp.args.PyTreeRestore(item=filled, restore_args=restore_args)
            found = checkpointer.restore(path / _STATE, args=args)
            return leaves | {name: np.asarray(found[name]) for name in filled}
    except Exception as error:
        # The files are as they were written, so this is another version of Orbax or the disk.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"the checkpoint {path} cannot be read: {reason}") from error


def _fingerprint(file: Path) -> list[int] | None:
    """Size and checksum of a file; None if it cannot be read."""
    size = crc = 0
    try:
        with file.open("rb") as content:
            while chunk := content.read(1 << 20):
                size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    except OSError:
        return None
    return [size, crc]


def _checksum(description: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(plain(description), sort_keys=True).encode())


def _checkpointer() -> ocp.Checkpointer:
    rename = ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.ATOMIC_RENAME)
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(), atomicity_options=rename)


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

"""Weights of a key-point network as files, and those that come with the package."""

import os
from importlib import resources
from pathlib import Path

import jax
import numpy as np

from metabone.errors import InputError
from metabone.nets.tensor_files import open_tensors, shown
from metabone.training.json_files import read_json
from metabone.workflows.key_points import NET, PointNet

WEIGHTS = "key_points.safetensors"
"""Name of the weights, in the package and in the folder of a run of `key_points`."""

_DTYPES = ("float16", "float32")


def save_point_net(net: PointNet, path: Path) -> None:
    """Writes the weights as float16 safetensors.

    Args:
      net: from `train_key_points`.
      path: the file; replaced if it is there.

    Raises:
      InputError: it cannot be written.
    """
    from safetensors.numpy import save

    tensors = {name: np.asarray(leaf, np.float16) for name, leaf in _named(net).items()}
    try:
        path.write_bytes(save(tensors))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def load_point_net(path: Path) -> PointNet:
    """Reads weights that `save_point_net` wrote.

    Args:
      path: the file; nobody has to vouch for it.

    Returns:
      The weights, float32 NumPy arrays.

    Raises:
      InputError: it is missing, damaged, or holds another network.
    """
    like = jax.eval_shape(lambda key: PointNet(*NET.init(key, (32, 32, 1))), jax.random.key(0))
    expected = _named(like)
    with open_tensors(path) as file:
        strange = sorted(expected.keys() ^ file.tensors.keys())
        if strange:
            raise InputError(
                f"{path}: not a key-point network; {shown(strange[0])} is in only one of file and "
                "network"
            )
        read = {}
        for name, leaf in expected.items():
            tensor = file.tensors[name]
            if tensor.shape != leaf.shape or tensor.dtype not in _DTYPES:
                raise InputError(
                    f"{path}: {shown(name)} is {tensor.dtype} {list(tensor.shape)}; expected "
                    f"{' or '.join(_DTYPES)} {list(leaf.shape)}"
                )
            read[name] = tensor.read().astype(np.float32)
            if not np.isfinite(read[name]).all():
                raise InputError(f"{path}: {shown(name)} has values that are not finite")
    leaves = [read[name] for name in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def shipped_point_net() -> PointNet:
    """The weights that come with the package: trained on simulated films alone.

    Returns:
      The weights; see `key_points.md` beside them for what they reach.
    """
    with resources.as_file(resources.files("metabone.radiograph") / WEIGHTS) as path:
        return load_point_net(path)


def point_net_of(given: str | os.PathLike) -> PointNet:
    """The weights that a user names.

    Args:
      given: folder of a run of `key_points`, or a file that `save_point_net` wrote; empty for the
        weights that come with the package.

    Returns:
      The weights.

    Raises:
      InputError: there is no such folder or file, it is no run of `key_points` or one that has not
        trained its network to the end, or the weights are damaged.
    """
    if not os.fspath(given):
        return shipped_point_net()
    path = Path(given).expanduser()
    if not path.is_dir():
        return load_point_net(path)
    file = path / "config.json"
    record = read_json(file) if file.exists() else None
    if not isinstance(record, dict) or record.get("experiment") != "key_points":
        raise InputError(f"{path}: not the folder of a run of key_points")
    if not (path / WEIGHTS).exists():
        raise InputError(f"{path}: this run has not trained its network to the end; continue it")
    return load_point_net(path / WEIGHTS)


def _named(net: PointNet) -> dict:
    leaves = jax.tree_util.tree_leaves_with_path(net)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}

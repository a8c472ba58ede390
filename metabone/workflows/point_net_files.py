"""Weights of a key-point network as files, and those that come with the package."""

from importlib import resources
from pathlib import Path

import jax
import numpy as np

from metabone.errors import InputError
from metabone.nets.tensor_files import open_tensors, shown
from metabone.workflows.key_points import NET, PointNet

_SHIPPED = "key_points.safetensors"
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
    with resources.as_file(resources.files("metabone.radiograph") / _SHIPPED) as path:
        return load_point_net(path)


def _named(net: PointNet) -> dict:
    leaves = jax.tree_util.tree_leaves_with_path(net)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}

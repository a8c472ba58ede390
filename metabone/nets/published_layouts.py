"""A network's arrays from a published file whose names, shapes and dtypes are as they must be."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.errors import InputError
from metabone.nets.layers import EPSILON
from metabone.nets.network import NormStats, Params
from metabone.nets.tensor_files import ITEM_BYTES, StoredTensor, TensorFile, shown

Place = tuple[str, ...]
"""Where an array lies in `{"params": params, "norm_stats": norm_stats}`, key by key."""

_NAMED = 3  # tensors of each sort in a message


class Stored(NamedTuple):
    """Where a file holds an array.

    Attributes:
      name: of the tensor.
      axes: ours are the file's, so transposed; `()` as they are.
    """

    name: str
    axes: tuple[int, ...] = ()

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the file of an array that is `ours` here."""
        return tuple(ours[self.axes.index(k)] for k in range(len(ours))) if self.axes else ours


class Layout(NamedTuple):
    """How one kind of file stores one network.

    Attributes:
      title: for messages.
      arrays: all that is read.
      ignored: whether a name may be there and is not needed.
      options: keywords of the network that the file's origin decides.
      epsilon: of the batch normalisation that the file was trained with; None without any.
      ones: arrays that such files leave out, because they are ones.
    """

    title: str
    arrays: Mapping[Place, Stored]
    ignored: Callable[[str], bool] = lambda name: False
    options: Mapping[str, Any] = {}
    epsilon: float | None = None
    ones: Collection[Place] = ()


def read_layout(
    path: Path, file: TensorFile, layout: Layout, expected: Mapping[str, Any]
) -> tuple[Params, NormStats]:
    """Reads a network's arrays; none before all names, shapes and dtypes have been compared.

    Another epsilon than ours goes into the stored variances: the network is then exactly the
    published one as long as it normalises by these, as a frozen backbone does.

    Args:
      path: of the file, for messages.
      file: open.
      layout: how it stores the network.
      expected: `{"params": ..., "norm_stats": ...}` with the shapes of the network's arrays.

    Returns:
      Parameters and statistics, NumPy float32.

    Raises:
      InputError: names, shapes or dtypes differ, or numbers are not finite.
    """
    shapes = dict(_places(expected))
    missing = [place for place in shapes if place not in layout.arrays and place not in layout.ones]
    if missing or len(shapes) != len(layout.arrays) + len(layout.ones):
        raise ValueError(f"{layout.title} does not tell where {missing} are, or tells too much")
    _check_names(path, layout, file.tensors)
    _check_tensors(path, layout, file, shapes)
    trees: dict[str, Any] = {"params": {}, "norm_stats": {}}
    for place, shape in shapes.items():
        if place in layout.ones:
            array = np.ones(shape, np.float32)
        else:
            stored = layout.arrays[place]
            array = _read(path, stored.name, file.tensors[stored.name])
            if place[-1] == "var" and layout.epsilon is not None:
                if (array < 0).any():
                    raise InputError(f"{path}: {shown(stored.name)} holds a negative variance")
                # In float64: a tiny variance becomes negative, but never with our epsilon added.
                array = (array + (np.float64(layout.epsilon) - EPSILON)).astype(np.float32)
            if stored.axes:
                array = np.ascontiguousarray(array.transpose(stored.axes))
        branch = trees
        for key in place[:-1]:
            branch = branch.setdefault(key, {})
        branch[place[-1]] = array
    return trees["params"], trees["norm_stats"]


def listed(names: Collection[str]) -> str:
    """A few of some names from a file, for a message."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown(name) for name in list(names)[:_NAMED]) + more


def _places(tree: Any, above: Place = ()) -> Iterable[tuple[Place, tuple[int, ...]]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield tuple(key.key for key in path), leaf.shape


def _check_names(path: Path, layout: Layout, tensors: Mapping[str, StoredTensor]) -> None:
    names = [stored.name for stored in layout.arrays.values()]
    missing = [name for name in names if name not in tensors]
    surplus = [name for name in sorted(set(tensors) - set(names)) if not layout.ignored(name)]
    if missing or surplus:
        found = [
            f"{word} {listed(of)}"
            for word, of in (("missing", missing), ("surplus", surplus))
            if of
        ]
        raise InputError(f"{path}: not {layout.title}: {'; '.join(found)}")


def _check_tensors(
    path: Path, layout: Layout, file: TensorFile, shapes: Mapping[Place, tuple[int, ...]]
) -> None:
    differing, total = [], 0
    for place, stored in layout.arrays.items():
        tensor, shape = file.tensors[stored.name], stored.shape(shapes[place])
        if tensor.shape != shape:
            differing.append(f"{shown(stored.name)} is {tensor.shape}, expected {shape}")
        elif tensor.dtype not in ITEM_BYTES:
            raise InputError(
                f"{path}: {shown(stored.name)} is {tensor.dtype}, expected one of "
                f"{', '.join(ITEM_BYTES)}"
            )
        else:
            total += math.prod(shape) * ITEM_BYTES[tensor.dtype]
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise InputError(f"{path}: not {layout.title}: {'; '.join(differing[:_NAMED])}{more}")
    if total > file.size:
        raise InputError(
            f"{path}: its tensors would take {total} bytes, the file has {file.size}; truncated?"
        )


def _read(path: Path, name: str, tensor: StoredTensor) -> np.ndarray:
    with np.errstate(over="ignore"):  # float64 beyond float32 is found below
        array = tensor.read().astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {shown(name)} holds numbers that are not finite")
    return array

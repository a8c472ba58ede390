"""What of a network is trained: named blocks from the top, or the last so many layers."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from metabone.errors import InputError
from metabone.nets import inception
from metabone.nets.network import Params

Path = tuple[str, ...]
"""Where a parameter, or all of a layer's, lies in the parameters, key by key."""


class Block(NamedTuple):
    """A part of a network that is trained or frozen as one.

    Attributes:
      name: of the block, or of a layer.
      paths: of its parameters, each a leaf.
    """

    name: str
    paths: tuple[Path, ...]


def blocks_of(network_name: str, params: Params) -> tuple[Block, ...]:
    """Divides a network's parameters into its blocks.

    Args:
      network_name: one of `regression_bodies.BODIES`.
      params: of that network, or of an `age_net` of it.

    Returns:
      The blocks from the top: `head` if there is one; then of `xception` `exit`, `middle`, `entry`
      (the flows of Chollet 2017, which S4 trains one after the other), of `inception_v3` `Mixed_7c`
      to `Mixed_5b`, then `stem`, of `resnet18` and `resnet50` `layer4` to `layer1`, then `stem`,
      of `conv4` `block4` to `block1`. Every parameter is in one of them.

    Raises:
      InputError: an unknown network, or parameters of another.
    """
    return _grouped(network_name, params, lambda place: place.block)


def layers_of(network_name: str, params: Params) -> tuple[Block, ...]:
    """Divides a network's parameters into its layers.

    A layer is what has a kernel, with its bias and its normalisation; a separable convolution is
    one, although it has two kernels. Of layers side by side the one that the published code names
    later is nearer to the top; a shortcut is below the layers that it goes around.

    Args:
      network_name: see `blocks_of`.
      params: likewise.

    Returns:
      The layers from the top, named as in the parameters.

    Raises:
      InputError: see `blocks_of`.
    """
    return _grouped(network_name, params, lambda place: place.layer)


def blocks_down_to(network_name: str, params: Params, name: str) -> tuple[Block, ...]:
    """The blocks from the top down to one: what a stage of paced transfer trains.

    Args:
      network_name: see `blocks_of`.
      params: likewise.
      name: the last block's, or `all`.

    Returns:
      The blocks from the top, that one included.

    Raises:
      InputError: an unknown block; see also `blocks_of`.
    """
    blocks = blocks_of(network_name, params)
    names = [block.name for block in blocks]
    if name == "all":
        return blocks
    if name not in names:
        raise InputError(
            f"block {name!r} of {network_name}: expected one of {', '.join(names)}, all"
        )
    return blocks[: names.index(name) + 1]


def top_layers(network_name: str, params: Params, count: int) -> tuple[Block, ...]:
    """The last layers of a network, by their number.

    Keras's count, in which S2 gives its figures, has layers without parameters as well: some three
    to a layer here.

    Args:
      network_name: see `blocks_of`.
      params: likewise.
      count: of layers with kernels, see `layers_of`; those of the head count.

    Returns:
      The layers from the top.

    Raises:
      InputError: fewer than one, or more than there are; see also `blocks_of`.
    """
    layers = layers_of(network_name, params)
    if not 1 <= count <= len(layers):
        raise InputError(
            f"the last {count} layers of {network_name}: expected 1 to {len(layers)}, which it has"
        )
    return layers[:count]


def mask_of(params: Params, wanted: Iterable[Block | Path]) -> Any:
    """Marks what is trained.

    Args:
      params: nested dictionaries.
      wanted: blocks or layers, or paths of leaves or of all below.

    Returns:
      A bool for each leaf of `params`, in a tree like it.

    Raises:
      InputError: a path at which there is no parameter.
    """
    paths = [
        path
        for each in wanted
        for path in (each.paths if isinstance(each, Block) else (tuple(each),))
    ]
    leaves = _leaf_paths(params)
    starts = {leaf[:length] for leaf in leaves for length in range(1, len(leaf) + 1)}
    for path in paths:
        if path not in starts:
            raise InputError(
                f"no parameter at {'/'.join(path)}: expected a path below "
                f"{', '.join(sorted({leaf[0] for leaf in leaves}))}"
            )
    marked = set(paths)
    marks = [any(leaf[:k] in marked for k in range(1, len(leaf) + 1)) for leaf in leaves]
    return jax.tree.unflatten(jax.tree.structure(params), marks)


def split_params(params: Params, mask: Any) -> tuple[Params, Params]:
    """Takes parameters apart, so that a gradient is taken in some and not in the others.

    Args:
      params: a tree of arrays.
      mask: from `mask_of`.

    Returns:
      `(trainable, frozen)`, both of the form of `params` but with None, which JAX does not see as a
      leaf, where the other has an array.
    """
    trainable = jax.tree.map(lambda leaf, wanted: leaf if wanted else None, params, mask)
    frozen = jax.tree.map(lambda leaf, wanted: None if wanted else leaf, params, mask)
    return trainable, frozen


def merge_params(trainable: Params, frozen: Params) -> Params:
    """Puts together what `split_params` took apart.

    Args:
      trainable: with None where `frozen` has an array.
      frozen: with None where `trainable` has one.

    Returns:
      The parameters.
    """
    return jax.tree.map(
        lambda one, other: other if one is None else one,
        trainable,
        frozen,
        is_leaf=lambda leaf: leaf is None,
    )


class _Place(NamedTuple):
    block: str
    layer: str
    rank: tuple[int, ...]  # higher is nearer to the top


def _grouped(
    network_name: str, params: Params, group_of: Callable[[_Place], str]
) -> tuple[Block, ...]:
    """Leaves of the same group together, the groups from the top."""
    if network_name not in _PLACES:
        raise InputError(f"network {network_name!r}: expected one of {', '.join(_PLACES)}")
    placed = []
    for path in _leaf_paths(params):
        place = _in_head(path) if path[0] == "head" else _PLACES[network_name](path[0])
        if place is None:
            raise InputError(f"parameter {'/'.join(path)}: expected those of {network_name}")
        placed.append((place, path))
    placed.sort(key=lambda pair: pair[0].rank, reverse=True)
    groups: dict[str, list[Path]] = {}
    for place, path in placed:
        groups.setdefault(group_of(place), []).append(path)
    return tuple(Block(name, tuple(paths)) for name, paths in groups.items())


def _leaf_paths(params: Params) -> list[Path]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [tuple(key.key for key in path) for path, _ in leaves]


_HEAD_RANK = 99


def _in_head(path: Path) -> _Place:
    layer = path[1] if len(path) > 2 else ""
    hidden = re.fullmatch(r"hidden_(\d+)", layer)
    order = 0 if layer == "sex" else 1 + int(hidden[1]) if hidden else _HEAD_RANK
    return _Place("head", f"head/{layer}".rstrip("/"), (_HEAD_RANK, order))


def _in_conv4(name: str) -> _Place | None:
    if not (found := re.fullmatch(r"(?:conv|norm)_(\d+)", name)):
        return None
    index = int(found[1])
    return _Place(f"block{index + 1}", f"conv_{index}", (index,))


def _in_resnet(name: str) -> _Place | None:
    if name == "stem":
        return _Place("stem", name, (0,))
    if not (found := re.fullmatch(r"stage_(\d)_block_(\d+)_(?:conv_(\d)|shortcut)", name)):
        return None
    stage, block, index = (int(part or 0) for part in found.groups())
    return _Place(f"layer{stage}", name, (stage, block, index))


_MIDDLE_FLOW = range(4, 12)


def _in_xception(name: str) -> _Place | None:
    if found := re.fullmatch(r"stem_(\d)", name):
        return _Place("entry", name, (0, int(found[1])))
    if found := re.fullmatch(r"last_(\d)", name):
        return _Place("exit", name, (_HEAD_RANK - 1, int(found[1])))
    if not (found := re.fullmatch(r"block_(\d+)_(?:separable_(\d)|shortcut)", name)):
        return None
    block, index = (int(part or 0) for part in found.groups())
    before = "entry" if block < _MIDDLE_FLOW.start else "exit"
    return _Place("middle" if block in _MIDDLE_FLOW else before, name, (block, index))


def _inception_places() -> dict[str, _Place]:
    places = {}
    for rank, (block, unit) in enumerate(inception.units()):
        name = f"{block}_{unit}".lstrip("_")
        places[name] = _Place(block or "stem", name, (0, rank))
    return places


_PLACES: dict[str, Callable[[str], _Place | None]] = {
    "conv4": _in_conv4,
    "resnet18": _in_resnet,
    "resnet50": _in_resnet,
    "xception": _in_xception,
    "inception_v3": _inception_places().get,
}

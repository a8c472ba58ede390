"""What Meta's and timm's files of DINOv2 call their tensors."""

import math
from collections.abc import Callable, Mapping
from functools import partial

from metabone.nets.dinov2 import BLOCKS
from metabone.nets.published_layouts import Layout, Place, Stored
from metabone.nets.tensor_files import StoredTensor
from metabone.nets.torch_names import with_torch_classes

_DENSE = {
    "attention_in": "attn.qkv",
    "attention_out": "attn.proj",
    "mlp_in": "mlp.fc1",
    "mlp_out": "mlp.fc2",
}
_GRID = 37  # positions a side that are published


def dinov2_layout(
    tensors: Mapping[str, StoredTensor],
    kind: str,
    classifier: bool,
    *,
    title: str,
    channels: int,
    registers: int = 0,
    patch_mean: bool = False,
) -> Layout:
    """The layout of a DINOv2 network.

    Meta's files, and those written for Meta's code, hold a `mask_token`; timm's do not. This tells
    how positions are resized, see `dinov2.resized_positions`. Only a file written by timm for an
    own network has a classifier.

    Args:
      tensors: of the file.
      kind: of the file; nothing depends on it.
      classifier: whether its classes are wanted; they may be there in any case.
      title: of the network.
      channels: see `dinov2.dinov2`.
      registers: likewise.
      patch_mean: likewise.

    Returns:
      The layout.
    """
    del kind
    meta = "mask_token" in tensors
    class_position = meta or not registers
    arrays: dict[Place, Stored] = {
        ("params", "patches", "kernel"): Stored("patch_embed.proj.weight", (2, 3, 1, 0)),
        ("params", "patches", "bias"): Stored("patch_embed.proj.bias"),
        ("params", "class_token"): Stored("cls_token"),
        ("params", "positions"): Stored("pos_embed"),
        **_norm("norm", ("params", "norm")),
    }
    if registers:
        arrays["params", "registers"] = Stored("register_tokens" if meta else "reg_token")
    for index in range(BLOCKS):
        ours, theirs = ("params", f"block_{index}"), f"blocks.{index}"
        for number in (1, 2):
            arrays |= _norm(f"{theirs}.norm{number}", (*ours, f"norm_{number}"))
            arrays[*ours, f"gain_{number}"] = Stored(f"{theirs}.ls{number}.gamma")
        for name, dense in _DENSE.items():
            arrays[*ours, name, "kernel"] = Stored(f"{theirs}.{dense}.weight", (1, 0))
            arrays[*ours, name, "bias"] = Stored(f"{theirs}.{dense}.bias")
    options = {
        "channels": channels,
        "registers": registers,
        "grid": _grid(tensors, class_position),
        "class_position": class_position,
        "antialias": not meta or registers > 0,
        "patch_mean": patch_mean,
    }
    layout = Layout(f"{'Meta' if meta else 'timm'}'s {title}", arrays, options=options)
    return with_torch_classes(layout, "head", classifier, ("mask_token",))


def _norm(theirs: str, place: Place) -> dict[Place, Stored]:
    return {
        (*place, "scale"): Stored(f"{theirs}.weight"),
        (*place, "bias"): Stored(f"{theirs}.bias"),
    }


def _grid(tensors: Mapping[str, StoredTensor], class_position: bool) -> int:
    """Positions a side in the file; those published where these are no square, to be refused."""
    shape = tensors["pos_embed"].shape if "pos_embed" in tensors else ()
    count = shape[1] - class_position if len(shape) == 3 else 0
    side = math.isqrt(max(count, 0))
    return side if side and side**2 == count else _GRID


_NETWORKS = {
    "dinov2_s14": {"title": "DINOv2 ViT-S/14", "channels": 384},
    "dinov2_b14": {"title": "DINOv2 ViT-B/14", "channels": 768},
    "dinov2_s14_reg": {
        "title": "DINOv2 ViT-S/14 with registers",
        "channels": 384,
        "registers": 4,
    },
    "dinov2_b14_reg": {
        "title": "DINOv2 ViT-B/14 with registers",
        "channels": 768,
        "registers": 4,
    },
    "rad_dino": {"title": "DINOv2 ViT-B/14", "channels": 768},
}

DINOV2_LAYOUTS: Mapping[str, Callable[..., Layout]] = {
    name + ending: partial(dinov2_layout, patch_mean=bool(ending), **network)
    for name, network in _NETWORKS.items()
    for ending in ("", "_patches")
}
"""Layouts by names of backbones; with `_patches` the mean of the patches' tokens follows the class
token in the features."""

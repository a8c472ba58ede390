"""Published weights of VGG16's convolutional part, from the files as they are published."""

import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError
from metabone.nets.layers import EPSILON
from metabone.nets.network import NormStats, Params
from metabone.nets.tensor_files import ITEM_BYTES, StoredTensor, TensorFile, open_tensors, shown
from metabone.nets.vgg16_names import (
    CONVOLUTIONS,
    STAGES,
    Layout,
    Role,
    is_classifier,
    keras_layout,
    shapes,
    torch_layout,
)

_TORCH_EPSILON = 1e-5

_RGB_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_RGB_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_BGR_MEAN = np.array([103.939, 116.779, 123.68], np.float32)

_NAMED = 3  # tensors of each sort in a message


class PretrainedVgg16(NamedTuple):
    """VGG16's convolutional part with weights from a file.

    Attributes:
      params: the tree of `vgg16(0, width=width, widths=(), batch_norm=batch_norm)`, NumPy float32.
      norm_stats: its stored statistics, to be used as they are: see `load_vgg16`; `{}` without
        batch normalisation.
      width: filters relative to the paper's.
      batch_norm: whether batch normalisation follows each convolution.
      prepare: from uint8 images to what the weights were trained on, one of `standardise_rgb` and
        `centre_bgr`.
      preprocessing: what `prepare` does, for a record.
      sha256: of the file.
    """

    params: Params
    norm_stats: NormStats
    width: float
    batch_norm: bool
    prepare: Callable[[jax.Array], jax.Array]
    preprocessing: str
    sha256: str


def standardise_rgb(images: jax.Array) -> jax.Array:
    """Prepares images as torchvision and timm do for VGG16.

    Args:
      images: `[n, H, W, 3]` RGB, or `[n, H, W, 1]` grey, uint8.

    Returns:
      `[n, H, W, 3]` float32: over 255, less ImageNet's mean, over its standard deviation, both of
      each channel.
    """
    return (_three_channels(images) / 255 - _RGB_MEAN) / _RGB_DEVIATION


def centre_bgr(images: jax.Array) -> jax.Array:
    """Prepares images as Keras does for VGG16, and Caffe before it.

    Args:
      images: `[n, H, W, 3]` RGB, or `[n, H, W, 1]` grey, uint8.

    Returns:
      `[n, H, W, 3]` float32: BGR in 0 .. 255 less ImageNet's mean of each channel.
    """
    return _three_channels(images)[..., ::-1] - _BGR_MEAN


def load_vgg16(path: str | os.PathLike) -> PretrainedVgg16:
    """Reads the convolutional part of VGG16 from a published file; a classifier in it is ignored.

    Read are safetensors with the names of torchvision or timm, with or without batch normalisation,
    and Keras's HDF5. The preprocessing follows from that. One file is the exception, and cannot be
    told from the others: torchvision's `IMAGENET1K_FEATURES` expects another.

    With batch normalisation, the bias of each convolution and the difference between PyTorch's
    epsilon and ours are folded into the stored statistics. The network is then exactly the
    published one as long as it normalises by these, as a frozen backbone does.

    Args:
      path: A file in safetensors or HDF5 format; tensors of float16, bfloat16, float32 or float64.
        Any width is read whose stages have the paper's 64 to 512 filters times one factor.

    Returns:
      The weights, and what belongs to them.

    Raises:
      InputError: The file is missing, damaged, of another kind (pickles are never read) or of
        another network, or holds numbers that are not finite.
    """
    path = Path(path)
    with open_tensors(path, below="model_weights") as file:
        tensors = {name: t for name, t in file.tensors.items() if not is_classifier(name)}
        is_torch = file.kind == "safetensors"
        layout = torch_layout(tensors) if is_torch else keras_layout(tensors)
        filters = _check(path, layout, tensors, file)
        read = {key: _read(path, name, tensors[name]) for key, name in layout.names.items()}
    params, norm_stats = _as_trees(path, layout, read)
    return PretrainedVgg16(
        params,
        norm_stats,
        filters / STAGES[0][1],
        layout.batch_norm,
        standardise_rgb if is_torch else centre_bgr,
        "RGB / 255, less (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225)"
        if is_torch
        else "BGR, less (103.939, 116.779, 123.68)",
        file.sha256,
    )


def _three_channels(images: jax.Array) -> jax.Array:
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(f"images {images.shape}: expected [n, H, W, 3] or [n, H, W, 1]")
    images = jnp.asarray(images, jnp.float32)
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


def _check(
    path: Path, layout: Layout, tensors: Mapping[str, StoredTensor], file: TensorFile
) -> int:
    """Compares all names, shapes and dtypes; returns the filters of the first convolution."""
    names = layout.names.values()
    missing = [name for name in names if name not in tensors]
    surplus = sorted(set(tensors) - set(names) - layout.optional)
    if missing or surplus:
        found = [
            f"{word} {_listed(of)}"
            for word, of in (("missing", missing), ("surplus", surplus))
            if of
        ]
        raise InputError(f"{path}: not {layout.title}: {'; '.join(found)}")
    first = layout.names[CONVOLUTIONS[0], "kernel"]
    shape = tensors[first].shape
    filters = shape[0 if layout.output_first else -1] if len(shape) == 4 else 0
    # Zero filters, or a kernel of other than four axes, is told by what 64 would have been.
    expected = shapes(layout, filters or STAGES[0][1])
    differing = [
        f"{shown(name)} is {tensors[name].shape}, expected {shape}"
        for name, shape in expected.items()
        if tensors[name].shape != shape
    ]
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise InputError(f"{path}: not {layout.title}: {'; '.join(differing[:_NAMED])}{more}")
    for name in names:
        if tensors[name].dtype not in ITEM_BYTES:
            raise InputError(
                f"{path}: {shown(name)} is {tensors[name].dtype}, expected one of "
                f"{', '.join(ITEM_BYTES)}"
            )
    # Before anything of these sizes is allocated.
    total = sum(math.prod(tensors[name].shape) * ITEM_BYTES[tensors[name].dtype] for name in names)
    if total > file.size:
        raise InputError(
            f"{path}: its tensors would take {total} bytes, the file has {file.size}; truncated?"
        )
    return filters


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown(name) for name in list(names)[:_NAMED]) + more


def _read(path: Path, name: str, tensor: StoredTensor) -> np.ndarray:
    with np.errstate(over="ignore"):  # float64 beyond float32 is found below
        array = tensor.read().astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {shown(name)} holds numbers that are not finite")
    return array


def _as_trees(
    path: Path, layout: Layout, read: Mapping[tuple[str, Role], np.ndarray]
) -> tuple[Params, NormStats]:
    params, norm_stats = {}, {}
    for name in CONVOLUTIONS:
        kernel = read[name, "kernel"]
        if layout.output_first:
            kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        if not layout.batch_norm:
            params[f"conv_{name}"] = {"kernel": kernel, "bias": read[name, "bias"]}
            continue
        if (read[name, "var"] < 0).any():
            raise InputError(
                f"{path}: {shown(layout.names[name, 'var'])} holds a negative variance"
            )
        params[f"conv_{name}"] = {"kernel": kernel}
        params[f"norm_{name}"] = {"scale": read[name, "scale"], "bias": read[name, "offset"]}
        # Our convolution has no bias here, and our epsilon is larger; both go into the statistics.
        # A tiny variance becomes negative by that, but never with our epsilon added again. Only
        # stored statistics can hold this: those of a batch would undo it.
        mean = read[name, "mean"].astype(np.float64) - read[name, "bias"]
        var = read[name, "var"].astype(np.float64) + (_TORCH_EPSILON - EPSILON)
        norm_stats[f"norm_{name}"] = {
            "mean": mean.astype(np.float32),
            "var": var.astype(np.float32),
        }
    return params, norm_stats

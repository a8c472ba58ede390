"""Published backbones by name: network, weights from a file, and the images they expect."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax

from metabone.errors import InputError
from metabone.nets.crops import CROPS, mean_of_crops, whole_size
from metabone.nets.dinov2 import dinov2
from metabone.nets.dinov2_names import DINOV2_LAYOUTS
from metabone.nets.efficientnet import efficientnet_lite0
from metabone.nets.efficientnet_names import efficientnet_layout
from metabone.nets.image_chunks import over_images
from metabone.nets.inception import inception_v3
from metabone.nets.inception_names import inception_layout
from metabone.nets.network import Apply, Network, NormStats, Params
from metabone.nets.networks import vgg16
from metabone.nets.preprocessing import Grey, Preprocessing, preparation, resized
from metabone.nets.published_layouts import Layout, Place, read_layout
from metabone.nets.resnet import resnet18, resnet50
from metabone.nets.resnet_names import resnet18_layout, resnet50_layout
from metabone.nets.tensor_files import StoredTensor, open_tensors
from metabone.nets.weights import load_vgg16
from metabone.nets.xception import xception
from metabone.nets.xception_names import xception_layout


class Recipe(NamedTuple):
    """All that a published backbone is but for its weights.

    Attributes:
      network: `(classes, *, width, **layout.options)` to the network.
      layout: `(tensors, kind of file, classifier wanted)` to how that file stores it.
      preprocessing: what its weights were trained on.
      stem: place of the kernel that meets the images.
    """

    network: Callable[..., Network]
    layout: Callable[[Mapping[str, StoredTensor], str, bool], Layout]
    preprocessing: Preprocessing
    stem: Place = ("params", "stem", "kernel")


_IMAGENET = Preprocessing(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear")
_DINOV2 = _IMAGENET._replace(interpolation="bicubic")
# Of the chest radiographs that it was trained on.
_RAD_DINO = Preprocessing(518, (0.5307,) * 3, (0.2583,) * 3)

_RECIPES = {
    "efficientnet_lite0": Recipe(efficientnet_lite0, efficientnet_layout, Preprocessing(224)),
    "resnet18": Recipe(resnet18, resnet18_layout, _IMAGENET),
    "resnet50": Recipe(resnet50, resnet50_layout, _IMAGENET),
    "inception_v3": Recipe(
        inception_v3, inception_layout, Preprocessing(299), ("params", "Conv2d_1a_3x3", "kernel")
    ),
    "xception": Recipe(
        xception, xception_layout, Preprocessing(299), ("params", "stem_1", "kernel")
    ),
    **{
        name: Recipe(
            dinov2,
            layout,
            _RAD_DINO if name.startswith("rad_dino") else _DINOV2,
            ("params", "patches", "kernel"),
        )
        for name, layout in DINOV2_LAYOUTS.items()
    },
}

# What first layers make of an image; one of 224 pixels a side then goes through alone.
_BYTES_PER_PIXEL = 64

BACKBONES = (*_RECIPES, "vgg16")
"""The names that `load_backbone` knows."""


class PublishedBackbone(NamedTuple):
    """A published network with the weights of a file.

    Attributes:
      network: from prepared images to features `[n, D]`, or with its classifier to logits; of
        several crops their mean. By stored statistics, on a CPU, it takes one image after the
        other.
      params: its parameters, NumPy float32.
      norm_stats: its stored statistics, to be used as they are; `{}` without batch normalisation.
      prepare: from uint8 images to what the weights were trained on, see
        `preprocessing.preparation`.
      size: pixels a side of prepared images.
      preprocessing: what `prepare` does, for a record.
      sha256: of the file.
      expected: what the weights were trained on, but of `size`.
    """

    network: Network
    params: Params
    norm_stats: NormStats
    prepare: Callable[[jax.Array], jax.Array]
    size: int
    preprocessing: str
    sha256: str
    expected: Preprocessing


def load_backbone(
    name: str,
    path: str | os.PathLike,
    *,
    classifier: bool = False,
    size: int | None = None,
    crop: float = 1.0,
    crops: int = 1,
    grey: Grey = "repeat",
    width: float = 1.0,
    maps: bool = False,
) -> PublishedBackbone:
    """Reads a published backbone from a safetensors or Keras HDF5 file; nothing is unpickled.

    VGG16 has a reader of its own, `weights.load_vgg16`; here its features are the means of its last
    maps, without classifier, and its file tells its width.

    Args:
      name: one of `BACKBONES`.
      path: The file; tensors of float16, bfloat16, float32 or float64.
      classifier: whether the network ends in the file's classes; otherwise in features.
      size: pixels a side of what the network looks at; None for what the weights were trained on.
      crop: see `preprocessing.preparation`.
      crops: how many crops of an image outputs are the mean of, one of `crops.CROPS`; with more
        than one, prepared images are 8 / 7 as large a side.
      grey: likewise; with `sum` the network takes grey images alone.
      width: multiplies all channels; the published files have 1.
      maps: whether the body ends in its last maps `[n, h, w, c]`, rather than in their means; of
        convolutional networks but VGG16.

    Returns:
      The network, its weights, and what belongs to them.

    Raises:
      InputError: an unknown name; a file that is missing, damaged, of another kind (pickles are
        never read) or of another network, or that holds numbers that are not finite.
    """
    if name not in BACKBONES:
        raise InputError(f"backbone {name!r}: expected one of {', '.join(BACKBONES)}")
    if size is not None and size < 1:
        raise InputError(f"size (={size}): expected at least 1")
    if crops not in CROPS:
        raise InputError(f"crops (={crops}): expected one of {', '.join(map(str, CROPS))}")
    if crops > 1 and (crop != 1 or maps):
        raise InputError(f"crops (={crops}): expected neither a crop of the middle nor maps beside")
    expected = _IMAGENET if name == "vgg16" else _RECIPES[name].preprocessing
    seen = size or expected.size
    expected = expected._replace(size=whole_size(seen, crops))
    prepare, line = preparation(expected, crop, grey)
    if name == "vgg16":
        if classifier or grey == "sum" or width != 1 or crops > 1 or maps:
            raise InputError(
                "vgg16 is read without classifier, sum of its kernel, width, crops or maps"
            )
        return _vgg16(path, expected, crop)
    if maps and name in DINOV2_LAYOUTS:
        raise InputError(f"{name} has no maps: expected a convolutional network")
    recipe, path = _RECIPES[name], Path(path)
    with open_tensors(path, below="model_weights") as file:
        layout = recipe.layout(file.tensors, file.kind, classifier)
        classes = _classes(path, layout, file.tensors) if classifier else 0
        ends = {"average": False} if maps else {}
        network = recipe.network(classes, width=width, **layout.options, **ends)
        shapes = jax.eval_shape(lambda key: network.init(key, (seen, seen, 3)), jax.random.key(0))
        trees = dict(zip(("params", "norm_stats"), shapes, strict=True))
        params, norm_stats = read_layout(path, file, layout, trees)
    if grey == "sum":
        _sum_first({"params": params}, recipe.stem)
    network = _in_turn(network)
    if crops > 1:
        network = mean_of_crops(network, seen, crops)
        line += f", the mean of {crops} crops of {seen}"
    return PublishedBackbone(
        network, params, norm_stats, prepare, expected.size, line, file.sha256, expected
    )


def _vgg16(path: str | os.PathLike, expected: Preprocessing, crop: float) -> PublishedBackbone:
    found = load_vgg16(path)
    maps = vgg16(0, width=found.width, widths=(), batch_norm=found.batch_norm)

    def means(params, norm_stats, images, use_batch_stats):
        features, stats = maps.apply(params, norm_stats, images, use_batch_stats)
        return features.mean((1, 2)), stats

    def prepare(images):
        return found.prepare(resized(images, expected.size, crop, expected.interpolation))

    return PublishedBackbone(
        _in_turn(Network(maps.init, means)),
        found.params,
        found.norm_stats,
        prepare,
        expected.size,
        f"{expected.interpolation} to {expected.size} pixels a side of the middle {crop:g}, "
        f"{found.preprocessing}",
        found.sha256,
        expected,
    )


def _classes(path: Path, layout: Layout, tensors: Mapping[str, StoredTensor]) -> int:
    name = layout.arrays["params", "head", "classes", "bias"].name
    if name not in tensors or len(tensors[name].shape) != 1 or not tensors[name].shape[0]:
        raise InputError(f"{path}: {name} is missing or no row: there is no classifier to read")
    return tensors[name].shape[0]


def _sum_first(trees: dict, stem: Place) -> None:
    branch = trees
    for key in stem[:-1]:
        branch = branch[key]
    branch[stem[-1]] = branch[stem[-1]].sum(-2, keepdims=True)


def _in_turn(network: Network) -> Network:
    """The network, taking one image after the other where that is faster and gives the same."""

    def wrapped(apply: Apply) -> Apply:
        def one_by_one(params, norm_stats, images, use_batch_stats):
            if use_batch_stats and norm_stats:
                return apply(params, norm_stats, images, True)

            def look(images):
                return apply(params, norm_stats, images, False)[0]

            height, width = images.shape[1:3]
            each = height * width * _BYTES_PER_PIXEL
            return over_images(look, images, bytes_each=each), norm_stats

        return one_by_one

    body = None if network.body is None else wrapped(network.body)
    return network._replace(apply=wrapped(network.apply), body=body)

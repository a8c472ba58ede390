"""Files of published backbones with drawn weights, for the tests of what reads them."""

import h5py
import jax
from safetensors.numpy import save_file

from benchmarks.drawn_weights import GAINS, draw_tensors
from metabone.nets.efficientnet import efficientnet_lite0
from metabone.nets.efficientnet_names import efficientnet_layout
from metabone.nets.inception import inception_v3
from metabone.nets.inception_names import inception_layout
from metabone.nets.resnet import resnet18, resnet50
from metabone.nets.resnet_names import resnet18_layout, resnet50_layout
from metabone.nets.xception import xception
from metabone.nets.xception_names import xception_layout

CLASSES = 10

NETWORKS = {
    "efficientnet_lite0": (efficientnet_lite0, efficientnet_layout),
    "resnet18": (resnet18, resnet18_layout),
    "resnet50": (resnet50, resnet50_layout),
    "inception_v3": (inception_v3, inception_layout),
    "xception": (xception, xception_layout),
}


def tensors_of(name, kind="safetensors", width=1.0, known=()):
    """A file's tensors by name; `known` are names that tell one package's file from another's."""
    make, layout_of = NETWORKS[name]
    network, layout = make(CLASSES, width=width), layout_of(dict.fromkeys(known), kind, True)
    trees = jax.eval_shape(lambda key: network.init(key, (80, 80, 3)), jax.random.key(0))
    shapes = {}
    for place, stored in layout.arrays.items():
        leaf = dict(zip(("params", "norm_stats"), trees, strict=True))
        for key in place:
            leaf = leaf[key]
        shapes[stored.name] = stored.shape(leaf.shape)
    return draw_tensors(shapes, GAINS.get(name, 1.0))


def save(path, tensors):
    """Writes safetensors, or Keras's HDF5 where the path ends in `.h5`; returns the path."""
    if path.suffix != ".h5":
        save_file(tensors, path)
        return path
    with h5py.File(path, "w") as file:
        for tensor, array in tensors.items():
            file[f"model_weights/{tensor}"] = array
    return path

"""Compares published backbones that `load_backbone` has read with their originals.

    python -m benchmarks.backbones_against_torch

Of each network, timm, torchvision or Keras (on PyTorch) builds the original,
`benchmarks.drawn_weights` draws its tensors by their names, batch statistics included,
`load_backbone` reads them from a file of that package, and both look at the same prepared images.
Prints the largest absolute difference of features and of logits, and the largest magnitude of each;
the exit status is 1 if a difference reaches 1e-4. All compute in float32 on the CPU.

    python -m benchmarks.backbones_against_torch --write_reference=FILE.npz

writes tests/nets/backbones_reference.npz instead, a few of the originals' outputs on small images,
which the tests compare with where there is no PyTorch; weights and images are drawn again there.

None of these packages is among the project's dependencies:
`pip install -r benchmarks/requirements.txt`.
"""

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import jax
import keras
import numpy as np
import timm
import torch
import torchvision
from safetensors.numpy import save_file
from torch import nn
from torchvision import models

from benchmarks import dinov2_originals
from benchmarks.drawn_weights import GAINS, draw_images, draw_tensors
from metabone.nets.published_backbones import load_backbone

LIMIT = 1e-4
CLASSES = 10

ORIGINALS: dict[tuple[str, str], Callable[[int], Any]] = {
    ("efficientnet_lite0", "timm"): lambda size: timm.create_model(
        "tf_efficientnet_lite0", num_classes=CLASSES
    ),
    ("resnet18", "torchvision"): lambda size: models.resnet18(num_classes=CLASSES),
    ("resnet18", "timm"): lambda size: timm.create_model("resnet18", num_classes=CLASSES),
    ("resnet50", "torchvision"): lambda size: models.resnet50(num_classes=CLASSES),
    ("resnet50", "timm"): lambda size: timm.create_model("resnet50", num_classes=CLASSES),
    ("inception_v3", "torchvision"): lambda size: models.inception_v3(
        num_classes=CLASSES, init_weights=False
    ),
    ("inception_v3", "timm"): lambda size: timm.create_model("inception_v3", num_classes=CLASSES),
    ("inception_v3", "keras"): lambda size: keras.applications.InceptionV3(
        weights=None, classes=CLASSES, input_shape=(size, size, 3), classifier_activation=None
    ),
    ("xception", "timm"): lambda size: timm.create_model("legacy_xception", num_classes=CLASSES),
    ("xception", "keras"): lambda size: keras.applications.Xception(
        weights=None, classes=CLASSES, input_shape=(size, size, 3), classifier_activation=None
    ),
    **{
        key: lambda size, key=key: dinov2_originals.original(*key, CLASSES)
        for key in dinov2_originals.ORIGINALS
    },
}
"""By our name and the package: what builds it, with `CLASSES` classes, for a size of images."""

SIZES = {
    "efficientnet_lite0": 64,
    "resnet18": 64,
    "resnet50": 64,
    "inception_v3": 112,
    # Even before a pool, where the paddings of PyTorch and Keras differ.
    "xception": 74,
}
"""Pixels a side of the tests' images; `dinov2_originals` has references of its own."""

Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def original(name: str, origin: str, size: int, path: Path) -> Look:
    """Builds an original with drawn tensors, and saves these.

    Args:
      name: of the backbone.
      origin: the package of the original.
      size: pixels a side of its images.
      path: of the file that is written.

    Returns:
      From prepared images `[n, H, W, 3]` float32 to features `[n, D]` and logits `[n, CLASSES]`.
    """
    keras.backend.clear_session()  # Its layers' names count on from network to network.
    network = ORIGINALS[name, origin](size)
    gain = GAINS.get(name, 1.0)
    return (_keras if origin == "keras" else _torch)(network, gain, path)


def _torch(network: nn.Module, gain: float, path: Path) -> Look:
    state = network.state_dict()
    tensors = draw_tensors({key: tuple(tensor.shape) for key, tensor in state.items()}, gain)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in tensors.items()})
    network.eval()
    save_file(tensors, path)
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]

    def look(images):
        seen = []
        hook = linear.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        with torch.inference_mode():
            logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
        hook.remove()
        return seen[0].numpy(), logits.numpy()

    return look


def _keras(network: keras.Model, gain: float, path: Path) -> Look:
    network.save(path.with_suffix(".h5"))
    shapes = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    with h5py.File(path.with_suffix(".h5"), "a") as file:
        file["model_weights"].visititems(note)
        for name, array in draw_tensors(shapes, gain).items():
            file["model_weights"][name][...] = array
    network.load_weights(path.with_suffix(".h5"))
    path.with_suffix(".h5").rename(path)
    both = keras.Model(network.input, [network.layers[-1].input, network.output])
    return lambda images: tuple(both.predict(images, verbose=0))


def compare(name: str, origin: str, size: int | None, images: int) -> float:
    """Prints and returns the largest difference of one network, see the module.

    Args:
      name: of the backbone.
      origin: the package of the original.
      size: pixels a side; None for those that its weights are published for.
      images: how many.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights")
        look = original(name, origin, size or (299 if "ception" in name else 224), path)
        loaded = load_backbone(name, path, classifier=True, size=size)
    prepared = np.array(loaded.prepare(draw_images(images, loaded.size)))
    theirs = look(prepared)
    body, head = loaded.network.body, loaded.network.head

    @jax.jit
    def ours(params, norm_stats, images):
        features = body(params, norm_stats, images, False)[0]
        return features, head(params, features)

    found = ours(loaded.params, loaded.norm_stats, prepared)
    by_features, by_logits = (
        float(np.abs(np.asarray(a) - b).max()) for a, b in zip(found, theirs, strict=True)
    )
    print(
        f"{name} ({origin}), {images} images of {loaded.size}x{loaded.size}: features differ by "
        f"{by_features:.2g} of {np.abs(theirs[0]).max():.3g}, logits by {by_logits:.2g} of "
        f"{np.abs(theirs[1]).max():.3g}",
        flush=True,
    )
    # NaN is neither below nor above.
    return max(by_features, by_logits) if by_features == by_features else by_features


def write_reference(path: Path) -> None:
    """Writes what the originals make of two small images: logits, and every 97th feature.

    Args:
      path: of the `.npz` file.
    """
    stored = {}
    for name, origin in (key for key in ORIGINALS if key[0] in SIZES):
        with tempfile.TemporaryDirectory() as folder:
            look = original(name, origin, SIZES[name], Path(folder, "weights"))
        features, logits = look(draw_images(2, SIZES[name]).astype(np.float32) / 127.5 - 1)
        stored |= {f"{name} {origin} features": features[:, ::97]}
        stored |= {f"{name} {origin} logits": logits}
    np.savez(path, **stored)
    print(f"{path}: {', '.join(stored)}")


def main() -> int:
    """Runs the comparison, or writes the reference; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--size", type=int, help="pixels a side, instead of each one's own")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--write_reference", type=Path, metavar="FILE")
    flags = parser.parse_args()
    logging.disable(logging.WARNING)  # Keras's, that its HDF5 format is an old one.
    if flags.write_reference:
        write_reference(flags.write_reference)
        return 0
    print(
        f"JAX {jax.__version__} on {jax.default_backend()}, PyTorch {torch.__version__}, "
        f"timm {timm.__version__}, torchvision {torchvision.__version__}, Keras {keras.__version__}"
    )
    wanted = [key for key in ORIGINALS if flags.only in key[0]]
    differences = [compare(*key, flags.size, flags.images) for key in wanted]
    # Written so that a difference of NaN fails.
    return 0 if all(difference < LIMIT for difference in differences) else 1


if __name__ == "__main__":
    sys.exit(main())

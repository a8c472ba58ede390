"""Compares published backbones that `load_backbone` has read with their PyTorch originals.

    python -m benchmarks.backbones_against_torch

Of each network, timm or torchvision builds the original, `benchmarks.drawn_weights` draws its
tensors by their names, batch statistics included, `load_backbone` reads them from a safetensors
file, and both look at the same prepared images. Prints the largest absolute difference of features
and of logits, and the largest magnitude of each; the exit status is 1 if a difference reaches 1e-4.
All compute in float32 on the CPU.

    python -m benchmarks.backbones_against_torch --write_reference=FILE.npz

writes tests/nets/backbones_reference.npz instead, a few of the originals' outputs on small images,
which the tests compare with where there is no PyTorch; weights and images are drawn again there.

Neither package is among the project's dependencies: `pip install -r benchmarks/requirements.txt`.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import timm
import torch
import torchvision
from safetensors.numpy import save_file
from torch import nn
from torchvision import models

from benchmarks.drawn_weights import GAINS, draw_images, draw_tensors
from metabone.nets.published_backbones import load_backbone

LIMIT = 1e-4
CLASSES = 10

ORIGINALS: dict[tuple[str, str], Callable[[], nn.Module]] = {
    ("efficientnet_lite0", "timm"): lambda: timm.create_model(
        "tf_efficientnet_lite0", num_classes=CLASSES
    ),
    ("resnet18", "torchvision"): lambda: models.resnet18(num_classes=CLASSES),
    ("resnet18", "timm"): lambda: timm.create_model("resnet18", num_classes=CLASSES),
    ("resnet50", "torchvision"): lambda: models.resnet50(num_classes=CLASSES),
    ("resnet50", "timm"): lambda: timm.create_model("resnet50", num_classes=CLASSES),
    ("inception_v3", "torchvision"): lambda: models.inception_v3(
        num_classes=CLASSES, init_weights=False
    ),
    ("inception_v3", "timm"): lambda: timm.create_model("inception_v3", num_classes=CLASSES),
    ("xception", "timm"): lambda: timm.create_model("legacy_xception", num_classes=CLASSES),
}
"""By our name and the package: what builds it, with `CLASSES` classes."""

SIZES = {"efficientnet_lite0": 64}
"""Pixels a side of the tests' images."""


def drawn(name: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Draws a network's tensors and has it use them.

    Args:
      name: of the backbone.
      network: set to these, in evaluation mode.

    Returns:
      The tensors by name.
    """
    state = network.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    tensors = draw_tensors(shapes, GAINS.get(name, 1.0))
    network.load_state_dict({key: torch.from_numpy(array) for key, array in tensors.items()})
    network.eval()
    return tensors


def torch_outputs(network: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features before the classifier, and logits.

    Args:
      network: its last layer is linear.
      images: `[n, H, W, 3]` float32, prepared.

    Returns:
      `[n, D]` and `[n, CLASSES]`.
    """
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    seen = []
    hook = linear.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
    hook.remove()
    return seen[0].numpy(), logits.numpy()


def compare(name: str, origin: str, size: int | None, images: int) -> float:
    """Prints and returns the largest difference of one network, see the module.

    Args:
      name: of the backbone.
      origin: the package of the original.
      size: pixels a side; None for what its weights are trained on.
      images: how many.
    """
    network = ORIGINALS[name, origin]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_file(drawn(name, network), path)
        loaded = load_backbone(name, path, classifier=True, size=size)
    prepared = np.array(loaded.prepare(draw_images(images, loaded.size)))
    features, logits = torch_outputs(network, prepared)
    body, head = loaded.network.body, loaded.network.head

    @jax.jit
    def look(params, norm_stats, images):
        features = body(params, norm_stats, images, False)[0]
        return features, head(params, features)

    ours = [np.asarray(a) for a in look(loaded.params, loaded.norm_stats, prepared)]
    by_features, by_logits = (
        float(np.abs(a - b).max()) for a, b in zip(ours, (features, logits), strict=True)
    )
    print(
        f"{name} ({origin}), {images} images of {loaded.size}x{loaded.size}: features differ by "
        f"{by_features:.2g} of {np.abs(features).max():.3g}, logits by {by_logits:.2g} of "
        f"{np.abs(logits).max():.3g}",
        flush=True,
    )
    return max(by_features, by_logits)


def write_reference(path: Path) -> None:
    """Writes what the originals make of two small images: logits, and every 97th feature.

    Args:
      path: of the `.npz` file.
    """
    stored = {}
    for (name, origin), build in ORIGINALS.items():
        network = build()
        drawn(name, network)
        # Prepared as the tests do it without weights: these are all that is loaded.
        images = draw_images(2, SIZES[name]).astype(np.float32) / 127.5 - 1
        features, logits = torch_outputs(network, images)
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
    if flags.write_reference:
        write_reference(flags.write_reference)
        return 0
    print(
        f"JAX {jax.__version__} on {jax.default_backend()}, PyTorch {torch.__version__}, "
        f"timm {timm.__version__}, torchvision {torchvision.__version__}"
    )
    wanted = [key for key in ORIGINALS if flags.only in key[0]]
    differences = [compare(*key, flags.size, flags.images) for key in wanted]
    # Written so that a difference of NaN fails.
    return 0 if all(difference < LIMIT for difference in differences) else 1


if __name__ == "__main__":
    sys.exit(main())

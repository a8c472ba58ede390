"""Compares VGG16's convolutional part on weights that `load_vgg16` has read with PyTorch's own.

    python -m benchmarks.vgg16_against_torch --width=1.0 --size=64 --images=4 --batch_norm

The network is built in PyTorch layer by layer in torchvision's order, with seeded random weights,
biases and, with `--batch_norm`, running statistics; PyTorch saves them as safetensors, `load_vgg16`
reads that file, and both networks look at the same uint8 images, each by its own preprocessing.
Prints the largest absolute difference of the outputs and their largest magnitude; the exit status
is 1 if the difference reaches 1e-4. Both compute in float32 on the CPU.

    python -m benchmarks.vgg16_against_torch --write_reference=tests/nets/vgg16_reference.npz

writes PyTorch's outputs for a small network instead, which the tests compare with where there is no
PyTorch; weights and images are drawn again there.

PyTorch is not among the project's dependencies: `pip install -r benchmarks/requirements.txt`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from metabone.nets.networks import vgg16
from metabone.nets.weights import load_vgg16

LIMIT = 1e-4
REFERENCE = {"width": 1 / 16, "size": 32, "images": 2}

_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def torch_vgg16(width: float, batch_norm: bool, seed: int) -> nn.Sequential:
    """VGG16's convolutional part in torchvision's order, with random weights.

    One NumPy generator draws, convolution by convolution: the kernel `[O, I, 3, 3]`, He-normal; the
    bias, normal of 0.1; and with batch normalisation the running mean, normal of 0.1; the running
    variance, 10 to the power of a uniform -4 to 0, so that small ones tell epsilons apart; the
    weight, uniform 0.8 to 1.2 times the root of that variance; the bias, normal of 0.1.

    Args:
      width: multiplies the filters.
      batch_norm: whether batch normalisation follows each convolution.
      seed: of the weights.

    Returns:
      The layers, float32, in evaluation mode.
    """
    rng = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    inputs = 3
    for convolutions, filters in _STAGES:
        outputs = max(1, round(filters * width))
        for _ in range(convolutions):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
            kernel = rng.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
            _set(convolution, weight=kernel, bias=rng.normal(0, 0.1, outputs))
            layers.append(convolution)
            if batch_norm:
                norm = nn.BatchNorm2d(outputs)
                mean = rng.normal(0, 0.1, outputs)
                var = 10 ** rng.uniform(-4, 0, outputs)
                weight = rng.uniform(0.8, 1.2, outputs) * np.sqrt(var)
                bias = rng.normal(0, 0.1, outputs)
                _set(norm, running_mean=mean, running_var=var, weight=weight, bias=bias)
                layers.append(norm)
            layers.append(nn.ReLU())
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).eval()


def torch_outputs(network: nn.Sequential, images: np.ndarray) -> np.ndarray:
    """PyTorch's outputs of uint8 images, prepared as torchvision documents it.

    Args:
      network: from `torch_vgg16`.
      images: `[n, H, W, 3]` uint8.

    Returns:
      `[n, H / 32, W / 32, C]` float32.
    """
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    with torch.no_grad():
        outputs = network((scaled - mean) / deviation)
    return outputs.permute(0, 2, 3, 1).numpy()


def our_outputs(network: nn.Sequential, images: np.ndarray) -> np.ndarray:
    """Our outputs of uint8 images, with PyTorch's weights by way of a file.

    Args:
      network: from `torch_vgg16`.
      images: `[n, H, W, 3]` uint8.

    Returns:
      `[n, H / 32, W / 32, C]` float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vgg16.safetensors")
        save_file({f"features.{name}": t for name, t in network.state_dict().items()}, path)
        loaded = load_vgg16(path)
    ours = vgg16(0, width=loaded.width, widths=(), batch_norm=loaded.batch_norm)
    compute = jax.jit(lambda p, s, x: ours.apply(p, s, loaded.prepare(x), False)[0])
    return np.asarray(compute(loaded.params, loaded.norm_stats, images))


def draw_images(count: int, size: int, seed: int) -> np.ndarray:
    """Noise over the whole range of uint8.

    Args:
      count: images.
      size: pixels a side.
      seed: of the images.

    Returns:
      `[count, size, size, 3]` uint8.
    """
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def write_reference(path: Path) -> None:
    """Writes PyTorch's outputs for the tests: `plain` and `batch_norm`, weights 0, images 1.

    Args:
      path: of the `.npz` file.
    """
    images = draw_images(REFERENCE["images"], REFERENCE["size"], seed=1)
    outputs = {
        name: torch_outputs(torch_vgg16(REFERENCE["width"], name == "batch_norm", seed=0), images)
        for name in ("plain", "batch_norm")
    }
    np.savez(path, **outputs)
    for name, output in outputs.items():
        print(f"{path}: {name} {output.shape}, largest magnitude {np.abs(output).max():.3g}")


def _set(module: nn.Module, **values: np.ndarray) -> None:
    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(torch.from_numpy(value.astype(np.float32)))


def main() -> int:
    """Runs the comparison, or writes the reference; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=1.0, help="multiplies the filters")
    parser.add_argument("--size", type=int, default=64, help="pixels a side, at least 32")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--batch_norm", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of the weights; the images' is 1 more")
    parser.add_argument("--write_reference", type=Path, metavar="FILE")
    flags = parser.parse_args()
    if flags.write_reference:
        write_reference(flags.write_reference)
        return 0
    network = torch_vgg16(flags.width, flags.batch_norm, flags.seed)
    images = draw_images(flags.images, flags.size, flags.seed + 1)
    theirs, ours = torch_outputs(network, images), our_outputs(network, images)
    difference = float(np.abs(ours - theirs).max())
    print(
        f"VGG16 {'with' if flags.batch_norm else 'without'} batch normalisation, "
        f"width {flags.width:g}, {flags.images} images of {flags.size}x{flags.size}: "
        f"largest absolute difference {difference:.3g}, largest output {np.abs(theirs).max():.3g} "
        f"(JAX {jax.__version__} on {jax.default_backend()}, PyTorch {torch.__version__})"
    )
    # Written so that a difference of NaN fails.
    return 0 if difference < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

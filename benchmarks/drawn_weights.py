"""Random weights that PyTorch, Keras and metabone draw alike, tensor by tensor, from its name."""

import zlib
from collections.abc import Mapping

import numpy as np

GAINS = {"resnet18": 0.6, "resnet50": 0.7, "inception_v3": 1.25, "xception": 0.7}
"""By name of the backbone, where signals would grow or fade from block to block; others have 1."""

_KERNELS = ("depthwise_kernel", "pointwise_kernel", "kernel")


def draw_tensors(
    shapes: Mapping[str, tuple[int, ...]], gain: float = 1.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Draws a network's tensors; none depends on which others there are.

    Kernels are He-normal; variances 10 to the power of a uniform -4 to 0, so that small ones tell
    epsilons apart; a normalisation's scale is uniform 0.8 to 1.2 times the root of its variance and
    `gain`, so that signals keep their size. Where there is no scale, variances are uniform 0.5 to
    1.5. Means and biases are normal of 0.1.

    Args:
      shapes: by name as in the file: PyTorch's (`...weight`, `...running_var`) or Keras's
        (`.../kernel:0`, `.../moving_variance:0`).
      gain: for signals to keep their size in a whole network; see `GAINS`.
      seed: of all.

    Returns:
      By name, float32; counters of batches int64.
    """
    drawn = {name: _draw(name, shape, gain, seed) for name, shape in shapes.items()}
    for name in shapes:
        scale = name.replace("moving_variance", "gamma")
        if scale != name and scale not in shapes:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            drawn[name] = rng.uniform(0.5, 1.5, shapes[name]).astype(np.float32)
    return drawn


def _draw(name: str, shape: tuple[int, ...], gain: float, seed: int) -> np.ndarray:
    last = name.replace("/", ".").split(":")[0].split(".")[-1]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last in ("running_var", "moving_variance"):
        drawn = 10 ** rng.uniform(-4, 0, shape)
    elif last in ("weight", "gamma") and len(shape) == 1:
        variance = "running_var" if last == "weight" else "moving_variance"
        beside = _draw(name.replace(last, variance), shape, gain, seed)
        drawn = gain * rng.uniform(0.8, 1.2, shape) * np.sqrt(beside)
    elif last in _KERNELS:
        inputs = shape[:2] if last == "depthwise_kernel" else shape[:-1]
        drawn = rng.normal(0, np.sqrt(2 / np.prod(inputs)), shape)
    elif last == "weight":
        drawn = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    else:
        drawn = rng.normal(0, 0.1, shape)
    return drawn.astype(np.float32)


def draw_images(count: int, size: int, seed: int = 1) -> np.ndarray:
    """Smooth colours with some noise, so that a pixel's neighbours tell of it.

    Args:
      count: images.
      size: pixels a side.
      seed: of the images.

    Returns:
      `[count, size, size, 3]` uint8.
    """
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 255, (count, 2, 2, 3))
    along = np.linspace(0, 1, size)
    ramps = np.stack([1 - along, along])
    smooth = np.einsum("nabc,ay,bx->nyxc", corners, ramps, ramps)
    noisy = smooth + rng.normal(0, 20, smooth.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)

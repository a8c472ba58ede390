"""VGG16 against PyTorch's outputs, which `benchmarks/vgg16_against_torch.py` has stored."""

from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from metabone.nets.networks import vgg16
from metabone.nets.weights import load_vgg16

_STORED = Path(__file__).with_name("vgg16_reference.npz")


def _draw(batch_norm: bool) -> dict[str, np.ndarray]:
    # The benchmark's draws in its order, at width 1/16; layer numbers are torchvision's.
    rng = np.random.default_rng(0)
    drawn, layer, inputs = {}, 0, 3
    for convolutions, outputs in ((2, 4), (2, 8), (3, 16), (3, 32), (3, 32)):
        for _ in range(convolutions):
            name = f"features.{layer}"
            kernel = rng.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
            drawn |= {f"{name}.weight": kernel, f"{name}.bias": rng.normal(0, 0.1, outputs)}
            if batch_norm:
                name = f"features.{layer + 1}"
                drawn[f"{name}.running_mean"] = rng.normal(0, 0.1, outputs)
                var = drawn[f"{name}.running_var"] = 10 ** rng.uniform(-4, 0, outputs)
                drawn[f"{name}.weight"] = rng.uniform(0.8, 1.2, outputs) * np.sqrt(var)
                drawn[f"{name}.bias"] = rng.normal(0, 0.1, outputs)
            layer += 3 if batch_norm else 2
            inputs = outputs
        layer += 1
    return {name: array.astype(np.float32) for name, array in drawn.items()}


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_torchvision_file_gives_pytorchs_outputs(tmp_path, batch_norm):
    path = tmp_path / "vgg16.safetensors"
    save_file(_draw(batch_norm), path)
    loaded = load_vgg16(path)
    assert loaded.batch_norm == batch_norm and loaded.width == 1 / 16
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    network = vgg16(0, width=loaded.width, widths=(), batch_norm=batch_norm)
    compute = jax.jit(lambda p, s, x: network.apply(p, s, loaded.prepare(x), False)[0])
    outputs = np.asarray(compute(loaded.params, loaded.norm_stats, images))
    with np.load(_STORED, allow_pickle=False) as stored:
        expected = stored["batch_norm" if batch_norm else "plain"]
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-4)

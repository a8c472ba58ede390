"""Backbones against what `benchmarks/backbones_against_torch.py` has stored of their originals."""

from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file

from benchmarks.drawn_weights import draw_images, draw_tensors
from metabone.nets.efficientnet import efficientnet_lite0
from metabone.nets.efficientnet_names import efficientnet_layout
from metabone.nets.published_backbones import load_backbone

_STORED = Path(__file__).with_name("backbones_reference.npz")
_CLASSES = 10


def _shapes(network, layout):
    """Names and shapes of a file of that layout."""
    params, stats = jax.eval_shape(lambda k: network.init(k, (64, 64, 3)), jax.random.key(0))
    found = {}
    for place, stored in layout.arrays.items():
        leaf = {"params": params, "norm_stats": stats}
        for key in place:
            leaf = leaf[key]
        found[stored.name] = stored.shape(leaf.shape)
    return found


def _save(path, network, layout):
    save_file(draw_tensors(_shapes(network, layout)), path)
    return path


def _agrees_with_the_original(path, name, origin, size):
    loaded = load_backbone(name, path, classifier=True, size=size)
    images = draw_images(2, size).astype(np.float32) / 127.5 - 1
    body, head = loaded.network.body, loaded.network.head

    @jax.jit
    def look(params, stats, images):
        features = body(params, stats, images, False)[0]
        return features, head(params, features)

    features, logits = look(loaded.params, loaded.norm_stats, images)
    with np.load(_STORED, allow_pickle=False) as stored:
        assert np.abs(stored[f"{name} {origin} logits"]).max() > 0.5
        expected = stored[f"{name} {origin} features"]
        np.testing.assert_allclose(features[:, ::97], expected, rtol=0, atol=1e-4)
        expected = stored[f"{name} {origin} logits"]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def test_efficientnet_lite0_gives_the_outputs_of_timms(tmp_path):
    layout = efficientnet_layout({}, "safetensors", classifier=True)
    path = _save(tmp_path / "w", efficientnet_lite0(_CLASSES), layout)
    _agrees_with_the_original(path, "efficientnet_lite0", "timm", 64)

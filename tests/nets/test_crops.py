"""Outputs on several crops against those on crops that are cut by hand."""

import jax
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.crops import mean_of_crops
from metabone.nets.network import Network
from metabone.nets.published_backbones import load_backbone
from tests.nets.backbone_files import save, tensors_of


def by_hand(images, size, mirrored):
    down, right = images.shape[1] - size, images.shape[2] - size
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    found = [images[:, top : top + size, left : left + size] for top, left in corners]
    return found + [crop[:, :, ::-1] for crop in found] * mirrored


@pytest.mark.parametrize("crops", [5, 10])
def test_outputs_are_the_means_of_those_on_corners_and_middle(crops):
    rng = np.random.default_rng(0)
    images, weights = rng.normal(size=(3, 8, 10, 2)), rng.normal(size=(6 * 6 * 2, 4))

    def apply(params, norm_stats, images, use_batch_stats):
        return images.reshape(len(images), -1) @ params, norm_stats

    whole = mean_of_crops(Network(lambda key, shape: (weights, {}), apply), 6, crops)
    found, _ = jax.jit(whole.apply, static_argnums=3)(weights, {}, images, False)
    each = [crop.reshape(3, -1) @ weights for crop in by_hand(images, 6, crops == 10)]
    assert len(each) == crops
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-4, atol=1e-5)


def test_statistics_of_a_batch_are_those_of_all_its_crops():
    def apply(params, norm_stats, images, use_batch_stats):
        mean = images.mean() if use_batch_stats else norm_stats["mean"]
        return images.sum((1, 2)) - mean, {"mean": mean}

    images = np.random.default_rng(1).normal(size=(2, 6, 6, 1)).astype(np.float32)
    network = mean_of_crops(Network(lambda key, shape: ({}, {}), apply), 4, 5)
    found, kept = network.apply({}, {"mean": 0.0}, images, True)
    crops = by_hand(images, 4, False)
    together = np.mean(crops)
    assert kept["mean"] == pytest.approx(together, rel=1e-4)
    each = [crop.sum((1, 2)) - together for crop in crops]
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-4, atol=1e-5)


def test_a_published_backbone_looks_at_crops_of_a_larger_image(tmp_path):
    path = save(tmp_path / "weights.safetensors", tensors_of("resnet18", width=0.1))
    one = load_backbone("resnet18", path, size=32, width=0.1)
    five = load_backbone("resnet18", path, size=32, width=0.1, crops=5)
    assert five.size == 36 and five.preprocessing.endswith(", the mean of 5 crops of 32")
    images = np.random.default_rng(2).integers(0, 256, (2, 36, 36, 3), np.uint8)
    prepared = five.prepare(images)

    @jax.jit
    def alone(crop):
        return one.network.apply(one.params, one.norm_stats, crop, False)[0]

    each = [alone(np.asarray(crop)) for crop in by_hand(np.asarray(prepared), 32, False)]
    assert np.abs(each[0] - each[3]).max() > 1e-3
    found = jax.jit(five.network.apply, static_argnums=3)(
        five.params, five.norm_stats, prepared, False
    )[0]
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("resnet18", {"crops": 2}, r"crops \(=2\): expected one of 1, 5, 10"),
        ("resnet18", {"crops": 5, "crop": 0.9}, "expected neither a crop"),
        ("vgg16", {"crops": 5}, "vgg16 is read without"),
    ],
)
def test_crops_that_cannot_be_are_refused_before_a_file_is_opened(name, asked, said):
    with pytest.raises(InputError, match=said):
        load_backbone(name, "no file", **asked)

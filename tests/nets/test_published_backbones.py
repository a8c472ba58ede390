"""Backbones against what `benchmarks/backbones_against_torch.py` has stored of their originals."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from benchmarks.drawn_weights import draw_images
from metabone.errors import InputError
from metabone.nets.conv_norm import convolve
from metabone.nets.efficientnet_names import efficientnet_layout
from metabone.nets.inception_names import inception_layout
from metabone.nets.networks import vgg16
from metabone.nets.preprocessing import Preprocessing, preparation
from metabone.nets.published_backbones import BACKBONES, load_backbone
from metabone.nets.resnet import resnet18
from metabone.nets.vgg16_names import CONVOLUTIONS as VGG16_CONVOLUTIONS
from metabone.nets.vgg16_names import torch_layout
from metabone.nets.weights import load_vgg16
from tests.nets.backbone_files import save, tensors_of

_STORED = Path(__file__).with_name("backbones_reference.npz")


def _agrees(folder, name, origin, size):
    """Compares with the original; the arrays of both packages are the same, but for their names."""
    kind, ending = ("hdf5", ".h5") if origin == "keras" else ("safetensors", ".safetensors")
    path = save(folder / f"weights{ending}", tensors_of(name, kind))
    loaded = load_backbone(name, path, classifier=True, size=size)
    images = draw_images(2, size).astype(np.float32) / 127.5 - 1
    body, head = loaded.network.body, loaded.network.head

    @jax.jit
    def look(params, stats, images):
        features = body(params, stats, images, False)[0]
        return features, head(params, features)

    features, logits = look(loaded.params, loaded.norm_stats, images)
    with np.load(_STORED, allow_pickle=False) as stored:
        expected = stored[f"{name} {origin} logits"]
        # What another image gives tells whether any of this depends on the image.
        assert np.abs(expected[0] - expected[1]).max() > 0.01
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
        expected = stored[f"{name} {origin} features"]
        np.testing.assert_allclose(features[:, ::97], expected, rtol=0, atol=1e-4)


_slow = pytest.mark.slow  # Their parts are in what is not: names, blocks, pools.


@pytest.mark.parametrize(
    ("name", "origin", "size"),
    [
        ("efficientnet_lite0", "timm", 64),
        ("resnet18", "torchvision", 64),
        pytest.param("resnet50", "timm", 64, marks=_slow),
        pytest.param("inception_v3", "torchvision", 112, marks=_slow),
        pytest.param("inception_v3", "keras", 112, marks=_slow),
        pytest.param("xception", "timm", 74, marks=_slow),
        pytest.param("xception", "keras", 74, marks=_slow),
    ],
)
def test_a_file_gives_the_outputs_of_its_original(tmp_path, name, origin, size):
    _agrees(tmp_path, name, origin, size)


@pytest.mark.parametrize(
    ("unit", "convolution", "norm"),
    [
        ("stem", "_conv_stem", "_bn0"),
        ("block_0_depthwise", "_blocks.0._depthwise_conv", "_blocks.0._bn1"),
        ("block_4_expand", "_blocks.4._expand_conv", "_blocks.4._bn0"),
        ("block_15_project", "_blocks.15._project_conv", "_blocks.15._bn2"),
        ("last", "_conv_head", "_bn1"),
    ],
)
def test_efficientnet_lite0_is_read_by_the_names_of_its_first_package(unit, convolution, norm):
    layout = efficientnet_layout({"_conv_stem.weight": None}, "safetensors", True)
    assert layout.arrays["params", unit, "kernel"].name == f"{convolution}.weight"
    assert layout.arrays["norm_stats", unit, "norm", "var"].name == f"{norm}.running_var"
    assert layout.arrays["params", "head", "classes", "bias"].name == "_fc.bias"


def test_keras_names_of_any_age_and_count_are_found():
    def arrays(names):
        return inception_layout(dict.fromkeys(names), "hdf5", True).arrays

    def old(name):  # Keras 1: `convolution2d_1/convolution2d_1_W:0`, counted from 1.
        layer, _, role = name.split("/")
        stem, _, number = layer.partition("conv2d")
        if stem == "" and layer != "predictions":
            layer = f"convolution2d_{int(number.lstrip('_') or 0) + 1}"
        elif layer.startswith("batch"):
            number = layer.removeprefix("batch_normalization").lstrip("_")
            layer = f"batchnormalization_{int(number or 0) + 1}"
        role = {"kernel": "W", "bias": "b", "moving_variance": "running_std"}.get(role, role)
        return f"{layer}/{layer}_{role.replace('moving_mean', 'running_mean')}:0"

    def later(name):  # The second network of a session: `conv2d_94/conv2d_94/kernel:0`.
        layer, _, role = name.split("/")
        for stem in ("conv2d", "batch_normalization"):
            if layer.startswith(stem):
                layer = f"{stem}_{int(layer.removeprefix(stem).lstrip('_') or 0) + 94}"
        return f"{layer}/{layer}/{role}:0"

    current = {place: stored.name for place, stored in arrays(()).items()}
    assert current["params", "Conv2d_1a_3x3", "kernel"] == "conv2d/conv2d/kernel"
    last = current["norm_stats", "Mixed_7c_branch_pool", "norm", "var"]
    assert last == "batch_normalization_93/batch_normalization_93/moving_variance"
    for rename in (old, later):
        renamed = {place: rename(name) for place, name in current.items()}
        # The names of a file come in the order of strings, where 10 is before 9.
        found = arrays(sorted(renamed.values()))
        assert {place: stored.name for place, stored in found.items()} == renamed


def test_images_are_resized_as_an_image_library_does_and_standardised():
    image = draw_images(1, 84)[0]
    for interpolation, resample in (("bicubic", 3), ("bilinear", 2)):
        expected = Preprocessing(56, (0.5, 0.4, 0.3), (0.1, 0.2, 0.4), interpolation)
        prepare, line = preparation(expected, crop=0.875)
        assert interpolation in line and "0.875" in line and "(0.5, 0.4, 0.3)" in line
        library = np.asarray(Image.fromarray(image).resize((64, 64), resample))[4:60, 4:60]
        wanted = (library / 255 - (0.5, 0.4, 0.3)) / (0.1, 0.2, 0.4)
        found = prepare(image[None])[0]
        # The library rounds after each of two passes: one grey value at most.
        steps = np.abs(found - wanted) * (0.1, 0.2, 0.4) * 255
        assert found.shape == (56, 56, 3) and steps.max() < 1.01 and (steps > 0.5).mean() < 0.25


def test_images_of_the_right_size_are_standardised_alone():
    images = draw_images(2, 32)
    prepare, _ = preparation(Preprocessing(32))
    np.testing.assert_allclose(prepare(images), images / 127.5 - 1, atol=1e-6)


def test_grey_images_enter_three_times_or_by_a_summed_kernel(tmp_path):
    path = save(tmp_path / "w", tensors_of("efficientnet_lite0", width=1 / 16))
    grey = draw_images(2, 32)[..., :1]
    outputs = []
    for rule in ("repeat", "sum"):
        loaded = load_backbone("efficientnet_lite0", path, size=32, grey=rule, width=1 / 16)
        prepared = loaded.prepare(grey)
        assert prepared.shape == (2, 32, 32, 3 if rule == "repeat" else 1)
        kernel = loaded.params["stem"]["kernel"]
        # The stem alone: with equal means of the channels both rules are one.
        outputs.append(convolve(prepared, jnp.asarray(kernel), 2, "same"))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
    with pytest.raises(ValueError, match=r"expected .n, H, W, 1."):
        loaded.prepare(draw_images(2, 32))


def test_grey_images_of_channels_with_other_means_take_the_average():
    prepare, line = preparation(Preprocessing(8, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)), grey="sum")
    found = prepare(np.full((1, 8, 8, 1), 255, np.uint8))
    np.testing.assert_allclose(found, np.full((1, 8, 8, 1), 2.5), rtol=1e-6)
    assert line.startswith("grey")


def test_vgg16_is_one_of_the_names(tmp_path):
    filters = dict(zip(VGG16_CONVOLUTIONS, (4, 4, 8, 8, *(16,) * 3, *(32,) * 6), strict=True))
    shapes, inputs, layout = {}, 3, torch_layout(())
    for convolution, outputs in filters.items():
        shapes[layout.names[convolution, "kernel"]] = (outputs, inputs, 3, 3)
        shapes[layout.names[convolution, "bias"]] = (outputs,)
        inputs = outputs
    rng = np.random.default_rng(0)
    tensors = {n: rng.normal(0, 0.2, shape).astype(np.float32) for n, shape in shapes.items()}
    path = save(tmp_path / "w", tensors)
    loaded, own = load_backbone("vgg16", path, size=64), load_vgg16(path)
    images = draw_images(2, 64)
    network = vgg16(0, width=own.width, widths=())

    @jax.jit
    def both(params, images):
        found = loaded.network.apply(params, {}, loaded.prepare(images), False)[0]
        return found, network.apply(params, {}, own.prepare(images), False)[0].mean((1, 2))

    found, expected = both(own.params, images)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, own.params)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert "0.485" in loaded.preprocessing and "vgg16" in BACKBONES


def test_what_cannot_be_is_refused(tmp_path):
    path = save(tmp_path / "w", tensors_of("efficientnet_lite0", width=1 / 16))
    for how, message in (
        ({"name": "resnet"}, "backbone 'resnet': expected one of efficientnet_lite0, resnet18"),
        ({"size": 0}, "size .=0."),
        ({"crop": 0.0}, "crop .=0.0."),
        ({"crop": 1.5}, "crop .=1.5."),
        ({"grey": "mean"}, "grey 'mean'"),
        ({"width": 0.0}, "width .=0.0."),
    ):
        name = how.pop("name", "efficientnet_lite0")
        with pytest.raises(InputError, match=message):
            load_backbone(name, path, **how)
    with pytest.raises(InputError, match="at least 75x75"):
        load_backbone("inception_v3", path, size=74)
    with pytest.raises(InputError, match=r"classes .=-1."):
        resnet18(-1)

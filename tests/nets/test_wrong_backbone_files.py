"""Files that are not the backbone they are read as: each refused in one line, before it is read."""

import json
import pickle

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.published_backbones import load_backbone
from tests.nets.backbone_files import save, tensors_of

_NAME, _WIDTH = "efficientnet_lite0", 1 / 16


@pytest.fixture(scope="module")
def tensors():
    return tensors_of(_NAME, width=_WIDTH)


def _refused(path, message, **how):
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(_NAME, path, width=_WIDTH, **how)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.isprintable() and len(text) < len(str(path)) + 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: tensors_of("resnet18", width=_WIDTH),
            "EfficientNet-Lite0: missing 'conv_stem.weight', .* more; surplus 'conv1.weight', ",
        ),
        (lambda t: t.pop("bn2.running_var"), "Lite0: missing 'bn2.running_var'$"),
        (lambda t: t.update(extra=np.ones(2)), "Lite0: surplus 'extra'$"),
        (
            lambda t: t.update({"conv_stem.weight": np.ones((2, 3, 5, 5), np.float32)}),
            r"'conv_stem.weight' is \(2, 3, 5, 5\), expected \(2, 3, 3, 3\)$",
        ),
        (
            lambda t: t.update({"conv_stem.weight": t["conv_stem.weight"].transpose(2, 3, 1, 0)}),
            r"'conv_stem.weight' is \(3, 3, 3, 2\), expected \(2, 3, 3, 3\)$",
        ),
        (
            lambda t: t.update({"bn1.bias": np.ones(2, np.int32)}),
            "'bn1.bias' is I32, expected one of float16, bfloat16, float32, float64$",
        ),
        (
            lambda t: t.update({"bn1.bias": np.array([0, np.nan], np.float32)}),
            "'bn1.bias' holds numbers that are not finite$",
        ),
        (
            lambda t: t.update({"bn1.running_var": np.array([1, -1], np.float32)}),
            "'bn1.running_var' holds a negative variance$",
        ),
        (
            lambda t: t.update({"module.conv_stem.weight": t.pop("conv_stem.weight")}),
            "missing 'conv_stem.weight'; surplus 'module.conv_stem.weight'$",
        ),
    ],
)
def test_tensors_of_another_network_are_refused(tmp_path, tensors, change, message):
    changed = dict(tensors)
    other = change(changed)
    found = other if isinstance(other, dict) else changed
    copied = {name: np.ascontiguousarray(array) for name, array in found.items()}
    _refused(save(tmp_path / "w.safetensors", copied), message)


def test_files_of_another_kind_are_refused(tmp_path, tensors):
    good = save(tmp_path / "good.safetensors", tensors).read_bytes()
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    contents = {
        "truncated.safetensors": (good[:-100], "not a complete safetensors file"),
        "empty.safetensors": (b"", "neither a safetensors nor an HDF5 file"),
        "page.safetensors": (b"<!DOCTYPE html><html>404</html>", "neither a safetensors nor an"),
        "bomb.safetensors": (
            len(header).to_bytes(8, "little") + header.encode() + b"\0" * 8,
            "not a complete safetensors file",
        ),
        "weights.pth": (pickle.dumps({"conv_stem.weight": 1}), "pickles .* are never read"),
        # A pickle by another name is told by its first bytes.
        "renamed.safetensors": (pickle.dumps(1, protocol=2), "pickles .* are never read"),
    }
    for name, (content, message) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        _refused(path, message)
    _refused(tmp_path / "none.safetensors", "no such file$")


def test_a_keras_file_of_another_network_is_refused(tmp_path, tensors):
    path = save(tmp_path / "w.h5", {"conv2d/conv2d/kernel": np.ones((3, 3, 3, 2), np.float32)})
    _refused(path, "missing 'conv_stem.weight', .*; surplus 'conv2d/conv2d/kernel'$")
    with pytest.raises(InputError, match=r"not Keras's Xception: missing 'block1_conv1/b"):
        load_backbone("xception", path, width=_WIDTH)


def test_classes_that_a_file_does_not_hold_cannot_be_asked_for(tmp_path, tensors):
    body = {n: a for n, a in tensors.items() if not n.startswith("classifier.")}
    path = save(tmp_path / "w.safetensors", body)
    _refused(path, "classifier.bias is missing or no row", classifier=True)
    assert load_backbone(_NAME, path, width=_WIDTH).network.head is None


def test_a_file_of_another_width_is_refused(tmp_path, tensors):
    path = save(tmp_path / "w.safetensors", tensors)
    with pytest.raises(InputError, match=r"'conv_stem.weight' is .2, 3, 3, 3., expected .32, 3"):
        load_backbone(_NAME, path)

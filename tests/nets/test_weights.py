import hashlib
import json
import pickle
import zipfile

import h5py
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from metabone.errors import InputError
from metabone.nets.frozen import feature_program, features
from metabone.nets.networks import vgg16
from metabone.nets.weights import centre_bgr, load_vgg16, standardise_rgb

_PLAIN = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_WITH_NORM = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
_NAMES = "1_1 1_2 2_1 2_2 3_1 3_2 3_3 4_1 4_2 4_3 5_1 5_2 5_3".split()
_FILTERS = (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32)  # width 1/16


def _torch(batch_norm: bool = False, filters=_FILTERS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tensors, inputs = {}, 3
    for layer, outputs in zip(_WITH_NORM if batch_norm else _PLAIN, filters, strict=True):
        tensors[f"features.{layer}.weight"] = rng.normal(0, 0.2, (outputs, inputs, 3, 3))
        tensors[f"features.{layer}.bias"] = rng.normal(0, 0.1, outputs)
        if batch_norm:
            norm = f"features.{layer + 1}"
            tensors[f"{norm}.weight"] = rng.uniform(0.5, 1.5, outputs)
            tensors[f"{norm}.bias"] = rng.normal(0, 0.1, outputs)
            tensors[f"{norm}.running_mean"] = rng.normal(0, 0.1, outputs)
            tensors[f"{norm}.running_var"] = rng.uniform(0, 2e-3, outputs)
            tensors[f"{norm}.num_batches_tracked"] = np.array(7)
        inputs = outputs
    return {k: v if v.dtype == np.int64 else v.astype(np.float32) for k, v in tensors.items()}


def _save(path, tensors):
    save_file(tensors, path)
    return path


def _keras(path, kernel="{0}/{0}_W_1:0", bias="{0}/{0}_b_1:0", below="", extra=True):
    tensors = _torch()
    with h5py.File(path, "w") as file:
        for layer, name in zip(_PLAIN, _NAMES, strict=True):
            stem = "block{}_conv{}".format(*name.split("_"))
            weight = tensors[f"features.{layer}.weight"].transpose(2, 3, 1, 0)
            file[below + kernel.format(stem)] = weight
            file[below + bias.format(stem)] = tensors[f"features.{layer}.bias"]
        if extra:
            file.create_group(below + "block1_pool")
            file[below + "fc1/fc1_W_1:0"] = np.ones((2, 2))
            file.attrs["model_config"] = "never read"
        if below:
            file["optimizer_weights/momentum"] = np.ones(3)
    return path


def _init(width, batch_norm):
    network = vgg16(0, width=width, widths=(), batch_norm=batch_norm)
    return jax.eval_shape(lambda k: network.init(k, (32, 32, 3)), jax.random.key(0))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("times", [1, 2.25])
def test_the_trees_are_those_of_the_network(tmp_path, batch_norm, times):
    filters = [round(f * times) for f in _FILTERS]
    path = _save(tmp_path / "weights", _torch(batch_norm, filters))
    loaded = load_vgg16(path)
    assert (loaded.width, loaded.batch_norm) == (times / 16, batch_norm)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    expected = _init(loaded.width, batch_norm)
    found = (loaded.params, loaded.norm_stats)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for have, want in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert isinstance(have, np.ndarray) and have.dtype == np.float32
        assert have.shape == want.shape


def test_a_kernel_is_turned_from_pytorchs_order_to_ours(tmp_path):
    # The definition of a cross-correlation with one pixel of zeros around, summed by hand.
    tensors = _torch()
    kernel = load_vgg16(_save(tmp_path / "w", tensors)).params["conv_2_1"]["kernel"]
    image = np.random.default_rng(3).normal(size=(1, 5, 6, 4)).astype(np.float32)
    ours = jax.lax.conv_general_dilated(
        image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    framed = np.pad(image[0].astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    theirs = tensors["features.5.weight"]
    for row, column, output in ((0, 0, 0), (2, 3, 5), (4, 5, 7)):
        window = framed[row : row + 3, column : column + 3]
        expected = np.einsum("hwi,ihw->", window, theirs[output].astype(np.float64))
        np.testing.assert_allclose(ours[0, row, column, output], expected, rtol=1e-4, atol=1e-5)


def test_stored_statistics_give_pytorchs_batch_norm_though_our_epsilon_is_another(tmp_path):
    tensors = _torch(batch_norm=True)
    tensors["features.1.running_var"][:] = [0, 1e-6, 5e-4, 3]
    loaded = load_vgg16(_save(tmp_path / "w", tensors))
    norm, stats = loaded.params["norm_1_1"], loaded.norm_stats["norm_1_1"]
    t = {name: array.astype(np.float64) for name, array in tensors.items()}
    convolved = np.array([-1.0, 0.5, 2.0, 30.0])  # without the bias, which ours has not
    expected = convolved + t["features.0.bias"] - t["features.1.running_mean"]
    expected /= np.sqrt(t["features.1.running_var"] + 1e-5)
    expected = expected * t["features.1.weight"] + t["features.1.bias"]
    gain = norm["scale"] / np.sqrt(stats["var"] + np.float32(1e-3))
    found = (convolved - stats["mean"]) * gain + norm["bias"]
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_timms_and_torchvisions_classifiers_are_ignored(tmp_path):
    plain = _torch()
    ones = np.ones((2, 2), np.float32)
    timm = {f"{n}.weight": ones for n in ("pre_logits.fc1", "pre_logits.fc2", "head.fc")}
    theirs = {f"classifier.{n}.bias": ones * np.nan for n in (0, 3, 6)}
    expected = load_vgg16(_save(tmp_path / "plain", plain))
    for name, more in (("timm", timm), ("torchvision", theirs)):
        found = load_vgg16(_save(tmp_path / name, plain | more))
        jax.tree.map(np.testing.assert_array_equal, found.params, expected.params)


@pytest.mark.parametrize(
    "naming",
    [
        {},
        {"extra": False},
        {"kernel": "{0}/{0}/kernel:0", "bias": "{0}/{0}/bias:0"},
        {"kernel": "{0}/{0}/kernel", "bias": "{0}/{0}/bias", "below": "model_weights/"},
    ],
)
def test_a_keras_file_gives_the_same_weights(tmp_path, naming):
    loaded = load_vgg16(_keras(tmp_path / "weights.h5", **naming))
    expected = load_vgg16(_save(tmp_path / "w", _torch()))
    jax.tree.map(np.testing.assert_array_equal, loaded.params, expected.params)
    assert (loaded.width, loaded.batch_norm, loaded.norm_stats) == (1 / 16, False, {})
    assert loaded.prepare is centre_bgr and "BGR" in loaded.preprocessing
    assert expected.prepare is standardise_rgb and "0.485" in expected.preprocessing


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floats_become_float32(tmp_path, dtype):
    tensors = {name: array.astype(dtype) for name, array in _torch().items()}
    bias = load_vgg16(_save(tmp_path / "w", tensors)).params["conv_3_1"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, tensors["features.10.bias"].astype(np.float32))


def test_preprocessing_gives_the_published_values():
    images = np.array([[[[255, 0, 51]]]], np.uint8)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(standardise_rgb(images)[0, 0, 0], expected, rtol=1e-6)
    expected = [51 - 103.939, -116.779, 255 - 123.68]
    np.testing.assert_allclose(centre_bgr(images)[0, 0, 0], expected, rtol=1e-6)
    for prepare in (standardise_rgb, centre_bgr):
        hash(prepare)
        grey = prepare(jnp.full((1, 2, 2, 1), 51, jnp.uint8))
        np.testing.assert_array_equal(grey, prepare(jnp.full((1, 2, 2, 3), 51, jnp.uint8)))
        assert grey.dtype == jnp.float32
        with pytest.raises(ValueError, match="expected"):
            prepare(jnp.zeros((1, 2, 2, 4), jnp.uint8))


def test_loaded_weights_give_features_of_images(tmp_path):
    loaded = load_vgg16(_save(tmp_path / "w", _torch(batch_norm=True)))
    network = vgg16(0, width=loaded.width, widths=(), batch_norm=True)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = features(
        feature_program(network, loaded.prepare), loaded.params, loaded.norm_stats, images, batch=2
    )
    assert found.shape == (3, 1, 1, 32) and np.isfinite(found).all() and found.any()


def _without(name):
    tensors = _torch()
    del tensors[name]
    return tensors


def _with(name, array, batch_norm=False):
    return _torch(batch_norm) | {name: np.asarray(array)}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (_without("features.28.bias"), "without batch .*: missing 'features.28.bias'$"),
        (_with("features.30.weight", [1.0]), "surplus 'features.30.weight'$"),
        ({"x\n": np.ones(2)}, r"missing 'features.0.weight', .* and 23 more; surplus 'x\\n'$"),
        (_torch(filters=(4,) * 13), r"'features.5.weight' is \(4, 4, 3, 3\), expected \(8, 4"),
        (_with("features.0.weight", 1.0), r"'features.0.weight' is \(\), expected \(64, 3, 3, 3\)"),
        (
            _with("features.0.weight", np.ones((0, 3, 3, 3))),
            r"'features.0.weight' is \(0, 3, 3, 3\), expected \(64",
        ),
        (_with("features.0.bias", np.ones(4, np.int32)), "'features.0.bias' is I32, expected one"),
        (_with("features.2.bias", [0, 1, np.nan, 0]), "'features.2.bias' .* not finite"),
        (_with("features.2.bias", [0, 1, 1e300, 0]), "'features.2.bias' .* not finite"),
        (
            _with("features.1.running_var", [0, 1, -1.0, 0], batch_norm=True),
            "'features.1.running_var' holds a negative variance",
        ),
    ],
)
def test_another_networks_safetensors_are_refused_in_one_line(tmp_path, tensors, message):
    _refused(_save(tmp_path / "w.safetensors", tensors), message)


def _refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        load_vgg16(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and text.isprintable() and len(text) < len(str(path)) + 400


def test_files_of_another_kind_are_refused(tmp_path):
    good = _save(tmp_path / "good.safetensors", _torch()).read_bytes()
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    contents = {
        "cut.safetensors": (good[:-100], "complete safetensors.*truncated"),
        "start.safetensors": (good[:100], "complete safetensors"),
        "huge.safetensors": (b"\0" * 7 + b"\1{" + good, "a header above 1 MiB"),
        "bomb.safetensors": (
            len(header).to_bytes(8, "little") + header.encode() + b"\0" * 8,
            "complete safetensors",
        ),
        "empty.safetensors": (b"", "neither a safetensors nor an HDF5"),
        "noise.h5": (np.random.default_rng(0).bytes(5000), "neither a safetensors nor"),
        "old.bin": (pickle.dumps({"features.0.weight": 1}), "never read.*convert.*safetensors"),
        "old": (pickle.dumps(1, protocol=2), "never read.*convert.*safetensors"),
        "other.pth": (b"anything", "never read"),
    }
    for name, (content, message) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        _refused(path, message)
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))
    _refused(tmp_path / "archive", "never read")
    _refused(tmp_path / "none", "no such file")
    _refused(tmp_path, "not a regular file")


def test_a_damaged_hdf5_file_is_refused(tmp_path):
    content = _keras(tmp_path / "good.h5").read_bytes()
    for name, cut in (("half.h5", len(content) // 2), ("start.h5", 20)):
        (tmp_path / name).write_bytes(content[:cut])
        _refused(tmp_path / name, "not a complete HDF5 file.*truncated")


_KERNEL = "block1_conv1/block1_conv1_W_1:0"
_BIAS = "block1_conv1/block1_conv1_b_1:0"


def _soft(file):
    file[_BIAS] = h5py.SoftLink("/block1_conv2/block1_conv2_b_1:0")


def _external_link(file):
    file[_BIAS] = h5py.ExternalLink("other.h5", "/")


def _external_storage(file):
    file.create_dataset(_BIAS, (4,), "f4", external=[("other.bin", 0, 16)])


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset(_BIAS, layout)


def _compressed(file):
    file.create_dataset(_BIAS, data=np.ones(4, np.float32), compression="gzip")


def _unwritten(file):
    file.create_dataset(_BIAS, (4,), "f4")


def _gigantic(file):
    del file[_KERNEL]
    file.create_dataset(_KERNEL, (3, 3, 3, 2**40), "f4")
    file[_BIAS] = np.ones(4, np.float32)


def _integers(file):
    file[_BIAS] = np.ones(4, np.int64)


def _ring(file):
    file["block1_conv1/ring"] = file["block1_conv1"]


def _crowd(file):
    for index in range(1001):
        file.create_group(f"many/{index}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_soft, f"'{_BIAS}' is a link"),
        (_external_link, f"'{_BIAS}' is a link"),
        (_external_storage, f"'{_BIAS}' .*in another file"),
        (_virtual, f"'{_BIAS}' .*virtual"),
        (_compressed, f"'{_BIAS}' .*compressed"),
        (_unwritten, f"'{_BIAS}' .*incomplete"),
        (_gigantic, r"'block1_conv1/block1_conv1_b_1:0' is \(4,\), expected \(1099511627776,\)"),
        (_integers, f"'{_BIAS}' is int64, expected one of float16"),
        (_ring, "8 groups deep"),
        (_crowd, "more than 1000 names"),
        (lambda file: None, f"not Keras's VGG16: missing '{_BIAS}'$"),
    ],
)
def test_an_hdf5_file_that_leads_elsewhere_or_lies_is_refused(tmp_path, change, message):
    path = _keras(tmp_path / "weights.h5")
    with h5py.File(path, "a") as file:
        del file[_BIAS]
        change(file)
    _refused(path, message)


def test_no_memory_is_taken_for_numbers_that_a_file_only_declares(tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        inputs = 3
        for name, filters in zip(_NAMES, _FILTERS, strict=True):
            stem = "block{}_conv{}".format(*name.split("_"))
            outputs = filters * 2**20
            file.create_dataset(f"{stem}/{stem}_W_1:0", (3, 3, inputs, outputs), "f4")
            file.create_dataset(f"{stem}/{stem}_b_1:0", (outputs,), "f4")
            inputs = outputs
    _refused(path, r"would take \d{16,} bytes, the file has \d+;")

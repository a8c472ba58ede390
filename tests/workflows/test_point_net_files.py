import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metabone.errors import InputError
from metabone.workflows.key_points import NET, PointNet, train_key_points
from metabone.workflows.point_net_files import (
    WEIGHTS,
    load_point_net,
    point_net_of,
    save_point_net,
)


@pytest.fixture(scope="module")
def net():
    like = jax.eval_shape(lambda key: PointNet(*NET.init(key, (32, 32, 1))), jax.random.key(0))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(0, 1, leaf.shape).astype(np.float32), like)


def test_weights_come_back_to_half_precision_in_below_two_mebibytes(net, tmp_path):
    path = tmp_path / "net.safetensors"
    save_point_net(net, path)
    assert path.stat().st_size < 2 * 2**20
    again = load_point_net(path)
    assert jax.tree.structure(again) == jax.tree.structure(net)
    for leaf, was in zip(jax.tree.leaves(again), jax.tree.leaves(net), strict=True):
        assert leaf.dtype == np.float32
        np.testing.assert_allclose(leaf, was, rtol=1e-3, atol=1e-6)


def _spoil(tensors, how):
    name = "norm_stats/norm_image/var"
    if how == "missing":
        del tensors[name]
    elif how == "more":
        tensors["other"] = np.zeros(3, np.float16)
    elif how == "shape":
        tensors[name] = np.zeros(3, np.float16)
    elif how == "dtype":
        tensors[name] = tensors[name].astype(np.int16)
    elif how == "nan":
        tensors[name] = np.full_like(tensors[name], np.nan)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "'norm_stats/norm_image/var' is in only one"),
        ("more", "'other' is in only one"),
        ("shape", r"float16 \[3\]; expected float16 or float32 \[16\]"),
        ("dtype", r"\[16\]; expected float16 or float32 \[16\]"),
        ("nan", "not finite"),
    ],
)
def test_another_network_is_refused_in_one_line(net, tmp_path, how, said):
    path = tmp_path / "net.safetensors"
    save_point_net(net, path)
    tensors = load_file(path)
    _spoil(tensors, how)
    save_file(tensors, path)
    with pytest.raises(InputError, match=said):
        load_point_net(path)


def test_a_folder_that_is_not_there_is_said(net, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        save_point_net(net, tmp_path / "none" / "net.safetensors")


def test_sets_that_do_not_share_a_batch_are_said_before_anything_is_compiled():
    with pytest.raises(InputError, match="multiple of 0 sets"):
        train_key_points([])


def _a_run(folder, experiment="key_points"):
    (folder / "config.json").write_text(json.dumps({"experiment": experiment}))
    return folder


def test_a_run_a_file_and_nothing_each_name_weights(net, tmp_path):
    save_point_net(net, _a_run(tmp_path) / WEIGHTS)
    for given in (tmp_path, str(tmp_path / WEIGHTS)):
        first, was = jax.tree.leaves(point_net_of(given))[0], jax.tree.leaves(net)[0]
        np.testing.assert_allclose(first, was, rtol=1e-3, atol=1e-6)
    shipped = jax.tree.leaves(point_net_of(""))
    assert not np.array_equal(shipped[0], jax.tree.leaves(net)[0])


def test_a_run_without_weights_and_what_is_none_are_said(tmp_path):
    with pytest.raises(InputError, match="not the folder of a run of key_points"):
        point_net_of(tmp_path)
    with pytest.raises(InputError, match="has not trained its network to the end"):
        point_net_of(_a_run(tmp_path))
    with pytest.raises(InputError, match="not the folder of a run of key_points"):
        point_net_of(_a_run(tmp_path, "smi"))
    with pytest.raises(InputError, match="none"):
        point_net_of(tmp_path / "none")

import json

import numpy as np
import pytest

from metabone.datasets.fingerprints import image_fingerprints
from metabone.errors import InputError
from metabone.workflows.earlier_runs import (
    check_unseen,
    data_of,
    save_seen,
    shared_by_name,
    shared_in_words,
)
from metabone.workflows.feature_scaling import load_scaling, save_scaling, scaling_of

FEATURES = np.array([[1, 10, 5], [3, 30, 5]], np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)


def assert_one_line(caught, *parts):
    assert str(caught.value).isprintable()
    for part in parts:
        assert str(part) in str(caught.value)


def test_features_are_scaled_to_mean_zero_and_deviation_one():
    scaled = scaling_of(FEATURES, "abc")(FEATURES)
    # A thousandth is added to the deviation, so that a constant feature stays 0.
    expected = [[-1 / 1.001, -10 / 10.001, 0], [1 / 1.001, 10 / 10.001, 0]]
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)
    assert scaled.dtype == np.float32


def test_a_scaling_is_read_back_to_the_bit(tmp_path):
    features = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    scaling = scaling_of(features, "abc")
    save_scaling(tmp_path, scaling)
    found = load_scaling(tmp_path, "abc")
    assert found.backbone == "abc"
    np.testing.assert_array_equal(found.centre, scaling.centre)
    np.testing.assert_array_equal(found.spread, scaling.spread)
    np.testing.assert_array_equal(found(features), scaling(features))
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]  # nothing unfinished


def test_a_scaling_of_another_backbone_is_refused(tmp_path):
    save_scaling(tmp_path, scaling_of(FEATURES, "abc"))
    with pytest.raises(InputError) as caught:
        load_scaling(tmp_path, "abd")
    assert_one_line(caught, tmp_path, "another backbone")


def test_images_that_a_run_has_seen_are_refused_and_counted(tmp_path):
    prints = image_fingerprints(IMAGES)
    save_seen(tmp_path, prints[:4])
    check_unseen(tmp_path, prints[4:], "folder:others")
    check_unseen(tmp_path, [], "folder:nothing")
    with pytest.raises(InputError) as caught:
        check_unseen(tmp_path, prints[2:], "folder:others")
    assert_one_line(caught, "folder:others: 2 of its images", tmp_path)


def test_a_run_that_has_seen_nothing_refuses_nothing(tmp_path):
    save_seen(tmp_path, [])
    check_unseen(tmp_path, image_fingerprints(IMAGES), "folder:others")


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def garbage(path):
    path.write_bytes(b"nothing to read")


def empty(path):
    path.write_bytes(b"")


def other_arrays(path):
    np.savez(path, somebody=np.zeros(3))


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def unknown_compression(path):
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 10] = 99
    path.write_bytes(content)


SPOILS = [cut, garbage, empty, other_arrays, single_array, unknown_compression]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("kind", ["scaling", "seen"])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, kind, spoil):
    if kind == "scaling":
        save_scaling(tmp_path, scaling_of(FEATURES, "abc"))
    else:
        save_seen(tmp_path, image_fingerprints(IMAGES))
    (path,) = tmp_path.iterdir()
    spoil(path)
    with pytest.raises(InputError) as caught:
        if kind == "scaling":
            load_scaling(tmp_path, "abc")
        else:
            check_unseen(tmp_path, image_fingerprints(IMAGES), "folder:others")
    assert_one_line(caught, f"{path}: damaged (")


def test_a_run_without_the_files_is_told_to_be_older(tmp_path):
    with pytest.raises(InputError) as caught:
        load_scaling(tmp_path, "abc")
    assert_one_line(caught, tmp_path / "feature_scale.npz", "no such file", "older version")
    with pytest.raises(InputError) as caught:
        check_unseen(tmp_path, image_fingerprints(IMAGES), "folder:others")
    assert_one_line(caught, tmp_path / "seen_images.npz", "no such file", "older version")


def test_the_data_that_learners_were_trained_on_are_those_of_meta_training(tmp_path):
    entries = [{"role": "target", "source": "a"}, {"role": "meta", "source": "b"}]
    (tmp_path / "config.json").write_text(json.dumps({"data": entries}))
    assert data_of(tmp_path) == entries[1:]
    (tmp_path / "config.json").write_text(json.dumps({}))
    assert data_of(tmp_path) == []


@pytest.mark.parametrize(
    ("names", "source", "shared"),
    [
        (["Lion", "tree_frog", "ant"], "folder:other", ["Lion", "tree_frog"]),
        (["bee", "00"], "folder:other", ["bee"]),
        (["00", "01"], "medmnist:x.npz", ["00"]),
        (["ant"], "folder:other", []),
    ],
)
def test_classes_that_were_trained_on_are_known_by_name(tmp_path, names, source, shared):
    split = {"train": ["lion", "Tree Frog", "00"], "validation": ["bee"], "test": ["ant", "01"]}
    (tmp_path / "result.json").write_text(json.dumps({"meta_classes": split}))
    data = [{"role": "meta", "source": "medmnist:x.npz"}]
    (tmp_path / "config.json").write_text(json.dumps({"data": data}))
    assert shared_by_name(tmp_path, names, [source]) == shared


def test_classes_that_were_trained_on_are_told_beside_the_table():
    told = shared_in_words(["lion", "bee"])
    assert told.startswith("Other images of classes that were trained on: lion, bee; ")
    assert shared_in_words([]) == ""
    assert ": c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, ...; " in shared_in_words(
        [f"c{n}" for n in range(11)]
    )

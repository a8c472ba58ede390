import tracemalloc

import numpy as np
import pytest

from metabone.datasets.combined import combine
from metabone.datasets.embeddings import is_ordered, load_embeddings
from metabone.datasets.held import open_held
from metabone.datasets.source import load_films, open_images
from metabone.errors import InputError
from metabone.workflows.hand_preparation import prepared_source

VECTORS = np.random.default_rng(0).normal(size=(6, 3))


def write(path, **arrays):
    held = {"vectors": VECTORS, "labels": np.array([2, 0, 2, 10, 0, 10])} | arrays
    np.savez(path, **{name: value for name, value in held.items() if value is not None})
    return path


def test_vectors_and_groups_come_as_they_are_given(tmp_path, capsys):
    path = write(tmp_path / "x.npz", groups=np.array(list("aabbcc")), model="ours")
    found = load_embeddings(path, "embeddings:x.npz")
    np.testing.assert_array_equal(found.images, VECTORS.astype(np.float32))
    assert found.images.dtype == np.float32 and found.labels.dtype == np.int32
    assert found.labels.tolist() == [1, 0, 1, 2, 0, 2]
    assert found.class_names == ("00", "02", "10")
    assert found.patients.tolist() == list("aabbcc")
    notes = ("float64 read as float32", "arrays that are not used: model")
    assert found.provenance.conversions == notes and found.provenance.count == 6
    told = "; ".join(["6 vectors of 3 classes: 00 2, 02 2, 10 2", *notes])
    assert capsys.readouterr().err == f"embeddings:x.npz: {told}\n"


@pytest.mark.parametrize(
    ("labels", "names", "numbers", "classes"),
    [
        ([2, 0, 2, 1, 0, 1], ["x", "y", "z"], [2, 0, 2, 1, 0, 1], ("x", "y", "z")),
        ([2, 0, 2, 3, 0, 3], ["x", "y", "z", "w"], [1, 0, 1, 2, 0, 2], ("x", "z", "w")),
        (list("zyzxyx"), ["z", "none", "x", "y"], [0, 2, 0, 1, 2, 1], ("z", "x", "y")),
        (list("zyzxyx"), None, [2, 1, 2, 0, 1, 0], ("x", "y", "z")),
    ],
)
def test_classes_stand_in_the_order_of_their_names_and_none_is_empty(
    tmp_path, labels, names, numbers, classes
):
    given = None if names is None else np.array(names)
    path = write(tmp_path / "x.npz", labels=np.array(labels), class_names=given)
    found = load_embeddings(path)
    assert found.labels.tolist() == numbers and found.class_names == classes


def test_a_file_says_whether_its_classes_are_grades(tmp_path, capsys):
    assert not is_ordered(write(tmp_path / "x.npz"))
    assert not is_ordered(write(tmp_path / "x.npz", ordered=np.array(False)))
    path = write(tmp_path / "x.npz", ordered=np.array(True))
    assert is_ordered(path)
    load_embeddings(path)
    assert "classes are grades in this order" in capsys.readouterr().err
    text = dict(labels=np.array(list("zyzxyx")), ordered=np.array(True))
    assert is_ordered(write(path, **text, class_names=np.array(["z", "x", "y"])))
    for arrays, said in [
        (dict(ordered=np.array([True, False])), "expected one bool"),
        (dict(ordered=np.array(1)), "expected bool"),
        (text, "labels are text; expected class_names"),
    ]:
        with pytest.raises(InputError, match=said):
            load_embeddings(write(path, **arrays))


def test_any_float_is_read_and_the_order_of_bytes_does_not_matter(tmp_path):
    for kind in ("<f2", ">f4", ">f8"):
        found = load_embeddings(write(tmp_path / "x.npz", vectors=VECTORS.astype(kind)))
        np.testing.assert_array_equal(found.images, VECTORS.astype(kind).astype(np.float32))


def test_a_copy_in_its_class_is_left_out_and_told(tmp_path):
    vectors = VECTORS[[0, 1, 0, 3, 4, 5]]
    found = load_embeddings(write(tmp_path / "x.npz", vectors=vectors, groups=np.arange(6)))
    np.testing.assert_array_equal(found.images, VECTORS[[0, 1, 3, 4, 5]].astype(np.float32))
    assert found.labels.tolist() == [1, 0, 2, 0, 2]
    assert found.patients.tolist() == [0, 1, 3, 4, 5]
    assert "1 copies of other vectors of their class left out" in found.provenance.conversions


def spoiled(value):
    vectors = VECTORS.copy()
    vectors[4, 1] = value
    return vectors


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"vectors": None}, "holds no array 'vectors', but labels"),
        ({"labels": None}, "holds no array 'labels', but vectors"),
        ({"vectors": VECTORS.astype(object)}, "vectors: of type object, expected floats"),
        ({"vectors": VECTORS.astype(int)}, "vectors: of type int64, expected floats"),
        ({"vectors": VECTORS.astype(np.longdouble)}, "expected float16, 32 or 64"),
        ({"vectors": VECTORS[0]}, "vectors: of shape (3,), expected (n, d)"),
        ({"vectors": VECTORS[:, :0]}, "vectors: of shape (6, 0), expected (n, d)"),
        ({"vectors": spoiled(np.nan)}, "vectors: vector 4 has nan at 1, no finite float32"),
        ({"vectors": spoiled(1e300)}, "vector 4 has 1e+300 at 1, no finite float32"),
        ({"vectors": VECTORS[[0, 0, 2, 3, 4, 5]]}, "vector 1 and "),
        ({"labels": np.array([0, 1])}, "labels: of shape (2,), expected (6,)"),
        ({"labels": np.zeros(6, int)}, "labels: labels of one class, expected two or more"),
        ({"labels": np.array([0, 1, -3, 0, 1, 0])}, "label 2 is -3, expected 0 or above"),
        ({"labels": np.zeros(6)}, "labels: of type float64, expected whole numbers or text"),
        ({"labels": np.array(["a", "b"] * 3, object)}, "labels: of type object"),
        ({"labels": np.array(["a", "b\n"] * 3)}, "labels: 'b\\n', expected printable text"),
        ({"labels": np.array(["a", ""] * 3)}, "labels: '', expected printable text"),
        ({"labels": np.array(["a", "b" * 201] * 3)}, "text above the limit of 200 characters"),
        ({"groups": np.arange(5)}, "groups: of shape (5,), expected (6,)"),
        ({"class_names": np.array(["a", "b"])}, "label 2 has no name in class_names"),
        ({"class_names": np.array(["a", "a"])}, "class_names: a name stands twice"),
        ({"class_names": np.arange(11)}, "class_names: of type int64, expected text"),
    ],
)
def test_another_layout_is_refused_in_one_line(tmp_path, arrays, said, one_line):
    path = write(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError) as caught:
        load_embeddings(path)
    one_line(caught, str(path), said)


def test_vectors_beyond_the_limit_are_refused_before_memory_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("metabone.datasets.embeddings.MAX_BYTES", 6 * 3 * 4)
    load_embeddings(write(tmp_path / "x.npz"))
    more = np.random.default_rng(0).normal(size=(6, 200_000))
    path = write(tmp_path / "x.npz", vectors=more)
    tracemalloc.start()
    with pytest.raises(InputError, match="above the limit"):
        load_embeddings(path)
    assert tracemalloc.get_traced_memory()[1] < more.nbytes / 4
    tracemalloc.stop()


def test_several_sources_keep_floats_and_patients_apart(tmp_path):
    one = load_embeddings(write(tmp_path / "a.npz", groups=np.array([7, 7, 8, 8, 9, 9])))
    two = load_embeddings(write(tmp_path / "b.npz", vectors=VECTORS + 1))
    both = combine([one, two])
    np.testing.assert_array_equal(both.read([8, 1]), (two.images[2], one.images[1]))
    whole = both.keep(np.arange(3, 9)).whole()
    np.testing.assert_array_equal(whole.images, [*one.images[3:], *two.images[:3]])
    assert whole.patients.tolist() == ["0 8", "0 9", "0 9", "1 0", "1 1", "1 2"]


def held(text):
    with open_held(text):
        pass


@pytest.mark.parametrize("load", [open_images, load_films, held, prepared_source])
def test_where_images_are_asked_for_the_line_names_what_takes_embeddings(tmp_path, load, one_line):
    path = write(tmp_path / "x.npz")
    with pytest.raises(InputError, match="gives vectors and no images") as caught:
        load(f"embeddings:{path}")
    one_line(caught, "metabone medical --meta_sources=embeddings:")

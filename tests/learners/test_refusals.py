"""What the types of a learner's arguments tell, before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.base import check_order
from metabone.learners.maml_plus_plus import maml_plus_plus
from metabone.learners.refusals import examples_of, positive, whole
from metabone.nets.network import Network

_IMAGES, _LABELS = np.zeros((4, 2, 2, 1), np.float32), np.array([0, 1, 0, 1])


@pytest.mark.parametrize("kind", [float, np.float32, np.float64, np.array, jnp.array, jnp.bfloat16])
def test_a_number_of_any_kind_is_the_python_number_that_it_is(kind):
    found = positive("inner_rate", kind(0.25))
    assert type(found) is float and found == 0.25


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array, jnp.array])
def test_a_whole_number_of_any_kind_is_the_python_number_that_it_is(kind):
    found = whole("inner_steps", kind(3), 0)
    assert type(found) is int and found == 3


@pytest.mark.parametrize(
    "value", [0, -1.0, np.nan, np.inf, "0.1", None, True, 1j, [0.1], np.ones((2, 2)), [[1], 2]]
)
def test_what_is_no_positive_number_is_refused_in_one_line(value):
    with pytest.raises(InputError) as told:
        positive("inner_rate", value)
    assert "\n" not in str(told.value) and "inner_rate" in str(told.value)


@pytest.mark.parametrize("value", [-1, 2.0, np.float32(2), "2", None, False])
def test_what_is_no_whole_number_is_refused_in_one_line(value):
    with pytest.raises(InputError, match=r"^steps \(=.*expected at least 0, a whole number$"):
        whole("steps", value, 0)


def test_an_order_is_one_or_two():
    assert [check_order(each) for each in (1, np.int64(2), jnp.array(2))] == [1, 2, 2]
    for wrong in (0, 3, 1.5, "2", np.array([1, 2])):
        with pytest.raises(InputError, match="order"):
            check_order(wrong)


def test_a_rate_of_numpy_does_not_widen_what_it_steps(x64):
    """A float64 scalar times float32 weights would be float64 in their place."""
    network = Network(
        lambda key, shape: ({"theta": jnp.ones(3, jnp.float32)}, {}),
        lambda params, stats, images, own: (params["theta"] * images.astype(jnp.float32), stats),
    )
    examples = Examples(jnp.ones((2, 3)), jnp.array([0, 1]))
    found, expected = (
        learner.adapt(learner.init(jax.random.key(0), (3,)), examples, jax.random.key(0))
        for learner in (
            maml_plus_plus(network, inner_rate=rate, learn_rates=False, step_stats=False)
            for rate in (np.float64(0.1), 0.1)
        )
    )
    assert found.weights["theta"].dtype == np.float32
    np.testing.assert_array_equal(found.weights["theta"], expected.weights["theta"])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (_IMAGES, np.array(list("abab")), r"labels are <U1: expected numbers; np\.unique"),
        (_IMAGES, np.array(list("abab"), object), "labels are object: expected numbers"),
        (_IMAGES, [0, 1, None, 1], "labels are object: expected numbers"),
        (_IMAGES, None, "labels are object: expected numbers"),
        (_IMAGES, [[0], 1, 0, 1], "labels: rows of unequal lengths"),
        (_IMAGES, 3, r"labels of shape \(\) for 4 images"),
        (_IMAGES.astype(object), _LABELS, "images are object: expected floats"),
        (_IMAGES.astype("U1"), _LABELS, "images are <U1: expected floats"),
        (_IMAGES.astype(np.int16), _LABELS, "images are int16: expected floats"),
        (_IMAGES.astype(bool), _LABELS, "images are bool: expected floats"),
        (_IMAGES.astype(np.complex64), _LABELS, "images are complex64: expected floats"),
        ([[[0.0]], [[0.0], [1.0]]], _LABELS, "images: rows of unequal lengths"),
        (None, _LABELS, "images are object: expected floats"),
        (_IMAGES[:, 0, 0, 0], _LABELS, r"images of shape \(4,\): expected"),
    ],
)
def test_examples_that_are_no_numbers_are_refused_in_one_line(images, labels, message):
    with pytest.raises(InputError, match=message) as told:
        examples_of(Examples(images, labels))
    assert "\n" not in str(told.value)


def test_examples_of_numpy_and_lists_are_taken_as_arrays():
    found = examples_of(Examples(_IMAGES.tolist(), _LABELS.tolist()))
    assert isinstance(found.images, jax.Array) and isinstance(found.labels, jax.Array)
    np.testing.assert_array_equal(found.images, _IMAGES)
    np.testing.assert_array_equal(found.labels, _LABELS)

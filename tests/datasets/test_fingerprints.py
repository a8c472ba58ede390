import numpy as np
import pytest

from metabone.datasets import fingerprints
from metabone.errors import InputError


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), np.uint8)


def test_a_fingerprint_is_of_pixels_and_shape(images):
    prints = fingerprints.image_fingerprints(images)
    assert len(set(prints)) == 6
    assert fingerprints.image_fingerprints(images[::-1]) == prints[::-1]
    assert fingerprints.image_fingerprints(images.reshape(6, 2, 8, 1))[0] != prints[0]


def test_a_content_hash_ignores_order_and_sees_labels_and_pixels(images):
    labels = np.array([0, 0, 1, 1, 2, 2])
    content = fingerprints.content_sha256(images, labels)
    order = np.array([5, 2, 0, 1, 4, 3])
    assert fingerprints.content_sha256(images[order], labels[order]) == content
    assert fingerprints.content_sha256(images, labels[::-1]) != content
    changed = images.copy()
    changed[3, 0, 0] ^= 1
    assert fingerprints.content_sha256(changed, labels) != content


def test_disjoint_splits_pass_even_if_one_repeats_an_image(images):
    fingerprints.check_disjoint(("train", images[[0, 1, 1]]), ("val", images[2:]))


def test_an_image_in_two_splits_is_named(images):
    with pytest.raises(InputError, match="image 1 of 'test' is also image 2 of 'train'"):
        fingerprints.check_disjoint(
            ("train", images[:3]), ("val", images[3:5]), ("test", images[[5, 2]])
        )


def test_an_image_under_two_labels_is_named(images):
    twice = fingerprints.image_fingerprints(images[[0, 1, 0]])
    fingerprints.check_one_label(twice, np.array([3, 1, 3]), ["a", "b", "c"])
    with pytest.raises(InputError, match="c and a are the same image under two labels"):
        fingerprints.check_one_label(twice, np.array([3, 1, 1]), ["a", "b", "c"])

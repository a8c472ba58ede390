import jax
import numpy as np
import pytest

from metabone.radiograph.bones import CLASSES, bone_patches, joint_class


@pytest.fixture(scope="module")
def patches():
    return bone_patches(0, np.arange(60), 24)


def test_patches_are_gray_images_that_use_the_range(patches):
    assert patches.shape == (60, 24, 64, 64, 1)
    assert patches.dtype == np.uint8
    assert patches.std(axis=(2, 3, 4)).min() > 1.0
    assert patches.min() == 0
    assert patches.max() > 240


def test_an_image_depends_on_its_class_and_place_alone(patches):
    again = bone_patches(0, np.array([41, 7]), 24)
    np.testing.assert_array_equal(again, patches[[41, 7]])
    np.testing.assert_array_equal(bone_patches(0, np.array([41]), 3)[0], patches[41, :3])


def test_another_seed_is_another_set(patches):
    assert np.mean(bone_patches(1, np.array([0]), 24) != patches[:1]) > 0.5


def test_classes_cover_maturity_and_both_kinds_of_joint():
    key = jax.random.key(0)
    drawn = jax.vmap(joint_class, (None, 0))(key, np.arange(CLASSES))
    assert np.histogram(drawn.maturity, 5, (0, 1))[0].min() > 0.1 * CLASSES
    assert 0.25 < drawn.knuckle.mean() < 0.55


def test_images_of_a_class_vary_and_classes_are_not_told_by_raw_pixels(patches):
    discriminant = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(20):
        classes = rng.choice(60, 5, replace=False)
        pixels = patches[classes].reshape(5, 24, -1) / 255.0
        probe = discriminant.RidgeClassifier(alpha=100.0)
        probe.fit(pixels[:, :5].reshape(25, -1), np.repeat(np.arange(5), 5))
        held_out = pixels[:, 5:].reshape(-1, pixels.shape[-1])
        scores.append(probe.score(held_out, np.repeat(np.arange(5), 19)))
    assert 0.25 < np.mean(scores) < 0.7


def test_no_images_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        bone_patches(0, np.arange(3), 0)

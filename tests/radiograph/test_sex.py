import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph.sex import join_sex, with_sex_row


def test_sex_is_one_more_feature_of_every_region():
    features = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    joined = join_sex(features, np.array(["M", "", "F"]), 0.25)
    assert joined.dtype == np.float32
    np.testing.assert_array_equal(joined[..., :2], features)
    np.testing.assert_array_equal(joined[..., 2], [[0.25, 0.25], [0, 0], [-0.25, -0.25]])


def test_what_is_no_sex_and_films_without_one_are_refused():
    features = np.ones((2, 3), np.float32)
    with pytest.raises(InputError, match="sex 'female': expected 'F', 'M', or ''"):
        join_sex(features, np.array(["female", "M"]))
    with pytest.raises(InputError, match=r"shape \(3,\) for 2 films"):
        join_sex(features, np.array(["F", "M", "M"]))


def test_sex_is_one_more_row_of_pixels_of_every_region():
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 5, 4, 1), np.uint8)
    found = with_sex_row(images, np.array(["M", "", "F"]))
    assert found.shape == (3, 2, 6, 4, 1) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[:, :, :5], images)
    for film, grey in zip(found, (255, 128, 0), strict=True):
        assert (film[:, 5] == grey).all()


def test_images_that_take_no_row_are_refused():
    with pytest.raises(InputError, match=r"float32 of shape \(2, 4, 4, 1\): expected uint8"):
        with_sex_row(np.ones((2, 4, 4, 1), np.float32), np.array(["F", "M"]))
    with pytest.raises(InputError, match="sex 'f'"):
        with_sex_row(np.ones((1, 4, 4, 1), np.uint8), np.array(["f"]))
    with pytest.raises(InputError, match=r"shape \(1,\) for 2 films"):
        with_sex_row(np.ones((2, 4, 4, 1), np.uint8), np.array(["F"]))

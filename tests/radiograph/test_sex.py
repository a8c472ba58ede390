import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph.sex import join_sex


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

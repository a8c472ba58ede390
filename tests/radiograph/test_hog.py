"""Histograms of oriented gradients of ramps, by hand."""

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph.hog import hog_features


def ramp(axis, side=16):
    steps = np.arange(side, dtype=np.uint8) * 3
    return np.broadcast_to(steps if axis else steps[:, None], (side, side)).copy()


@pytest.mark.parametrize(("axis", "orientation"), [(1, 0), (0, 4)])
def test_a_ramp_has_one_orientation_shared_by_the_four_cells(axis, orientation):
    # Along x its gradient points at 0 degrees, the first ninth of 180; along y at 90, the fifth.
    # Four cells of equal weight have a length of one at 1/2 each, clipped at 0.2 and scaled again.
    (found,) = hog_features(ramp(axis)[None])
    expected = np.zeros((2, 2, 9), np.float32)
    expected[..., orientation] = 0.5
    np.testing.assert_allclose(found.reshape(2, 2, 9), expected, atol=1e-5)
    assert found.dtype == np.float32


def test_an_edge_counts_where_it_lies():
    image = np.zeros((16, 16), np.uint8)
    image[2:6, 12:] = 200  # a step at column 12, rows 2 to 5, and ends above and below
    found = hog_features(image).reshape(2, 2, 9)
    assert (found[0, 1] > 0).any() and not found[0, 0].any() and not found[1].any()
    # Central differences, of which the image's own border has none across itself.
    rows, columns = np.gradient(image.astype(float))
    rows[[0, -1]], columns[:, [0, -1]] = 0, 0
    strength, angle = np.hypot(rows, columns), np.degrees(np.arctan2(rows, columns)) % 180
    weights = [strength[:8, 8:][(angle[:8, 8:] // 20) == each].sum() for each in range(9)]
    once = np.minimum(weights / np.linalg.norm(weights), 0.2)
    np.testing.assert_allclose(found[0, 1], once / np.linalg.norm(once), atol=1e-5)


def test_contrast_does_not_matter_and_flat_images_have_none():
    rng = np.random.default_rng(0)
    dim = rng.integers(0, 80, (2, 3, 24, 32), np.uint8)
    found = hog_features(dim)
    assert found.shape == (2, 3, 36 * 2 * 3)
    np.testing.assert_allclose(hog_features(dim * 3), found, atol=1e-5)
    np.testing.assert_array_equal(hog_features(dim[1, 2]), found[1, 2])
    assert not hog_features(np.full((16, 16), 9, np.uint8)).any()


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="float32 of shape"):
        hog_features(np.zeros((2, 16, 16), np.float32))
    with pytest.raises(InputError, match=r"cell \(=8\) and images of 15 x 40 pixels"):
        hog_features(np.zeros((2, 15, 40), np.uint8))

"""Occlusion against a loop over windows and pixels."""

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.evaluation.occlusion import occlusion, windows_of

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 7, 9, 2)).astype(np.float32)
WEIGHTS = RNG.normal(size=(7, 9, 2)).astype(np.float32)


def squares(images):
    return (WEIGHTS * images**2).sum((1, 2, 3))


def by_loop(images, patch, down, across, grey_of, seen=7):
    maps = np.zeros((len(images), seen, 9))
    for own, image in zip(maps, images.astype(np.float64), strict=True):
        for row in range(seen):
            for column in range(9):
                drops = []
                for top in down:
                    for left in across:
                        if top <= row < top + patch and left <= column < left + patch:
                            changed = image.copy()
                            changed[top : top + patch, left : left + patch] = grey_of(image)
                            drops.append(squares(image[None])[0] - squares(changed[None])[0])
                own[row, column] = np.mean(drops)
    return maps


def test_occlusion_equals_a_loop_with_a_stated_grey():
    found = occlusion(squares, IMAGES, patch=3, stride=2, fill=0.5, together=5)
    expected = by_loop(IMAGES, 3, (0, 2, 4), (0, 2, 4, 6), lambda image: 0.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_rows_below_what_is_seen_are_never_covered_nor_in_the_mean_grey():
    found = occlusion(squares, IMAGES, patch=3, stride=3, height=6)
    expected = by_loop(IMAGES, 3, (0, 3), (0, 3, 6), lambda image: image[:6].mean((0, 1)), seen=6)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_no_more_covered_images_are_scored_at_once_than_asked():
    sizes = []

    def score_of(images):
        sizes.append(len(images))
        return squares(images)

    occlusion(score_of, IMAGES, patch=3, stride=1, together=10)
    # The first call is of shapes alone; 36 images are then scored by four calls of one length.
    assert sizes == [2, 9]


def test_windows_leave_no_pixel_out_and_the_last_ends_with_the_image():
    windows = windows_of(7, 9, 3, 2)
    seen = np.zeros((7, 9), bool)
    for window in windows:
        assert seen[window].shape == (3, 3)
        seen[window] = True
    assert seen.all() and windows[-1] == (slice(4, 7), slice(6, 9))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patch": 8, "stride": 1}, r"patch \(=8\): expected 1 to the sides of 7x9"),
        ({"patch": 2, "stride": 3}, r"stride \(=3\): expected 1 to patch \(=2\)"),
        ({"patch": 2, "stride": 0}, r"stride \(=0\)"),
        ({"patch": 2, "stride": 1, "height": 0}, r"height \(=0\)"),
    ],
)
def test_windows_that_do_not_fit_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        occlusion(squares, IMAGES, **options)


def test_a_score_that_is_not_one_an_image_is_refused():
    with pytest.raises(InputError, match=r"scores of shape \(2, 9, 2\)"):
        occlusion(lambda images: images.sum(1), IMAGES, patch=2, stride=1)

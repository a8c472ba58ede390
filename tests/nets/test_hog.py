"""Histograms of oriented gradients against scikit-image's, and by finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import ndimage
from skimage.feature import hog

from metabone.episodes.sampling import scale
from metabone.errors import InputError
from metabone.nets.hog import hog_net

CELL = 4


@partial(jax.jit, static_argnums=(1, 2))
def features_of(images, cell=CELL, blur=0.0):
    return hog_net(cell, blur).apply({}, {}, images, False)[0]


def of_skimage(image, cell):
    return hog(
        image,
        orientations=9,
        pixels_per_cell=(cell, cell),
        cells_per_block=(2, 2),
        block_norm="L2-Hys",
        channel_axis=-1,
    )


def smooth(rng, size):
    """Slow waves, as radiographs have: many neighbours are equal, many angles straight."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = np.sin(rows / rng.uniform(3, 9)) + np.cos(columns / rng.uniform(3, 9))
    return np.uint8(60 + 30 * waves)


@pytest.mark.parametrize(
    ("shape", "cell"), [((64, 64, 1), 8), ((64, 64, 3), 8), ((23, 31, 1), 4), ((13, 9, 2), 2)]
)
def test_numbers_are_those_of_scikit_image(shape, cell):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (8, *shape), np.uint8)
    waves = np.stack([[smooth(rng, shape[:2]) for _ in range(shape[2])] for _ in range(8)])
    images = np.concatenate([noise, np.moveaxis(waves, 1, -1)])
    found = jax.jit(lambda x: features_of(scale(x), cell))(images)
    expected = np.stack([of_skimage(image, cell) for image in images])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.optimized  # equal bits
def test_grey_repeated_is_grey_and_a_region_of_64_pixels_has_1764_features():
    grey = scale(jnp.array(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), np.uint8)))
    once, thrice = features_of(grey, 8), features_of(jnp.repeat(grey, 3, axis=-1), 8)
    assert once.shape == (2, 1764)
    np.testing.assert_array_equal(once, thrice)


@pytest.mark.parametrize(("axis", "orientation"), [(1, 0), (0, 4)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_ramp_has_one_orientation_shared_by_the_four_cells(axis, orientation, sign):
    # Four cells of equal weight have a length of one at 1/2 each, clipped at 0.2 and scaled again.
    steps = sign * jnp.linspace(-0.4, 0.4, 2 * CELL)
    ramp = jnp.broadcast_to(steps if axis else steps[:, None], (2 * CELL, 2 * CELL))
    expected = np.zeros((4, 9), np.float32)
    expected[:, orientation] = 0.5
    found = features_of(ramp[None, ..., None])
    np.testing.assert_allclose(found.reshape(4, 9), expected, atol=1e-5)


def test_a_blur_is_that_of_the_image_where_its_border_is_even():
    image = np.zeros((40, 40, 1), np.uint8)
    image[14:26, 14:26] = np.random.default_rng(0).integers(0, 256, (12, 12, 1))
    soft = ndimage.gaussian_filter(image.astype(float), (2, 2, 0))
    found = features_of(scale(jnp.array(image)[None]), CELL, 2.0)
    np.testing.assert_allclose(found[0], of_skimage(soft, CELL), atol=1e-3)
    assert np.abs(found - features_of(scale(jnp.array(image)[None]))).max() > 0.1


def test_a_blur_makes_a_film_of_half_the_resolution_alike():
    grain = np.random.default_rng(0).normal(0, 6, (4, 64, 64))
    rows, columns = np.mgrid[:64, :64]
    films = 120 + 60 * np.sin(rows / 9) * np.cos(columns / 7 + np.arange(4)[:, None, None]) + grain
    halves = films.reshape(4, 32, 2, 32, 2).mean((2, 4))
    again = ndimage.zoom(halves, (1, 2, 2), order=1, grid_mode=True, mode="nearest")
    apart = {}
    for blur in (0.0, 3.5):
        sharp, soft = (
            features_of(jnp.array(x)[..., None] / 127.5 - 1, 8, blur) for x in (films, again)
        )
        apart[blur] = np.linalg.norm(sharp - soft) / np.linalg.norm(sharp - sharp.mean(0))
    assert apart[3.5] < 0.5 * apart[0.0]


def test_slopes_are_those_of_finite_differences_and_images_may_be_mapped(x64):
    rng = np.random.default_rng(0)
    images = jnp.array(rng.uniform(-1, 1, (2, 8, 8, 1)))
    weights = jnp.array(rng.normal(size=36))
    each = jax.vmap(lambda image: features_of(image[None])[0])
    np.testing.assert_allclose(each(images), features_of(images), rtol=1e-12)
    check_grads(
        jax.jit(lambda x: jnp.tanh(each(x) @ weights)), (images,), order=1, modes=("rev",), eps=1e-6
    )


def test_flat_images_have_no_features_and_no_slopes():
    flat = jnp.full((1, 8, 8, 2), 0.25)
    half = flat.at[:, 5:, 6:].set(-0.5).at[:, 1, 2].set(0.5)
    assert not np.asarray(features_of(flat)).any()
    assert not np.asarray(features_of(flat, CELL, 2.0)).any()
    slopes = jax.jit(jax.grad(lambda x: features_of(x).sum()))
    assert not np.asarray(slopes(flat)).any()
    assert np.isfinite(slopes(half)).all() and np.asarray(slopes(half)).any()


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="uint8 of shape"):
        features_of(jnp.zeros((2, 16, 16, 1), jnp.uint8))
    with pytest.raises(InputError, match=r"float32 of shape \(16, 16, 1\)"):
        features_of(jnp.zeros((16, 16, 1)))
    with pytest.raises(InputError, match=r"cell \(=8\) and images of 15 x 40 pixels"):
        features_of(jnp.zeros((2, 15, 40, 1)), 8)
    with pytest.raises(InputError, match=r"cell \(=0\)"):
        hog_net(0)
    with pytest.raises(InputError, match=r"blur \(=-1\)"):
        hog_net(blur=-1)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph.regions import REGION_NAMES, crop_regions


def test_there_are_six_regions_and_the_seed_s_two_stand_where_it_puts_them():
    assert len(REGION_NAMES) == 6
    assert REGION_NAMES[1].startswith("middle finger, distal")
    assert REGION_NAMES[3].startswith("middle finger, proximal")


@pytest.mark.parametrize("jit", [False, True])
def test_an_inner_crop_is_the_slice_round_its_centre(jit):
    image = np.random.default_rng(0).integers(0, 256, (200, 150), dtype=np.uint8)
    crop = jax.jit(crop_regions) if jit else crop_regions
    out = np.asarray(crop(jnp.asarray(image), jnp.array([[70.2, 90.6]])))
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[0], image[91 - 32 : 91 + 32, 70 - 32 : 70 + 32])


@pytest.mark.parametrize("x, y", [(0.0, 0.0), (3.0, 100.0), (149.0, 199.0), (80.0, 190.0)])
def test_beyond_the_border_the_film_is_mirrored(x, y):
    image = np.random.default_rng(1).integers(0, 256, (200, 150), dtype=np.uint8)
    padded = np.pad(image, 32, mode="reflect")
    out = crop_regions(jnp.asarray(image), jnp.array([[x, y]]))
    np.testing.assert_array_equal(out[0], padded[int(y) : int(y) + 64, int(x) : int(x) + 64])


def test_a_centre_off_the_film_is_moved_to_its_border():
    image = jnp.arange(100.0 * 100).reshape(100, 100)
    out = crop_regions(image, jnp.array([[-40.0, 300.0], [0.0, 99.0]]))
    np.testing.assert_array_equal(out[0], out[1])

import numpy as np
import pytest

from metabone.workflows.look import look_of


@pytest.mark.parametrize("size", [4, 8, 21, 64])
def test_a_film_of_one_grey_has_that_grey_and_no_structure(size):
    (look,) = look_of(np.full((1, size, size, 1), 128, np.uint8))
    np.testing.assert_array_equal(look, [0.0] * 64 + [2.0] * 5 + [0.0] * 4)


def test_places_do_not_change_with_brightness_and_say_where_it_is_light():
    film = np.full((1, 16, 16, 1), 40, np.uint8)
    film[:, 8:, :8] = 140
    dark, bright = look_of(np.concatenate([film, film + 60]))
    np.testing.assert_allclose(dark[:64], bright[:64], atol=1e-6)
    places = dark[:64].reshape(8, 8)
    assert (places[4:, :4] > 0).all() and (places[:4] < 0).all() and (places[:, 4:] < 0).all()


def test_structure_is_told_by_its_octave():
    rows = np.arange(64)
    # Stripes of 1, 2, 4 and 8 pixels.
    films = [np.tile((rows // 2**octave % 2 * 200)[:, None], (1, 64)) for octave in range(4)]
    looks = look_of(np.stack(films)[..., None].astype(np.uint8))
    np.testing.assert_array_equal(looks[:, -4:].argmax(-1), range(4))


def test_colour_is_read_as_its_mean():
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(look_of(np.repeat(grey, 3, -1)), look_of(grey), rtol=1e-6)

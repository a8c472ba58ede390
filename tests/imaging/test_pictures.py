import io

import numpy as np
import pytest
from PIL import Image

from metabone.errors import InputError
from metabone.imaging.film import to_eight_bits
from metabone.imaging.reading import read_film


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(file, kind, **options)
    return file.getvalue()


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
FULL = (np.arange(256).reshape(16, 16) * 257).astype(np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("name", ["film.png", "film.dcm", "film"])
def test_the_content_counts_and_not_the_name(kind, name):
    film = read_film(encode(RAMP, kind), name)
    np.testing.assert_array_equal(film.pixels, RAMP.astype(np.uint16) * 257)
    assert (film.format, film.bits, film.stored) == (kind, 8, (0, 255))
    assert film.conversions == film.warnings == ()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind):
    film = read_film(encode(FULL, kind), "film")
    np.testing.assert_array_equal(film.pixels, FULL)
    np.testing.assert_array_equal(to_eight_bits(film.pixels), RAMP)
    assert film.bits == 16
    assert film.conversions == ()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_ten_to_fourteen_bits_written_into_sixteen_are_spread(kind):
    for bits in (10, 12, 14):
        deep = np.arange(2**bits, dtype=np.uint16).reshape(32, -1)
        film = read_film(encode(deep, kind), "film")
        exact = deep * (65535 / (2**bits - 1))
        assert np.abs(film.pixels - exact).max() <= 0.5 and film.pixels.max() == 65535
        assert film.conversions == (f"{bits} of 16 bits are used, and were spread over all greys",)


@pytest.mark.parametrize("pixels", [RAMP, FULL])
def test_a_tiff_whose_zero_is_white_is_inverted_once(pixels):
    data = encode(pixels, "TIFF", tiffinfo={262: 0})
    upright = read_film(encode(pixels, "TIFF"), "film").pixels
    with Image.open(io.BytesIO(data)) as image:
        assert image.tag_v2[262] == 0
    film = read_film(data, "film")
    if pixels.dtype == np.uint8:
        # Pillow writes 8 bits inverted too, so that they come back as they were.
        np.testing.assert_array_equal(film.pixels, upright)
    else:
        np.testing.assert_array_equal(film.pixels, 65535 - upright)
        assert film.conversions == ("inverted, since its lowest value is white",)


def test_a_jpeg_in_grey_or_in_three_equal_channels_is_read_with_a_warning():
    smooth = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, 0)
    for pixels in (smooth, np.stack([smooth] * 3, -1)):
        film = read_film(encode(pixels, "JPEG", quality=95), "film")
        assert np.abs(to_eight_bits(film.pixels).astype(int) - smooth).max() <= 4
        assert film.warnings == ("compressed with loss at some time",)


def test_colours_are_refused_and_a_grey_palette_is_not():
    tinted = np.stack([RAMP, RAMP, RAMP // 2], -1)
    with pytest.raises(InputError, match=r"^film: in colours: its channels differ by 128 of 255"):
        read_film(encode(tinted, "PNG"), "film")
    luma = np.asarray(Image.fromarray(tinted).convert("L"))
    film = read_film(encode(tinted, "PNG"), "film", luma=True)
    np.testing.assert_array_equal(to_eight_bits(film.pixels), luma)
    assert film.conversions == ("RGB to grey by ITU-R 601-2 luma",)
    palette = Image.fromarray(RAMP).convert("P")
    file = io.BytesIO()
    palette.save(file, "PNG")
    np.testing.assert_array_equal(to_eight_bits(read_film(file.getvalue(), "x").pixels), RAMP)


def test_transparency_is_laid_over_white():
    layers = np.stack([RAMP, RAMP, RAMP, np.where(RAMP < 100, 0, 255).astype(np.uint8)], -1)
    film = read_film(encode(layers, "PNG"), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), np.where(RAMP < 100, 255, RAMP))
    assert film.conversions == ("transparency laid over white", "three equal channels to one grey")


def test_a_film_is_turned_as_its_camera_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, pixels in (("PNG", RAMP), ("TIFF", FULL)):
        film = read_film(encode(pixels, kind, exif=exif), "film")
        upright = read_film(encode(pixels, kind), "film")
        np.testing.assert_array_equal(film.pixels, np.rot90(upright.pixels, -1))
        assert film.conversions == ("turned as its EXIF orientation says",)


def test_pages_and_wide_numbers_are_refused():
    file = io.BytesIO()
    page = Image.fromarray(RAMP)
    page.save(file, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(
        InputError, match=r"^film: more than one page; save each as a file of its own$"
    ):
        read_film(file.getvalue(), "film")
    for wide in (RAMP.astype(np.float32), RAMP.astype(np.int32) * 70000):
        with pytest.raises(InputError, match=r"^film: its pixels have a sign, a point, or more"):
            read_film(encode(wide, "TIFF"), "film")


def test_of_a_telephones_picture_the_first_frame_is_read_without_its_previews():
    smooth = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, 0)
    file = io.BytesIO()
    preview = Image.fromarray(255 - smooth)
    Image.fromarray(smooth).save(file, "MPO", save_all=True, append_images=[preview], quality=95)
    film = read_film(file.getvalue(), "film")
    assert np.abs(to_eight_bits(film.pixels).astype(int) - smooth).max() <= 4
    assert film.format == "JPEG" and film.warnings == ("compressed with loss at some time",)

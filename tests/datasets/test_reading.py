import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import reading
from metabone.errors import InputError


def png(width, height, rows=b"", depth=8, color=0):
    """A PNG by hand, whose header may claim anything."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def pixels(data, channels):
    picture = reading.decode(data, "x", channels)
    return np.asarray(picture.image), picture.conversions


def test_grey_is_read_as_it_is_and_repeated_to_rgb_on_the_record(encode):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    read, notes = pixels(encode(grey), 1)
    np.testing.assert_array_equal(read, grey)
    assert notes == ()
    read, notes = pixels(encode(grey), 3)
    np.testing.assert_array_equal(read, np.repeat(grey[..., None], 3, -1))
    assert notes == ("grey repeated to RGB",)


def test_rgb_becomes_grey_by_luma_on_the_record(encode):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    read, notes = pixels(encode(rgb), 1)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read - luma).max() <= 1
    assert notes == ("RGB to grey by ITU-R 601-2 luma",)


def test_sixteen_bits_are_scaled_by_their_full_range(encode):
    deep = np.array([[0, 257, 65535, 32896]], np.uint16)
    read, notes = pixels(encode(deep), 1)
    assert read.tolist() == [[0, 1, 255, 128]]
    assert notes == ("16 to 8 bits by value / 257",)


def test_twelve_bits_written_into_sixteen_are_scaled_by_twelve(encode):
    read, notes = pixels(encode(np.array([[0, 16, 2048, 4095]], np.uint16)), 1)
    assert read.tolist() == [[0, 1, 128, 255]]
    assert notes == ("16 to 8 bits, of which 12 are used",)


def test_transparency_is_laid_over_black(encode):
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
    read, notes = pixels(encode(rgba), 3)
    assert read.tolist() == [[[200, 100, 50], [0, 0, 0]]]
    assert "transparency laid over black" in notes
    read, _ = pixels(encode(np.array([[[200, 255], [200, 0]]], np.uint8)), 1)
    assert read.tolist() == [[200, 0]]


def test_a_palette_is_looked_up_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 90, 80, 70])
    image.putdata([0, 1])
    for options, first in (({}, [10, 20, 30]), ({"transparency": 0}, [0, 0, 0])):
        file = io.BytesIO()
        image.save(file, "PNG", **options)
        read, _ = pixels(file.getvalue(), 3)
        assert read.tolist() == [[first, [90, 80, 70]]]


def test_black_and_white_is_grey():
    file = io.BytesIO()
    image = Image.new("1", (2, 1))
    image.putdata([0, 1])
    image.save(file, "PNG")
    assert pixels(file.getvalue(), 1)[0].tolist() == [[0, 255]]


def test_cmyk_is_read_as_rgb():
    file = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(file, "JPEG")
    read, notes = pixels(file.getvalue(), 3)
    assert read.min() >= 254
    assert notes == ("CMYK or YCbCr to RGB",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = np.repeat(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), 8, 0).repeat(8, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(upright).save(file, "PNG", exif=exif)
    expected = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, -1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, 1),
    }
    np.testing.assert_array_equal(pixels(file.getvalue(), 1)[0], expected[orientation])


def test_a_bomb_is_refused_by_its_header_alone(one_line):
    with pytest.raises(InputError, match="more than 64 megapixels") as caught:
        reading.decode(png(50_000, 50_000), "images.zip:bomb.png", 1)
    one_line(caught, "images.zip:bomb.png")


@pytest.mark.parametrize("edge", [8_001, 9_500, 13_000])
def test_the_limit_holds_where_pillow_only_warns_or_says_nothing(edge):
    with pytest.raises(InputError, match="megapixels"):
        reading.decode(png(edge, edge), "x.png", 1)


def test_the_limit_is_a_parameter():
    with pytest.raises(InputError, match="3 x 2 pixels, above the limit"):
        reading.decode(png(3, 2, b"\0\1\2\3" * 2), "x.png", 1, max_pixels=5)
    assert reading.decode(png(3, 2, b"\0\1\2\3" * 2), "x.png", 1, max_pixels=6).image.size == (3, 2)


@pytest.mark.parametrize(
    "data", [b"", b"hello\nworld", b"GIF89a" + bytes(20), b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_image_is_refused(data, one_line):
    with pytest.raises(InputError, match=r"note\.jpg: ") as caught:
        reading.decode(data, "note.jpg", 1)
    one_line(caught)


@pytest.mark.parametrize("fmt", ["BMP", "TIFF", "GIF", "WEBP"])
def test_other_formats_are_refused(fmt, film):
    with pytest.raises(InputError, match="not a PNG or JPEG"):
        reading.decode(film(0, fmt=fmt), "x", 1)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_image_is_refused(fmt, part, film, one_line):
    data = film(0, 64, 64, fmt=fmt)
    with pytest.raises(InputError, match=r"x: (unreadable|not a)") as caught:
        reading.decode(data[: int(part * len(data))], "x", 1)
    one_line(caught)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
def test_damaged_bytes_give_an_image_or_one_line(fmt, film):
    data = film(0, 32, 32, fmt=fmt)
    rng = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            damaged[place] = rng.integers(256)
        try:
            reading.decode(bytes(damaged), "x", 1)
        except InputError as error:
            assert str(error).isprintable()


def test_resizing_pads_with_black_in_the_middle():
    tall = Image.fromarray(np.full((32, 16), 200, np.uint8))
    small = reading.resize(tall, 16)
    assert small.shape == (16, 16, 1) and small.dtype == np.uint8
    assert small[:, :3].max() <= 1 and small[:, -3:].max() <= 1  # the filter rings by one grey
    assert small[:, 7:9].min() == 200


def test_a_square_of_the_right_size_is_left_alone():
    square = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(reading.resize(Image.fromarray(square), 16), square)

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from metabone.datasets import reading
from metabone.errors import InputError


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, rows=b"", depth=8, color=0):
    """A PNG by hand, whose header may claim anything."""

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


def test_black_ink_on_a_transparent_page_stays_black_on_white(encode):
    clear, ink, half = [0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 128]
    read, notes = pixels(encode(np.array([[clear, ink, half]], np.uint8)), 1)
    assert read.tolist() == [[255, 0, 127]]
    assert notes[0] == "transparency laid over white"
    # Grey stays grey, whatever stands beside it.
    read, notes = pixels(encode(np.array([[[0, 0], [0, 255], [200, 255]]], np.uint8)), 1)
    assert read.tolist() == [[255, 0, 200]] and notes == ("transparency laid over white",)


def test_transparency_is_laid_over_black_where_that_is_told(encode):
    data = encode(np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8))
    picture = reading.decode(data, "x", 3, page=0)
    assert np.asarray(picture.image).tolist() == [[[200, 100, 50], [0, 0, 0]]]
    assert picture.conversions == ("transparency laid over black",)


def test_where_nothing_is_transparent_nothing_is_said_to_be(encode):
    opaque = np.array([[[200, 100, 50, 255]]], np.uint8)
    read, notes = pixels(encode(opaque), 3)
    assert read.tolist() == [[[200, 100, 50]]] and notes == ()


def test_a_palette_is_looked_up_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 90, 80, 70])
    image.putdata([0, 1])
    for options, first in (({}, [10, 20, 30]), ({"transparency": 0}, [255] * 3)):
        for kind in ("PNG", "GIF"):
            file = io.BytesIO()
            image.save(file, kind, **options)
            read, _ = pixels(file.getvalue(), 3)
            assert read.tolist() == [[first, [90, 80, 70]]]


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [(1, b"\x40", [255, 255]), (8, b"\0\x80", [255, 128]), (16, b"\0\0\x0f\xff", [255, 255])],
)
def test_one_grey_may_be_the_transparent_one(depth, row, expected):
    data = png(2, 1, b"\0" + row, depth)
    header = data.index(b"IDAT") - 4
    data = data[:header] + chunk(b"tRNS", b"\0\0") + data[header:]
    read, notes = pixels(data, 1)
    assert read.tolist() == [expected]
    assert notes[0] == "transparency laid over white"


def test_sixteen_bit_colours_keep_their_upper_bits_on_the_record():
    read, notes = pixels(png(1, 1, b"\0" + bytes([1, 200, 3, 200, 5, 200]), 16, 2), 3)
    assert read.tolist() == [[[1, 3, 5]]]
    assert notes == ("16-bit samples to their upper 8 bits",)


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


def webp(edge):
    """The extended header of a WebP, and the frame of a small one."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "WEBP", lossless=True)
    canvas = (edge - 1).to_bytes(3, "little")
    frame = bytes(6) + (7).to_bytes(3, "little") * 2 + bytes(4) + file.getvalue()[12:]
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + canvas * 2
    chunks += b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame))
    return b"RIFF" + struct.pack("<I", len(chunks + frame) + 4) + b"WEBP" + chunks + frame


def gif(edge):
    screen = struct.pack("<HHBBB", edge, edge, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, edge, edge, 0) + b"\2\1\x44\0;"


def bmp(edge):
    header = struct.pack("<IiiHHIIiiII", 40, edge, edge, 1, 8, 0, 0, 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 62) + header + bytes(8) + bytes(64)


@pytest.mark.parametrize("edge", [8_001, 9_500, 13_000])
@pytest.mark.parametrize("write", [lambda edge: png(edge, edge), webp, gif, bmp])
def test_the_limit_holds_where_pillow_only_warns_or_says_nothing(write, edge):
    with pytest.raises(InputError, match="megapixels"):
        reading.decode(write(edge), "x.png", 1)


def test_the_headers_of_bombs_are_those_of_pictures_but_for_their_size():
    for write in (webp, bmp):
        assert reading.decode(write(8), "x", 1).image.size == (8, 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\nworld",
        b"GIF89a" + bytes(20),
        b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(20),
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_image_is_refused(data, one_line):
    with pytest.raises(InputError, match=r"note\.jpg: ") as caught:
        reading.decode(data, "note.jpg", 1)
    one_line(caught)


@pytest.mark.parametrize("fmt", ["BMP", "TIFF", "GIF", "WEBP"])
def test_other_formats_are_read_by_their_content(fmt, encode):
    grey = np.random.default_rng(0).integers(0, 256, (5, 6), np.uint8)
    read, notes = pixels(encode(grey, fmt, **({"lossless": True} if fmt == "WEBP" else {})), 1)
    np.testing.assert_array_equal(read, grey)
    assert notes in ((), ("RGB to grey by ITU-R 601-2 luma",))


def test_jpeg_2000_and_dicom_are_refused(encode, one_line):
    grey = np.zeros((8, 8), np.uint8)
    with pytest.raises(InputError, match=r"not a PNG, JPEG, TIFF, BMP, WebP or GIF image$"):
        reading.decode(encode(grey, "JPEG2000"), "x", 1)
    with pytest.raises(
        InputError, match="but a DICOM file; prepare-hands and adapt read"
    ) as caught:
        reading.decode(bytes(128) + b"DICM" + bytes(9), "x", 1)
    one_line(caught)


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame_is_read_on_the_record(fmt):
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    file = io.BytesIO()
    first.save(file, fmt, save_all=True, append_images=[second], duration=50)
    read, notes = pixels(file.getvalue(), 3)
    assert abs(read.astype(int) - [255, 0, 0]).max() <= 3
    assert notes == ("the first of several frames",)


def test_a_tiff_of_several_pages_is_refused(film, one_line):
    file = io.BytesIO()
    page = Image.open(io.BytesIO(film(0)))
    page.save(file, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(InputError, match="x: more than one page; save each as a file") as caught:
        reading.decode(file.getvalue(), "x", 1)
    one_line(caught)


def test_a_tiff_s_white_that_is_lowest_is_white(encode):
    data = encode(np.array([[0, 4095]], np.uint16), "TIFF", tiffinfo={262: 0})
    read, notes = pixels(data, 1)
    assert read.tolist() == [[255, 0]]
    assert notes[1] == "inverted, since its lowest value is white"


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_image_is_refused(fmt, part, film, one_line):
    data = film(0, 64, 64, fmt=fmt)
    with pytest.raises(InputError, match="x: damaged or cut off") as caught:
        reading.decode(data[: int(part * len(data))], "x", 1)
    one_line(caught)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
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

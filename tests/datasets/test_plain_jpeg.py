import io

import numpy as np
import pytest
from PIL import Image

from metabone.datasets.plain_jpeg import decode_plain
from metabone.datasets.reading import decode
from metabone.datasets.source import open_images

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (13, 21, 3), np.uint8)
GREY = RANDOM.integers(0, 256, (9, 5), np.uint8)


def jpeg(pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, "JPEG", **options)
    return file.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


PLAIN = {
    "colour": jpeg(COLOUR),
    "grey": jpeg(GREY),
    "progressive": jpeg(COLOUR, progressive=True),
    "progressive grey": jpeg(GREY, progressive=True),
    "full chroma": jpeg(COLOUR, subsampling=0, quality=95),
    "quarter chroma": jpeg(COLOUR, subsampling=2, quality=40),
    "own tables": jpeg(COLOUR, optimize=True),
    "restarts": jpeg(COLOUR, restart_marker_blocks=1),
    "comment": jpeg(COLOUR, comment=b"a hand"),
    "RGB kept": jpeg(COLOUR, keep_rgb=True),
    "bytes after the end": jpeg(COLOUR) + b"\0" * 9,
}
OTHER = {
    "turned": jpeg(COLOUR, exif=exif(6)),
    "upright EXIF": jpeg(COLOUR, exif=exif(1)),
    "colour profile": jpeg(COLOUR, icc_profile=b"profile"),
    "XMP": jpeg(COLOUR, xmp=b"<x/>"),
    "CMYK": jpeg(COLOUR, "CMYK"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_decodes_to_the_bits_of_the_careful_way(name, channels):
    found = decode_plain(PLAIN[name], channels)
    expected = decode(PLAIN[name], name, channels).image
    if name == "RGB kept":  # has an Adobe marker
        assert found is None
        return
    assert found.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("name", OTHER)
def test_what_asks_for_more_than_decoding_is_left_to_the_careful_way(name):
    assert decode_plain(OTHER[name], 3) is None
    decode(OTHER[name], name, 3)


def test_other_formats_and_damaged_files_are_left_to_the_careful_way():
    png = io.BytesIO()
    Image.fromarray(COLOUR).save(png, "PNG")
    for data in (b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", png.getvalue(), b"GIF89a"):
        assert decode_plain(data, 3) is None
    whole = PLAIN["colour"]
    for cut in range(len(whole)):
        found = decode_plain(whole[:cut], 3)
        if found is not None:  # the end marker alone was cut
            expected = decode(whole[:cut], "cut", 3).image
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[RANDOM.integers(2, len(whole))] ^= 1 << RANDOM.integers(8)
        found = decode_plain(bytes(damaged), 3)
        if found is not None:
            expected = decode(bytes(damaged), "damaged", 3).image
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_header_that_asks_for_too_many_pixels_is_left_to_the_careful_way():
    data = bytearray(PLAIN["colour"])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert decode_plain(bytes(data), 3) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_some_images_are_those_of_the_whole_set_whatever_the_files(tmp_path, channels):
    for number, options in enumerate([{}, {"exif": exif(6)}, {"progressive": True}]):
        pixels = RANDOM.integers(0, 256, (2, 10 + number, 16, 3), np.uint8)
        folder = tmp_path / "images" / f"c{number}"
        folder.mkdir(parents=True)
        (folder / "colour.jpg").write_bytes(jpeg(pixels[0], **options))
        (folder / "grey.jpg").write_bytes(jpeg(pixels[1, :, :, 0], **options))
        Image.fromarray(pixels[1]).save(folder / "other.png")
    opened = open_images(
        f"folder:{tmp_path}/images", size=16, channels=channels, data_dir=str(tmp_path / "d")
    )
    rows = RANDOM.permutation(len(opened))
    np.testing.assert_array_equal(opened.read(rows), opened.whole().images[rows])

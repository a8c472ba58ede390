"""What no film may do: name its patient, take the memory, or end in anything but one line."""

import io
import itertools
import logging
import random
import struct
import traceback
import tracemalloc
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image

from metabone.errors import InputError
from metabone.imaging.inspect import inspect_text
from metabone.imaging.reading import read_film, read_film_file

EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
RUNS, JPEG_2000, JPEG_LOSSLESS = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.70",
)
CELLS = np.arange(2048, dtype=np.uint8).reshape(32, 64)
SECRET = "ZZPLANTED"
SECRET_NUMBER = "98765432"


def outcome(data, salt=None):
    """The film, or the refusal with all that hangs on it."""
    try:
        return read_film(data, "film", salt=salt), None
    except InputError as error:
        return None, error


def planted(dicom_file, syntax=EXPLICIT, **elements):
    """A film with an identifier in an element of every text representation, nested and private."""
    data = pydicom.dcmread(io.BytesIO(dicom_file(CELLS, syntax=syntax, **elements)))
    first_of_kind = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (vr, _, _, _, keyword) in pydicom.datadict.DicomDictionary.items():
            group = number >> 16
            if group in (0, 2, 4, 8, 0x10, 0x18, 0x20, 0x28, 0x32, 0x38, 0x40, 0x2050):
                if group in (0, 2, 4) or not keyword or number in data:
                    continue
                first_of_kind.setdefault(vr, []).append(number)
        secrets = {
            **dict.fromkeys("AE CS LO LT PN SH ST UC UR UT".split(), SECRET),
            **dict.fromkeys("DS IS".split(), SECRET_NUMBER),
            "AS": "098Y",
            "DA": SECRET_NUMBER,
            "DT": SECRET_NUMBER,
            "TM": SECRET_NUMBER,
            "UI": f"1.2.{SECRET_NUMBER}",
        }
        item = pydicom.Dataset()
        for vr, secret in secrets.items():
            for number in first_of_kind[vr]:
                if number not in (0x00280008, 0x00281052, 0x00281053, 0x00281050, 0x00281051):
                    data.add_new(number, vr, secret)
        for vr in secrets:
            item.add_new(first_of_kind[vr][0], vr, secrets[vr])
        data.add_new(0x00400275, "SQ", [item])
        data.private_block(0x0099, SECRET, create=True).add_new(1, "LO", SECRET)
        data.file_meta.ImplementationVersionName = SECRET
        data.file_meta.MediaStorageSOPInstanceUID = f"1.2.{SECRET_NUMBER}"
        data.PatientID, data.PatientAge = SECRET, "098Y"
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        file = io.BytesIO()
        data.save_as(file)
    return file.getvalue()


VARIANTS = {
    "read": {},
    "deflated": {"syntax": DEFLATED},
    "compressed": {"syntax": JPEG_2000},
    "interpretation": {"PhotometricInterpretation": SECRET},
    "frames": {"NumberOfFrames": SECRET_NUMBER},
    "window": {"WindowCenter": "1", "WindowWidth": "0", "VOILUTFunction": SECRET},
    "no rows": {"Rows": 0},
    "facts": {"ViewPosition": SECRET, "Modality": SECRET, "Laterality": SECRET},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_planted_identifiers_are_found_nowhere(variant, dicom_file, caplog, capfd, tmp_path):
    data = planted(dicom_file, **VARIANTS[variant])
    assert SECRET.encode() in data or variant == "deflated"
    capfd.readouterr()
    caplog.clear()  # What pydicom said while the file was made.
    caplog.set_level(logging.DEBUG)
    broken = [
        data,
        data[: len(data) - 500],
        data.replace(b"\xff\x4f\xff\x51", b"\xff\x4f\xff\x52"),
        data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.9876543.2.1\0"),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = []
        for number, file in enumerate(broken):
            film, error = outcome(file, salt=b"0123456789abcdef")
            said.append(repr(film))
            if error is not None:
                assert error.__cause__ is None
                assert error.__context__ is None
                said.append("".join(traceback.format_exception(error)))
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(file)
            try:
                said.append(inspect_text(path))
            except InputError as refusal:
                said.append(str(refusal))
    said += [str(warning.message) for warning in caught]
    said += [caplog.text, *capfd.readouterr()]
    for secret in (SECRET, SECRET_NUMBER, "098Y", "9876543"):
        assert not [text for text in said if secret in text]
    read = outcome(data)[0]
    assert (read is not None) == (variant in ("read", "deflated", "compressed", "window", "facts"))
    if read is not None:
        assert read.age_months == 1080


def jpeg_frame(scan):
    comment = b"\xff\xfe\x00\x0c" + SECRET.encode() + b"\0"
    start = b"\xff\xc3\x00\x0b\x08\x00\x20\x00\x40\x01\x01\x11\x00"
    return b"\xff\xd8" + comment + start + scan


def test_a_decoder_that_fails_stays_silent(dicom_file, caplog, capfd):
    frame = jpeg_frame(b"\xff\xda\x00\x08\x01\x01\x99\x01\x00\x00" + SECRET.encode() + b"\xff\xd9")
    data = dicom_file(CELLS, syntax=JPEG_LOSSLESS, frame=frame)
    caplog.clear()
    capfd.readouterr()
    caplog.set_level(logging.DEBUG)
    _, error = outcome(data)
    assert str(error) == "film: damaged, or beyond what its decoder for JPEG lossless can read"
    assert error.__context__ is None
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("pydicom").disabled


def test_compressed_pixels_without_their_end_are_refused(dicom_file):
    frame = jpeg_frame(SECRET.encode() * 40)
    _, error = outcome(dicom_file(CELLS, syntax=JPEG_LOSSLESS, frame=frame))
    assert str(error) == "film: damaged; its JPEG frame has no scan"
    data = dicom_file(CELLS, syntax=JPEG_2000)
    start, end = data.index(b"\xff\x4f\xff\x51"), data.rindex(b"\xff\xd9")
    _, error = outcome(dicom_file(CELLS, syntax=JPEG_2000, frame=data[start : end - 100]))
    assert str(error) == "film: cut off; the end of its compressed pixels is missing"
    _, error = outcome(data[: end - 100])
    assert str(error) == "film: cut off within its compressed pixels"


@pytest.mark.parametrize("syntax", [EXPLICIT, RUNS, JPEG_2000, DEFLATED])
def test_every_cut_and_every_flipped_byte_ends_in_a_film_or_one_line(dicom_file, syntax):
    data = dicom_file(CELLS, syntax=syntax, WindowCenter="100", WindowWidth="200")
    rng = random.Random(0)
    files = [data[:length] for length in range(0, len(data), 37)]
    for _ in range(300):
        file = bytearray(data)
        for _ in range(rng.choice((1, 3, 10))):
            file[rng.randrange(132, len(file))] = rng.choice((0, 255, rng.randrange(256)))
        files.append(bytes(file))
    for file in files:
        film, error = outcome(file)
        if film is None:
            assert "\n" not in str(error)
            assert error.__context__ is None
        else:
            assert film.pixels.dtype == np.uint16


def nested(depth):
    """A film behind a sequence of so many undefined lengths."""
    undefined = struct.pack("<I", 0xFFFFFFFF)
    opening = struct.pack("<HH2sH", 0x40, 0x275, b"SQ", 0) + undefined
    opening += struct.pack("<HH", 0xFFFE, 0xE000) + undefined
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def test_nested_sequences_are_passed_over_up_to_a_depth(dicom_file):
    data = dicom_file(CELLS)
    pixels = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    shallow = data[:pixels] + nested(20) + data[pixels:]
    np.testing.assert_array_equal(outcome(shallow)[0].pixels, outcome(data)[0].pixels)
    deep = data[:pixels] + nested(100_000) + data[pixels:]
    assert str(outcome(deep)[1]) == "film: sequences more than 64 deep; no radiograph has them"
    ends = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    meta = struct.pack("<HH2sH", 2, 0x16, b"AE", 0)
    for position, many in (
        (pixels, nested(1) * 100_000),
        (pixels, ends * 300_000),
        (132, meta * 300_000),
    ):
        error = outcome(data[:position] + many + data[position:])[1]
        assert str(error) == "film: more than 200,000 data elements; no radiograph has them"


def peak(data):
    """What reading allocates, in bytes, and the refusal."""
    tracemalloc.start()
    try:
        error = outcome(data)[1]
        return tracemalloc.get_traced_memory()[1], str(error)
    finally:
        tracemalloc.stop()


def test_bombs_are_refused_before_they_grow(dicom_file):
    empty = dicom_file(None, syntax=DEFLATED)
    meta = empty[: 132 + 12 + int.from_bytes(empty[140:144], "little")]
    stream = zlib.compressobj(1, wbits=-15)
    zeros = b"".join(stream.compress(bytes(100 << 20)) for _ in range(6)) + stream.flush()
    size, error = peak(meta + zeros)
    assert "inflates to more than 192 MiB" in error
    assert size < 450 << 20

    plain = CELLS.astype(np.uint16)
    for syntax, words in ((EXPLICIT, "cut off"), (RUNS, "damaged")):
        data = dicom_file(plain, syntax=syntax)
        rows = data.index(struct.pack("<HH2sH", 0x28, 0x10, b"US", 2)) + 8
        grown = data[:rows] + struct.pack("<H", 8000) + data[rows + 2 :]
        columns = data.index(struct.pack("<HH2sH", 0x28, 0x11, b"US", 2)) + 8
        grown = grown[:columns] + struct.pack("<H", 7900) + grown[columns + 2 :]
        size, error = peak(grown)
        assert words in error
        assert size < 300 << 20

    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 500_000
    size, error = peak(dicom_file(CELLS, syntax=RUNS, frame=runs))
    assert "unfold to more than its size" in error
    assert size < 100 << 20

    data = dicom_file(CELLS, syntax=JPEG_2000)
    grid = data.index(b"\xff\x4f\xff\x51") + 8
    wide = data[:grid] + struct.pack(">II", 60000, 60000) + data[grid + 8 :]
    assert "its header says 32 x 64, its compressed pixels 60000 x 60000" in peak(wide)[1]
    tiles = data[: grid + 16] + struct.pack(">II", 1, 1) + data[grid + 24 :]
    assert "more tiles than any film" in peak(tiles)[1]


def picture_bomb():
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_a_picture_s_header_cannot_ask_for_memory():
    size, error = peak(picture_bomb())
    assert error == ("film: its header asks for more than 64 megapixels (a decompression bomb?)")
    assert size < 10 << 20


def test_cut_pictures_end_in_one_line():
    for kind, step in itertools.product(("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"), (7, 11)):
        file = io.BytesIO()
        Image.fromarray(CELLS).save(file, kind)
        whole = file.getvalue()
        for length in range(12, len(whole) - 200, step * 10):
            film, error = outcome(whole[:length])
            assert film is None or film.pixels.shape == CELLS.shape
            assert error is None or str(error) == "film: damaged or cut off"


def test_a_large_file_and_none_are_refused_unread(tmp_path):
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(InputError, match=r"large.dcm: 200 MiB, above the limit of 192 MiB"):
        read_film_file(path)
    with pytest.raises(InputError, match=r"none.dcm: no such file$"):
        read_film_file(tmp_path / "none.dcm")

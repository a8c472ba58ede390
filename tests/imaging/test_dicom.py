"""Greys against DICOM's own formulas, written out for one pixel at a time in float64."""

import io
import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from metabone.errors import InputError
from metabone.imaging.film import to_eight_bits
from metabone.imaging.reading import read_film

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
RUNS, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
BASELINE = "1.2.840.10008.1.2.4.50"

SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, RUNS, JPEG_2000)
BITS = ((8, 8, False), (16, 10, False), (16, 12, True), (16, 16, False), (16, 16, True))
RESCALES = (None, (2.5, -1024.0), (-1.0, 4095.0), "table")
VOIS = ("none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "table", "two windows", "narrow")
FILMS = [
    (
        ("MONOCHROME1", "MONOCHROME2")[number // 3 % 2],
        BITS[number % 5],
        VOIS[number % 7],
        RESCALES[number // 2 % 4],
        SYNTAXES[number % 6],
        (None, "L", "R", "B")[number // 5 % 4],
    )
    for number in range(42)
]


def shown_grey(stored, low, high, modality, voi, inverted):
    """PS3.3 C.11.1 and C.11.2.1 for one stored value: a grey of 0..65535, not rounded."""
    if modality[0] == "rescaled":
        slope, intercept = modality[1:]
        value = slope * stored + intercept
        ends = sorted((slope * low + intercept, slope * high + intercept))
    else:
        first, entries = modality[1:]
        value = entries[min(max(stored - first, 0), len(entries) - 1)]
        ends = [0, 4095]
    if voi is None:
        grey = float(Fraction(value - ends[0]) / Fraction(ends[1] - ends[0])) * 65535
    elif voi[0] == "table":
        first, bits, entries = voi[1:]
        index = math.floor(value + 0.5) - first
        grey = entries[min(max(index, 0), len(entries) - 1)] / (2**bits - 1) * 65535
    else:
        function, c, w = voi
        if function == "LINEAR":
            if value <= c - 0.5 - (w - 1) / 2:
                grey = 0.0
            elif value > c - 0.5 + (w - 1) / 2:
                grey = 65535.0
            else:
                grey = ((value - (c - 0.5)) / (w - 1) + 0.5) * 65535
        elif function == "LINEAR_EXACT":
            if value <= c - w / 2:
                grey = 0.0
            elif value > c + w / 2:
                grey = 65535.0
            else:
                grey = ((value - c) / w + 0.5) * 65535
        else:
            grey = 65535 / (1 + math.exp(-4 * (value - c) / w))
    return 65535 - grey if inverted else grey


@pytest.mark.parametrize("number", range(len(FILMS)))
def test_a_film_equals_its_source_through_all_that_its_file_asks_for(number, dicom_file, table):
    photometric, (allocated, bits, signed), voi, rescale, syntax, laterality = FILMS[number]
    rng = np.random.default_rng(number)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    stored = rng.integers(low, high + 1, (33, 34))
    stored[0, :2] = low, high
    elements = {
        "PhotometricInterpretation": photometric,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(signed),
    }
    if laterality is not None:
        elements["ImageLaterality"] = laterality

    order = ">" if syntax == BIG_ENDIAN else "<"
    if rescale == "table":
        entries = np.sort(rng.integers(0, 4096, 200))
        # Signed films have a signed first value, which pydicom writes as what its bits are.
        modality = ("table", low // 2 + 3, entries)
        elements["ModalityLUTSequence"] = table(
            modality[1], 12, entries, "SS" if signed else "US", order
        )
        least, most = 0, 4095
    else:
        modality = ("rescaled", *(rescale or (1.0, 0.0)))
        if rescale:
            elements["RescaleSlope"], elements["RescaleIntercept"] = map(str, rescale)
        ends = sorted(modality[1] * end + modality[2] for end in (low, high))
        least, most = int(ends[0]), int(ends[1])

    center, width = (least + most) / 2 + 7, (most - least) / 2 + 1
    if voi == "none":
        expected_voi = None
    elif voi == "table":
        first, entries = max(least, -32768) + 5, np.sort(rng.integers(0, 1024, 300))
        vr = "SS" if least < 0 else "US"
        elements["VOILUTSequence"] = table(first, 10, entries, vr, order)
        expected_voi = ("table", first, 10, entries)
    elif voi == "two windows":
        elements["WindowCenter"] = [f"{center:g}", "40"]
        elements["WindowWidth"] = [f"{width:g}", "400"]
        expected_voi = ("LINEAR", float(f"{center:g}"), float(f"{width:g}"))
    else:
        function, width = ("LINEAR", 1) if voi == "narrow" else (voi, width)
        elements["WindowCenter"], elements["WindowWidth"] = f"{center:g}", f"{width:g}"
        if function != "LINEAR":
            elements["VOILUTFunction"] = function
        expected_voi = (function, float(f"{center:g}"), float(f"{width:g}"))

    cells = (stored & (2**bits - 1)) if not signed else stored
    cells = cells.astype(f"{'i' if signed else 'u'}{allocated // 8}")
    film = read_film(dicom_file(cells, syntax=syntax, **elements), "film")

    expected = np.array(
        [
            [
                shown_grey(
                    int(value), low, high, modality, expected_voi, photometric == "MONOCHROME1"
                )
                for value in row
            ]
            for row in stored
        ]
    )
    assert film.pixels.dtype == np.uint16
    np.testing.assert_allclose(film.pixels, expected, rtol=0, atol=0.5 + 1e-6)
    assert film.stored == (stored.min(), stored.max())
    assert film.bits == bits
    assert film.laterality == (laterality if laterality in ("L", "R") else None)
    assert ("the first of 2" in " ".join(film.conversions)) == (voi == "two windows")


def test_the_films_above_pair_every_window_with_every_syntax():
    assert len({(voi, syntax) for _, _, voi, _, syntax, _ in FILMS}) == 42
    assert len({(bits, syntax) for _, bits, _, _, syntax, _ in FILMS}) == 30


def test_eight_bits_come_back_as_they_were(dicom_file):
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
    film = read_film(dicom_file(greys), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), greys)
    assert film.conversions == ("all values of 8 bits shown; the file has no window",)
    assert film.warnings == ()


def test_bits_beside_the_stored_ones_do_not_count(dicom_file):
    greys = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    cells = (greys << 4) | 0xC00F  # Overlay planes once lay there.
    film = read_film(dicom_file(cells, BitsStored=10, HighBit=13), "film")
    np.testing.assert_array_equal(film.pixels, np.round(greys * (65535 / 1023)))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_becomes_black_whichever_way_the_film_is_shown(dicom_file, photometric):
    cells = np.array([[0, 1, 2, 3], [4, 250, 254, 255]], np.uint8)
    elements = {"PixelPaddingValue": 255, "PixelPaddingRangeLimit": 254}
    film = read_film(dicom_file(cells, PhotometricInterpretation=photometric, **elements), "film")
    assert film.pixels[1, 2:].tolist() == [0, 0]
    assert "2 pixels of padding made black" in film.conversions
    assert film.pixels[0, 0] == (65535 if photometric == "MONOCHROME1" else 0)


def test_negative_padding_of_few_bits_is_found(dicom_file):
    cells = np.array([[-2000, -1000], [0, 2047]], np.int16)
    film = read_film(
        dicom_file(
            cells, BitsStored=12, HighBit=11, PixelRepresentation=1, PixelPaddingValue=-2000
        ),
        "film",
    )
    assert film.pixels.tolist() == [[0, 16772], [32776, 65535]]


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "warned"),
    [
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME1", "IDENTITY", False, True),
    ],
)
def test_the_presentation_shape_inverts_once(dicom_file, photometric, shape, inverted, warned):
    cells = np.array([[0, 100], [200, 255]], np.uint8)
    elements = {} if shape is None else {"PresentationLUTShape": shape}
    film = read_film(dicom_file(cells, PhotometricInterpretation=photometric, **elements), "film")
    expected = 255 - cells if inverted else cells
    np.testing.assert_array_equal(to_eight_bits(film.pixels), expected)
    assert any("contradict" in warning for warning in film.warnings) == warned


def test_tables_of_single_bytes_are_read(dicom_file, sequence):
    cells = np.arange(256, dtype=np.uint8).reshape(16, 16)
    items = sequence(LUTDescriptor=[256, 0, 8])
    items[0].add_new(0x00283006, "OW", bytes(range(256))[::-1])
    film = read_film(dicom_file(cells, VOILUTSequence=items), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), 255 - cells)


def test_a_table_counts_before_a_window(dicom_file, table):
    cells = np.array([[0, 1], [2, 3]], np.uint8)
    film = read_film(
        dicom_file(
            cells,
            VOILUTSequence=table(0, 8, [0, 5, 6, 255]),
            WindowCenter="2",
            WindowWidth="2",
        ),
        "film",
    )
    assert to_eight_bits(film.pixels).tolist() == [[0, 5], [6, 255]]


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"WindowCenter": "100"}, "no width that DICOM allows"),
        ({"WindowCenter": "100", "WindowWidth": "0"}, "no width that DICOM allows"),
        ({"WindowCenter": "100", "WindowWidth": "256", "VOILUTFunction": "CUBIC"}, "as LINEAR"),
    ],
)
def test_a_window_that_is_none_is_told(dicom_file, elements, words):
    cells = np.arange(256, dtype=np.uint8).reshape(16, 16)
    film = read_film(dicom_file(cells, **elements), "film")
    assert any(words in warning for warning in film.warnings)


def test_baseline_jpeg_is_read_with_a_warning(dicom_file):
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, 0)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "JPEG", quality=95)
    data = dicom_file(ramp, syntax=BASELINE, frame=file.getvalue())
    film = read_film(data, "film")
    assert np.abs(to_eight_bits(film.pixels).astype(int) - ramp).max() <= 4
    assert film.warnings == ("its compression may have lost something",)


def test_three_equal_channels_are_grey_and_others_are_refused(dicom_file):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    film = read_film(dicom_file(np.stack([grey] * 3, -1)), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), grey)
    planes = np.stack([grey, grey, grey]).reshape(16, 16, 3)
    film = read_film(dicom_file(planes, PlanarConfiguration=1), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), grey)
    light = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], -1)
    film = read_film(dicom_file(light, PhotometricInterpretation="YBR_FULL"), "film")
    np.testing.assert_array_equal(to_eight_bits(film.pixels), grey)
    tinted = np.stack([grey, grey, 255 - grey], -1)
    with pytest.raises(InputError, match=r"^film: in colours: its channels differ by 255 of 255"):
        read_film(dicom_file(tinted), "film")


def test_facts_are_read_and_old_age_is_rounded(dicom_file):
    cells = np.array([[0, 255]], np.uint8)
    facts = {
        "Modality": "DX",
        "BodyPartExamined": "HAND",
        "ViewPosition": "PA",
        "Laterality": "L",
        "PatientSex": "F",
        "PixelSpacing": ["0.15", "0.15"],
        "ImagerPixelSpacing": ["0.2", "0.2"],
        "BurnedInAnnotation": "YES",
        "LossyImageCompression": "01",
    }
    film = read_film(dicom_file(cells, PatientAge="013Y", **facts), "film")
    assert (film.modality, film.body_part, film.view, film.laterality, film.sex) == (
        "DX",
        "HAND",
        "PA",
        "L",
        "F",
    )
    assert film.spacing == (0.15, 0.15)
    assert film.age_months == 156
    assert film.warnings == (
        "marks are burnt into the pixels, and may name the patient",
        "compressed with loss at some time",
    )
    ages = {"030D": 0, "061D": 2, "052W": 11, "030M": 30, "089Y": 1068, "090Y": 1080, "104Y": 1080}
    for text, months in ages.items():
        assert read_film(dicom_file(cells, PatientAge=text), "film").age_months == months
    film = read_film(dicom_file(cells, PatientAge="13", ImagerPixelSpacing=["0.1", "0.2"]), "film")
    assert film.age_months is None
    assert film.spacing == (0.1, 0.2)
    assert film.warnings == (
        "spacing by Imager Pixel Spacing, at the detector rather than the bone",
        "pixels are not square; nothing here makes them so",
        "the patient's age is not written as DICOM asks for, and not read",
    )


def test_films_of_a_patient_share_a_group_that_only_the_salt_tells(dicom_file):
    cells = np.array([[0, 255]], np.uint8)
    salts = b"0123456789abcdef", b"fedcba9876543210"

    def group(identifier, salt):
        return read_film(dicom_file(cells, PatientID=identifier), "film", salt=salt).group

    assert group("ab12", salts[0]) == group("ab12", salts[0])
    assert len({group(i, s) for i in ("ab12", "ab13") for s in salts}) == 4
    assert group("ab12", None) is None
    assert group("", salts[0]) is None
    with pytest.raises(InputError, match=r"^salt of 3 bytes; at least 16"):
        group("ab12", b"abc")


def test_a_file_without_the_bytes_in_front_is_read(dicom_file):
    cells = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for syntax in (IMPLICIT, EXPLICIT):
        data = dicom_file(cells, syntax=syntax)
        bare = data[132:]
        length = int.from_bytes(bare[8:12], "little")
        for start in (bare, bare[12 + length :]):
            np.testing.assert_array_equal(to_eight_bits(read_film(start, "x").pixels), cells)


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"NumberOfFrames": "3"}, "more than one frame"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colours"),
        ({"Rows": 0}, "missing or 0"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels, above the limit of 64"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits a sample"),
        ({"BitsStored": 12}, "12 bits up to bit 7 do not lie within 8"),
        ({"Rows": 17}, "cut off: 256 bytes of pixels, where 17 x 16 of 8 bits need 272"),
        ({"RescaleSlope": "0"}, "its rescaling leaves one value"),
    ],
)
def test_what_is_no_film_ends_in_one_line(dicom_file, elements, words):
    cells = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(InputError) as refusal:
        read_film(dicom_file(cells, **elements), "film")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_without_pixels_and_one_of_another_kind_end_in_one_line(dicom_file):
    with pytest.raises(InputError, match=r"^film: a DICOM file without pixels"):
        read_film(dicom_file(None), "film")
    with pytest.raises(
        InputError, match=r"^film: not a DICOM, PNG, JPEG, TIFF, BMP, WebP or GIF file$"
    ):
        read_film(b"a hand, said in some more bytes", "film")
    with pytest.raises(InputError, match=r"^film: an empty file$"):
        read_film(b"", "film")


def test_a_syntax_without_a_decoder_names_the_extra(dicom_file, monkeypatch):
    data = dicom_file(np.zeros((32, 32), np.uint8), syntax=JPEG_2000)
    monkeypatch.setattr("metabone.imaging.dicom_pixels.get_decoder", None)
    with pytest.raises(InputError) as refusal:
        read_film(data, "film")
    assert str(refusal.value) == (
        "film: compressed as JPEG 2000 lossless, which needs a decoder: "
        "pip install 'metabone[dicom]'"
    )
    # What is not compressed is read all the same.
    read_film(dicom_file(np.array([[0, 255]], np.uint8)), "film")

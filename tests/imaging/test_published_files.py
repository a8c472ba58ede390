"""The files of ../shared/data/dicom, where they are: one film in many syntaxes, odd and broken."""

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.imaging.reading import read_film

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "dicom"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the published DICOM files lie outside the project"
)
LOSSLESS = ("446803_RG3_JPLL", "4d3b74_RG3_JLSL", "ffde92_RG3_J2KR", "6d63f2_RG3_RLE")
READER = """
import re, sys, time
from metabone.errors import InputError
from metabone.imaging.reading import read_film_file
for path in sys.argv[1:]:
    start = time.perf_counter()
    try:
        film = read_film_file(path)
        said = f"image {film.pixels.shape}"
    except InputError as error:
        said = str(error).removeprefix(path + ": ")
    seconds = time.perf_counter() - start
    # Not getrusage: that remembers what the process was before it became this program.
    memory = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
    print(f"{seconds:.3f}\\t{memory}\\t{said}")
"""


def film(name):
    return read_film((FOLDER / "radiographs" / name).read_bytes(), name)


def test_one_film_in_every_lossless_syntax_is_equal_to_the_bit():
    films = [film(name) for name in LOSSLESS]
    assert films[0].pixels.shape == (1760, 1760)
    assert films[0].stored == (0, 1023)
    for other in films[1:]:
        np.testing.assert_array_equal(other.pixels, films[0].pixels)
    known = {other._replace(pixels=None, format="", conversions=()) for other in films}
    assert len(known) == 1
    assert (films[0].laterality, films[0].view, films[0].sex) == ("R", "AP", "F")


@pytest.mark.parametrize(
    ("name", "most", "mean"), [("63f877_RG3_JLSN", 6, 2), ("c90c91_RG3_J2KI", 12, 2)]
)
def test_lossy_copies_stay_close_and_say_so(name, most, mean):
    exact, lossy = film(LOSSLESS[0]), film(name)
    # In steps of the film's 10 bits.
    difference = np.abs(lossy.pixels.astype(float) - exact.pixels) / (65535 / 1023)
    assert difference.max() < most
    assert difference.mean() < mean
    assert "compressed with loss at some time" in lossy.warnings


def test_twelve_bits_of_extended_jpeg_do_not_wrap():
    data = (FOLDER / "radiographs" / "f26b5e_RG3_JPLY").read_bytes()
    with pytest.raises(InputError, match=r"^film: damaged, or beyond what its decoder for JPEG ex"):
        read_film(data, "film")
    # Its scan ends at coefficient 0, where a sequential one ends at 63 (ISO/IEC 10918-1 B.2.3).
    scan = data.index(bytes.fromhex("ffda00080101000000"))
    mended = read_film(data[: scan + 8] + b"\x3f" + data[scan + 9 :], "film")
    exact = film(LOSSLESS[0])
    difference = np.abs(mended.pixels.astype(float) - exact.pixels) / (65535 / 1023)
    assert difference.max() < 60
    assert difference.mean() < 2


def test_a_film_in_three_equal_channels_is_its_brightness():
    read = film("469e8b_jpeg-baseline.dcm")
    assert read.pixels.shape == (2421, 1296)
    assert read.conversions == ("three equal channels to one grey",)
    assert read.warnings[0] == "marks are burnt into the pixels, and may name the patient"


@pytest.mark.slow
def test_every_file_ends_in_an_image_or_one_line_within_time_and_memory(tmp_path):
    with zipfile.ZipFile(FOLDER / "malformed.zip") as archive:
        archive.extractall(tmp_path)
    paths = [path for path in sorted(FOLDER.rglob("*")) if path.suffix not in (".csv", ".zip")]
    paths += sorted(tmp_path.rglob("*"))
    paths = [str(path) for path in paths if path.is_file()]
    assert len(paths) == 216
    done = subprocess.run(
        [sys.executable, "-c", READER, *paths], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == len(paths)
    assert max(float(seconds) for seconds, _, _ in rows) < 10
    assert max(int(kilobytes) for _, kilobytes, _ in rows) < 2**20
    assert sum(said.startswith("image") for _, _, said in rows) == 145


def test_what_pydicom_decodes_as_one_grey_frame_is_read_and_the_rest_refused():
    films, refusals = 0, 0
    with (FOLDER / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            grey = row["photometric"].startswith("MONOCHROME") and row["frames"] in ("", "1")
            expected = grey and row["pydicom_says"].startswith("decodes")
            if row["bits"].split("/")[0] not in ("8", "16"):
                expected = False
            if (not grey and row["photometric"]) or row["transfer_syntax"] == "(none)":
                continue
            try:
                read_film((FOLDER / row["file"]).read_bytes(), "film")
            except InputError:
                assert not expected, row["file"]
                refusals += 1
            else:
                assert expected, row["file"]
                films += 1
    assert films > 30
    assert refusals > 10

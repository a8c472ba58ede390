import io

import numpy as np
import pytest
from PIL import Image


def encode(pixels, fmt="PNG", **options):
    """The bytes of an image file."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(file, fmt, **options)
    return file.getvalue()


@pytest.fixture(name="encode")
def encode_fixture():
    return encode


@pytest.fixture
def film():
    """The file of a small grey film, another one for each number."""

    def make(number, height=24, width=16, fmt="PNG"):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width), np.uint8)
        return encode(pixels, fmt)

    return make


@pytest.fixture
def rsna_dir(tmp_path, film):
    """A folder like the challenge's, six films of two classes a cut at 100 months."""
    folder = tmp_path / "films"
    images = folder / "images"
    images.mkdir(parents=True)
    rows = ["id,bone_age_months,sex"]
    for number in range(6):
        rows.append(f"{100 + number},{60 + 20 * number},{'FM'[number % 2]}")
        (images / f"{100 + number}.png").write_bytes(film(number))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "prepared"


@pytest.fixture
def one_line():
    """Checks that a message is one printable line and names what it should."""

    def check(caught, *parts):
        message = str(caught.value)
        assert message.isprintable()
        for part in parts:
            assert part in message, message

    return check

"""Pictures of films with what raised and what lowered their answer."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from metabone.report.map_pictures import overlay, write_map_pictures

FILMS = np.full((2, 24, 16), 90, np.uint8)
MAPS = np.zeros((2, 24, 16), np.float32)
MAPS[:, 2:8, 2:8], MAPS[:, 16:22, 8:14] = 4.0, -2.0


def channels(pixels):
    return pixels[..., 0].astype(int) - pixels[..., 2]


def test_what_raises_is_orange_and_what_lowers_blue_and_half_as_strong_half_as_opaque():
    found = overlay(np.array([[1.0, -0.5, 0.0]]))
    raises, lowers, nothing = found[0]
    assert raises[0] > raises[2] and lowers[2] > lowers[0]
    assert lowers[3] == pytest.approx(raises[3] / 2) and nothing[3] == 0


def test_a_picture_has_the_film_and_each_map_beside_it(tmp_path):
    folder = tmp_path / "maps"
    found = write_map_pictures(folder, FILMS, {"one": MAPS, "other": -MAPS}, ["first", "second"])
    assert found == [
        {"file": "map_1.png", "caption": "first"},
        {"file": "map_2.png", "caption": "second"},
    ]
    pixels = np.asarray(Image.open(folder / "map_1.png").convert("RGB"))
    colour = channels(pixels)
    height, width = colour.shape
    film, one, other = (
        colour[: height // 2, int(left * width) : int(right * width)]
        for left, right in ((0, 0.28), (0.30, 0.45), (0.65, 0.80))
    )
    assert not film.any()
    assert one.max() > 100 and one.min() >= 0
    assert other.min() < -100 and other.max() <= 0


def test_pictures_are_the_same_each_time_and_leave_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    for name in ("a", "b"):
        write_map_pictures(tmp_path / name, FILMS[:1], {"map": MAPS[:1]}, [""])
    assert (tmp_path / "a/map_1.png").read_bytes() == (tmp_path / "b/map_1.png").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_a_map_without_anything_leaves_the_film_grey(tmp_path):
    write_map_pictures(tmp_path, FILMS[:1], {"map": 0 * MAPS[:1]}, [""])
    pixels = channels(np.asarray(Image.open(tmp_path / "map_1.png").convert("RGB")))
    assert not pixels[:, : pixels.shape[1] * 3 // 4].any()


@pytest.mark.parametrize(
    ("films", "maps", "captions"),
    [
        (FILMS.astype(float), MAPS, ["", ""]),
        (FILMS, MAPS[:1], ["", ""]),
        (FILMS, MAPS * np.nan, ["", ""]),
        (FILMS, MAPS, [""]),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, films, maps, captions):
    with pytest.raises(ValueError, match="expected"):
        write_map_pictures(tmp_path / "new", films, {"map": maps}, captions)
    assert not (tmp_path / "new").exists()

"""The page on which prepared hands are checked by eye."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from metabone.report.contact_sheet import SheetFilm, write_contact_sheet

POINTS = np.stack([np.arange(21) * 10.0, np.arange(21) * 20.4], axis=1)
REGION = np.array([[[10, 20], [30.4, 20], [30, 40], [10, 40]]])


def film(name="h0", note="", corrected=False):
    grey = np.random.default_rng(0).integers(0, 256, (512, 400)).astype(np.uint8)
    return SheetFilm(name, grey, POINTS, REGION, note, corrected)


@pytest.fixture
def page_of(tmp_path):
    def write(usable=(), refused=(), unshown=()):
        write_contact_sheet(
            tmp_path / "sheet.html",
            title="Hands",
            about={"Files": "3"},
            usable=iter(usable),
            refused=iter(refused),
            unshown=unshown,
        )
        return (tmp_path / "sheet.html").read_text()

    return write


def test_points_and_regions_lie_in_pixels_of_the_film_whatever_its_picture_is(page_of):
    page = page_of([film()])
    assert 'viewBox="0 0 400 512"' in page
    assert '<path class="regions" d="M10 20L30 20L30 40L10 40Z"/>' in page
    assert (
        f'd="M0 0h0M10 20h0M20 41h0{"".join(f"M{x:.0f} {y:.0f}h0" for x, y in POINTS[3:])}"' in page
    )
    (data,) = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (131, 168)


def test_refused_films_stand_apart_with_their_reason(page_of):
    page = page_of([film("h0")], [film("h1", "no hand: <unsure>")], [("h2", "damaged")])
    refused, usable = page.split("<h2>Usable films</h2>")
    assert "<b>h0</b>" in usable and "<b>h1</b>" not in usable
    assert "<b>h1</b><br>no hand: &lt;unsure&gt;" in refused
    assert "<dt>h2</dt><dd>damaged</dd>" in refused
    assert "Not to be used" not in page_of([film()])


def test_films_whose_points_a_person_moved_are_marked(page_of):
    assert page_of([film("a"), film("b", corrected=True)]).count("<figure class=by-hand>") == 1


def test_the_page_needs_no_other_file_and_a_thousand_films_stay_below_20_mib(page_of):
    one, three = page_of([film()]), page_of([film()] * 3)
    # Noise is the heaviest picture there is.
    assert (len(three) - len(one)) / 2 * 1000 < 20 * 2**20
    assert not re.search(r"https?://|<script|url\(", three)

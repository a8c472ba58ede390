import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from metabone.report import plots

LINE = plots.Line("meta scratch", 0, 0, [5, 10, 20], [60.0, 65.0, 70.0], [2.0, 1.0, 1.0])
CURVE = plots.Curve(
    (np.arange(100), np.linspace(3, 1, 100)), (np.array([50, 99]), np.array([2.2, 1.3]))
)


def draw(name, alt="In words."):
    if name == "over shots":
        return plots.over_shots([LINE], "Accuracy, %", alt, chance=20.0)
    if name == "regions":
        return plots.region_bars(["1", "2", "vote"], [50, 60, 70], [1, 1, 1], [63, 46], "%", alt)
    return plots.learning_curve(CURVE, "loss", alt)


@pytest.mark.parametrize("name", ["over shots", "regions", "curve"])
class TestEveryChart:
    def test_is_well_formed_and_says_in_words_what_it_shows(self, name):
        root = ET.fromstring(draw(name, alt='5 < 10 & "more"'))
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-label"] == '5 < 10 & "more"'

    def test_is_the_same_each_time(self, name):
        assert draw(name) == draw(name)

    def test_takes_every_colour_and_font_from_the_page(self, name):
        svg = draw(name)
        assert "#0000" not in svg and "DejaVu" not in svg and "var(--ink)" in svg

    def test_brings_no_style_or_metadata_into_the_page(self, name):
        svg = draw(name)
        assert "<style" not in svg and "<metadata" not in svg and "<?xml" not in svg

    def test_leaves_matplotlib_as_it_was(self, name):
        before = dict(matplotlib.rcParams)
        draw(name)
        assert dict(matplotlib.rcParams) == before


def test_every_reference_within_a_chart_has_its_target():
    root = ET.fromstring(draw("over shots"))
    ids = {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
    hrefs = {e.attrib[k][1:] for e in root.iter() for k in e.attrib if k.endswith("href")}
    assert hrefs and hrefs == hrefs & ids


def test_learning_curve_passes_over_what_is_not_finite():
    gap = plots.Curve((np.arange(4), np.array([3, np.nan, np.inf, 1])), (np.zeros(0), np.zeros(0)))
    assert "nan" not in plots.learning_curve(gap, "loss", "In words.").lower()


def test_thinning_averages_neighbours_and_keeps_the_mean():
    steps, values = plots.thin(np.arange(1000), np.arange(1000.0), most=100)
    assert steps[:2].tolist() == [4.5, 14.5] and len(values) == 100
    assert values.mean() == pytest.approx(499.5)


def test_smoothing_is_the_running_mean():
    values = np.random.default_rng(0).random(90)
    smoothed = plots.smooth(values)
    expected = [values[max(i - 3, 0) : i + 4].mean() for i in range(90)]
    np.testing.assert_allclose(smoothed, expected)

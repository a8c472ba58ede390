import pytest

from benchmarks.scaling import deviation_from_line


def _rows(seconds):
    return [{"value": v, "seconds": s} for v, s in seconds.items()]


def test_a_straight_line_has_no_deviation_whatever_its_start():
    rows = _rows({1: 3.0, 2: 5.0, 5: 11.0, 20: 41.0})
    assert deviation_from_line(rows) == pytest.approx(0, abs=1e-9)


def test_growth_with_the_square_deviates():
    assert deviation_from_line(_rows({1: 1.0, 2: 4.0, 5: 25.0, 20: 400.0})) > 0.3

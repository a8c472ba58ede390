import numpy as np
import pytest

from benchmarks.film_copies import copies, points_back

FILM = np.full((90, 62), 100, np.uint8)
FILM[20:24, 40:44] = 200  # its middle at (41.5, 21.5)


@pytest.mark.parametrize("name", copies(FILM))
def test_what_stands_out_on_a_copy_is_found_back_on_the_film(name):
    copy = copies(FILM)[name].astype(float)
    if "border" in name:
        copy[:9], copy[-9:], copy[:, :9], copy[:, -9:] = 100, 100, 100, 100
    apart = np.abs(copy - np.median(copy))
    y, x = np.mgrid[: copy.shape[0], : copy.shape[1]]
    at = np.array([[(x * apart).sum(), (y * apart).sum()]]) / apart.sum()
    np.testing.assert_allclose(points_back(name, at, FILM), [[41.5, 21.5]], atol=0.1)


def test_gray_levels_change_by_a_fifth():
    made = copies(FILM)
    mean = FILM.mean()
    assert made["brightness -20 %"].max() == 160 and made["brightness +20 %"].min() == 120
    for name, factor in (("contrast -20 %", 0.8), ("contrast +20 %", 1.2)):
        assert made[name].max() == round(mean + factor * (200 - mean))
    assert made["half the resolution"].shape == (45, 31)
    assert made["black border of 10 %"].shape == made["white border of 10 %"].shape == (108, 80)

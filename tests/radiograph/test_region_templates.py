"""Templates from simulated films, and regions moved onto them."""

import numpy as np
import pytest

from metabone.radiograph import region_templates
from metabone.radiograph.cutting import ROOM, cut_regions, stretched
from metabone.radiograph.region_sets import REGION_SETS
from metabone.radiograph.region_templates import (
    registered_regions,
    render_templates,
    simulated_templates,
)

ONE = REGION_SETS["wrist"]


def _film(seed):
    rng = np.random.default_rng(seed)
    film = np.kron(rng.integers(0, 256, (40, 40)), np.ones((8, 8)))
    points = np.stack([160 + 20 * rng.standard_normal(21), np.linspace(260, 60, 21)], axis=1)
    return film.astype(np.uint8), points


@pytest.mark.slow
def test_a_moved_point_hardly_moves_a_registered_region_and_shipped_templates_are_simulated():
    regions = REGION_SETS["min_kang_6"][3:4]
    templates = render_templates(regions, films=32)
    shipped = simulated_templates(REGION_SETS["min_kang_6"])
    assert shipped.shape == (6, 64, 64, 2) and shipped.dtype == np.float32
    assert np.corrcoef(shipped[3].ravel(), templates[0].ravel())[0, 1] > 0.9
    films, points, _ = map(np.asarray, region_templates._chunk(np.arange(40, 48)))
    beside = points + np.array([3.0, -2.0])
    moved, plain = {}, {}
    for name, at in (("true", points), ("beside", beside)):
        moved[name] = registered_regions(list(films), at, regions, templates).astype(float)
        cut = [cut_regions(film, each, regions) for film, each in zip(films, at, strict=True)]
        plain[name] = stretched(np.stack(cut)).astype(float)
    apart = np.abs(moved["true"] - moved["beside"]).mean(axis=(1, 2, 3))
    without = np.abs(plain["true"] - plain["beside"]).mean(axis=(1, 2, 3))
    assert np.median(apart) < 0.5 * np.median(without)


def test_a_film_is_cut_the_same_in_any_company():
    films, points = zip(*map(_film, range(3)), strict=True)
    templates = np.random.default_rng(3).random((1, 64, 64, 2)).astype(np.float32)
    together = registered_regions(list(films), np.stack(points), ONE, templates)
    alone = registered_regions([films[1]], points[1][None], ONE, templates)
    assert together.shape == (3, 1, 64, 64) and together.dtype == np.uint8
    np.testing.assert_array_equal(together[1], alone[0])


def test_regions_are_registered_with_room_around_them():
    film, points = _film(0)
    crop = cut_regions(film, points, ONE, 64, ROOM)[0]
    # A template that is a window of this very crop is found where it was taken.
    from metabone.radiograph.registration import edges

    template = edges(crop[None])[:, 20:84, 12:76]
    found = registered_regions([film], points[None], ONE, template)[0, 0]
    np.testing.assert_array_equal(found, stretched(crop[20:84, 12:76]))

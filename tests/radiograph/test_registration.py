import numpy as np
import pytest
from scipy import ndimage

from metabone.radiograph.registration import REACH, correlations, make_template, register


def _joints(shifts, seed=0, size=96):
    """Crops of one drawn joint, each moved by whole pixels, under noise and exposures."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2.0
    crops = []
    for dx, dy in shifts:
        u, v = x - dx, y - dy
        bone = (np.abs(u) < 14 + 0.05 * v**2 / 10) & (np.abs(v) > 3)
        crops.append(rng.uniform(0.5, 2) * (bone * 80 + rng.normal(0, 4, u.shape)) + 20)
    return ndimage.gaussian_filter(np.stack(crops), (0, 1, 1))


def test_correlations_are_those_of_every_window_by_itself():
    rng = np.random.default_rng(0)
    seen, template = rng.random((2, 40, 40, 2)), rng.random((12, 12, 2))
    found = correlations(seen, template)
    first = (40 - 12) // 2
    for n, dx, dy in ((0, 0, 0), (1, -REACH, REACH), (0, 5, -7)):
        window = seen[n, first + dy : first + dy + 12, first + dx : first + dx + 12]
        expected = np.corrcoef(window.ravel(), template.ravel())[0, 1]
        np.testing.assert_allclose(found[n, REACH + dy, REACH + dx], expected, atol=1e-9)


def test_moved_crops_come_back_to_the_same_place():
    rng = np.random.default_rng(3)
    moves = rng.integers(-6, 7, (40, 2))
    template = make_template(_joints(moves - np.rint(moves.mean(axis=0)).astype(int)))
    others = rng.integers(-7, 8, (20, 2))
    found = register(_joints(others, seed=9), template)
    error = found.shifts - others
    error = error - np.rint(np.median(error, axis=0)).astype(int)
    assert np.abs(error).max() <= 1
    assert found.regions.shape == (20, 64, 64) and found.regions.dtype == np.uint8
    assert found.fits.min() > 0.6


def test_registered_crops_agree_more_than_they_did():
    moves = np.random.default_rng(4).integers(-6, 7, (30, 2))
    crops = _joints(moves)
    found = register(crops, make_template(crops))
    before = crops[:, 16:80, 16:80].std(axis=0).mean() / crops.std()
    after = found.regions.astype(float).std(axis=0).mean() / found.regions.std()
    assert after < 0.6 * before


def test_a_query_is_registered_alone_as_among_others():
    crops = _joints(np.random.default_rng(5).integers(-6, 7, (12, 2)))
    template = make_template(crops[:6])
    together, alone = register(crops[6:], template), register(crops[8:9], template)
    assert (together.regions[2] == alone.regions[0]).all()


def test_a_crop_without_edges_stays_where_it_is():
    template = make_template(_joints([(0, 0), (1, 1)]))
    found = register(np.full((1, 96, 96), 50.0), template)
    assert found.shifts.tolist() == [[0, 0]] and not found.regions.any()


def test_too_little_room_is_an_error():
    with pytest.raises(ValueError, match="S at least 88"):
        make_template(np.zeros((3, 80, 80)))

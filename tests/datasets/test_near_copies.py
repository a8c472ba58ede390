"""Copies whose files differ."""

import numpy as np
from PIL import Image

from metabone.datasets.near_copies import look_of_film, near_copies


def _film(seed):
    small = np.random.default_rng(seed).integers(0, 256, (48, 36)).astype(np.uint8)
    return np.asarray(Image.fromarray(small).resize((180, 240), Image.Resampling.BICUBIC))


def test_resized_and_dimmed_copies_are_found_and_other_films_are_not():
    films = [_film(seed) for seed in range(30)]
    half = Image.fromarray(films[4]).resize((90, 120), Image.Resampling.BOX)
    dimmed = (0.7 * films[9] + 20).astype(np.uint8)
    second = np.stack([look_of_film(film) for film in (_film(99), np.asarray(half), dimmed)])
    found = near_copies(np.stack([look_of_film(film) for film in films]), second)
    assert sorted((i, j) for i, j, _ in found) == [(4, 1), (9, 2)]
    assert all(0.9 <= alike <= 1.0001 for *_, alike in found)


def test_flat_films_are_like_nothing():
    flat = np.full((2, 64, 64), 7, np.uint8)
    assert near_copies(flat, flat) == []

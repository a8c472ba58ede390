"""Copies whose files differ."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

import metabone.datasets.near_copies as near_copies_module
from metabone.datasets.near_copies import (
    copies_within,
    look_of_film,
    look_of_image,
    near_copies,
)


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


def _scene(seed, side=96):
    """A smooth random picture on a frame that all share, as films of one view do."""
    rng = np.random.default_rng(seed)
    cells = min(24, side // 4)
    small = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8))
    scene = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    scene = 0.4 * scene + 60 * np.hypot(*np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j])
    scene[: side // 12] = 255
    return Image.fromarray(scene.clip(0, 255).astype(np.uint8))


def _jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file)


@pytest.mark.parametrize("side", [28, 96, 300])
@pytest.mark.parametrize("turned", [1, -1])
def test_recompressed_halved_and_inverted_copies_are_found_and_nothing_else(side, turned):
    images = [_scene(seed, side) for seed in range(120)]
    half = images[11].resize((side // 2, side // 2), Image.Resampling.BICUBIC)
    planted = [(5, _jpeg(images[5])), (11, half), (40, ImageOps.invert(images[40]))]
    images += [copy for _, copy in planted]
    looks = np.stack([look_of_image(image) for image in images])[::turned]
    pairs, more = copies_within(looks, [min(image.size) for image in images][::turned])
    rows = np.arange(len(images))[::turned]
    found = {tuple(sorted((rows[pair.first], rows[pair.second]))) for pair in pairs}
    assert found == {(row, 120 + number) for number, (row, _) in enumerate(planted)} and not more
    assert [pair.inverted for pair in pairs].count(True) == 1
    assert [pair.alike for pair in pairs] == sorted((p.alike for p in pairs), reverse=True)


def test_images_that_share_their_frame_alone_are_no_copies():
    looks = np.stack([look_of_image(_scene(seed)) for seed in range(30)])
    assert copies_within(looks, [96] * 30) == ([], False)


def test_constant_images_are_no_copies_of_one_another():
    looks = np.stack([np.full((64, 64), grey, np.uint8) for grey in (0, 7, 255)])
    assert copies_within(looks, [64] * 3) == ([], False)
    assert copies_within(looks[:0], []) == ([], False)


def test_a_set_of_one_image_in_many_forms_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(near_copies_module, "MOST_PAIRS", 20)
    scene = np.asarray(_scene(1), np.float32)
    looks = [
        look_of_image(Image.fromarray((scene * k / 20).astype(np.uint8))) for k in range(10, 20)
    ]
    pairs, more = copies_within(np.stack(looks), [96] * 10)
    assert len(pairs) == 20 and more

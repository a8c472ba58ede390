"""Films moved onto the template by points that the package's own network reads."""

import numpy as np
import pytest
from PIL import Image

from metabone.radiograph.canonical import normal_exposure
from metabone.radiograph.pointed_simulation import simulate_pointed_films
from metabone.workflows.aligned_films import align_films
from metabone.workflows.point_net_files import shipped_point_net

SIZE = 48


def test_no_films_become_no_films():
    found = align_films(None, [], 8)
    assert found.images.shape == (0, 8, 8) and found.aligned.shape == (0,)


@pytest.mark.slow
@pytest.mark.optimized
def test_copies_of_a_film_are_aligned_alike_and_what_is_no_hand_stays():
    films = simulate_pointed_films(77, 4)
    plain = [
        image[y0 : y1 + 1, x0 : x1 + 1]
        for image, (x0, y0, x1, y1) in zip(films.images, films.boxes.astype(int), strict=True)
    ]
    noise = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    copies = {
        "squashed": lambda film: np.asarray(Image.fromarray(film).resize((150, 230))),
        "mirrored": lambda film: film[:, ::-1],
        "upside down": lambda film: film[::-1, ::-1],
        "inverted": lambda film: film.max() - (film - film.min()),
        "dim": lambda film: (60 + film * 0.4).astype(np.uint8),
    }
    made = [copy(film) for copy in copies.values() for film in plain]
    found = align_films(shipped_point_net(), [*plain, *made, noise], SIZE)
    assert found.aligned[:-1].sum() >= 21 and not found.aligned[-1]
    small = np.asarray(Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(found.images[-1], normal_exposure(small))
    aligned, images = (part[:24].reshape(6, 4, *part.shape[1:]) for part in found[1::-1])
    for row, name in enumerate(copies, 1):
        both = aligned[0] & aligned[row]
        apart = np.abs(images[row].astype(int) - images[0])[both].mean(axis=(1, 2))
        assert both.sum() >= 3 and np.median(apart) < 4.0, (name, apart)
    assert found.mirrored[8:12][aligned[2]].all() and not found.mirrored[:8].any()
    inverted = found.inverted[:4]
    assert (found.inverted[16:20] != inverted)[aligned[4] & aligned[0]].all()

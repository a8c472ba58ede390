"""Folders of prepared hands, written without reading any film."""

import functools
import json

import numpy as np
from PIL import Image

from metabone.datasets.prepared_hands import REFUSED, USABLE, FilmRow, films_text, points_text
from tests.radiograph.posed_hands import drawn_hand, left_hand

ABOUT = {
    "format": 1,
    "metabone": "0.1.0",
    "source": "00",
    "files": 4,
    "regions": "min_kang_6",
    "key_points": {"name": "made", "sha256": "11" * 32},
    "citation": "made",
    "licence": "any",
}


@functools.cache
def hand(number):
    """A drawn film and its points, other ones for each number."""
    points = left_hand(length=180.0 + number, wrist=(120.0 + number, 240.0)).astype(np.float32)
    return drawn_hand(points, size=(280, 250), seed=number), points


def write_hands(path, count=4, refused=(), rows=None):
    """A folder of films h0, h1, ...; some refused, as of no hand."""
    (path / "films").mkdir(parents=True)
    names, points = [f"h{number}" for number in range(count)], []
    made = []
    for number, name in enumerate(names):
        film, at = hand(number)
        Image.fromarray(film).save(path / "films" / f"{name}.png")
        points.append(at)
        given = {"status": USABLE, "sex": "FM"[number % 2]}
        if number in refused:
            given |= {"status": REFUSED, "reason": f"no hand: unsure by {number} %"}
        made.append(FilmRow(name, **given))
    (path / "films.csv").write_text(films_text(rows or made))
    (path / "points.csv").write_text(points_text(names, points, np.full((count, 21), 0.02)))
    lines = [f"h{number},{60 + 20 * number},{'FM'[number % 2]}\n" for number in range(count)]
    (path / "labels.csv").write_text("".join(["id,bone_age_months,sex\n", *reversed(lines)]))
    (path / "prepared.json").write_text(json.dumps(ABOUT))
    return path


def edit(path, name, old, new):
    """Replaces what stands exactly once in a file."""
    text = (path / name).read_text()
    assert text.count(old) == 1, text.count(old)
    (path / name).write_text(text.replace(old, new))

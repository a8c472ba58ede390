"""Measures whether copies of a film are read as of the same stage.

    python -m benchmarks.stage_invariance [--count=100] [--sex]

A model is adapted to twenty real films a stage, by `metabone.adapt` with the regions of Min and
Kang, histograms of gradients and an ordinal head. It reads other films and their copies: inverted,
mirrored, turned, brighter, darker, of more and of less contrast, of half the resolution, with a
border. Stages are bone ages cut at `stages.MONTH_CUTS`; films are taken in an order by hash.
"""

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import metabone as mb
from benchmarks.film_copies import copies
from metabone.datasets.hand_labels import HandLabel, read_hand_labels
from metabone.radiograph.stages import month_names, stages_by_months

_SHOTS = 20


def labelled(folder: Path, count: int) -> tuple[list[HandLabel], list[HandLabel]]:
    """Twenty films a stage to learn from, and others to read.

    Args:
      folder: of `labels.csv` and `images.zip`.
      count: how many others.

    Returns:
      Both, in an order that depends on nothing but the films' ids.
    """
    rows = read_hand_labels(folder / "labels.csv")
    rows = sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).hexdigest())
    stages = stages_of(rows)
    learned = {k for stage in np.unique(stages) for k in np.flatnonzero(stages == stage)[:_SHOTS]}
    others = [row for place, row in enumerate(rows) if place not in learned]
    return [rows[place] for place in sorted(learned)], others[:count]


def stages_of(rows: Sequence[HandLabel]) -> np.ndarray:
    """Stages `[n]` of films by their bone ages, counted from 0."""
    return stages_by_months(np.array([row.bone_age_months for row in rows]))


def films_of(folder: Path, rows: Sequence[HandLabel]) -> list[np.ndarray]:
    """Films `[H, W]` uint8 of some rows."""
    with zipfile.ZipFile(folder / "images.zip") as images:
        places = {Path(name).stem: name for name in images.namelist()}
        return [
            np.asarray(Image.open(io.BytesIO(images.read(places[row.id]))).convert("L"))
            for row in rows
        ]


def main() -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rsna_512px"))
    parser.add_argument("--count", type=int, default=100, help="films that are read")
    parser.add_argument("--sex", action="store_true", help="whether the model is told sex")
    given = parser.parse_args()
    learned, asked = labelled(given.data, given.count)
    names = month_names()
    model = mb.adapt(
        films_of(given.data, learned),
        [names[stage] for stage in stages_of(learned)],
        learner="hog",
        regions="min_kang_6",
        ordered=True,
        classes=names,
        sex=[row.sex for row in learned] if given.sex else False,
    )
    print(model.verdict)
    films, truth = films_of(given.data, asked), stages_of(asked)

    def read(shown: list[np.ndarray]) -> np.ndarray:
        told = {"sex": [row.sex for row in asked]} if given.sex else {}
        answers = model.predict(shown, **told).answers
        return np.array([-1 if answer is None else names.index(answer) for answer in answers])

    plain = read(films)
    fair = plain >= 0
    print(
        f"{len(films)} films: {(~fair).sum()} refused, "
        f"{100 * (plain == truth)[fair].mean():.1f} % of the others right",
        flush=True,
    )
    for name in copies(films[0]):
        found = read([copies(film)[name] for film in films])
        both = fair & (found >= 0)
        print(
            f"  {name}: {(fair & ~both).sum()} more refused; stage unchanged in "
            f"{100 * (found == plain)[both].mean():.0f} %, "
            f"{100 * (found == truth)[both].mean():.1f} % right",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

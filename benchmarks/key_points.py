"""Measures what is refused of films, and what becomes of copies of a film.

    python -m benchmarks.key_points [--key_points=RUN_OR_FILE] [--count=100]

How far key points are off is told by `python -m experiments.key_points`; this tells what the gate
refuses: of real hands, of films with two hands, of hands that are cut off, of chest films, the
radiographs of no hand among the DICOM files, drawn legs, skulls and hips, and noise. Then whether
copies of a film (inverted, mirrored, turned, brighter, darker, of more and of less contrast, of
half the resolution, with a border) give the same key points and the same regions. Real films lie in
`--data`, taken in an order by hash; the gate's thresholds were chosen on the first 300.
"""

import argparse
import hashlib
import io
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.film_copies import copies, points_back
from metabone.errors import InputError
from metabone.imaging.film import to_eight_bits
from metabone.imaging.reading import read_film
from metabone.radiograph.cutting import cut_regions, stretched
from metabone.radiograph.landmarks import hand_length
from metabone.radiograph.region_sets import REGION_SETS
from metabone.workflows.canonical_hands import CanonicalHand, canonical_hands
from metabone.workflows.key_points import PointNet
from metabone.workflows.point_net_files import point_net_of

# Mean difference of a region's gray levels, of 255, below which it is the same.
_SAME = 8
_SIX = REGION_SETS["min_kang_6"]


def films_in(path: Path, first: int, count: int) -> list[np.ndarray]:
    """Some films of a zip, in an order that depends on nothing but their names.

    Args:
      path: of the zip.
      first: how many come before.
      count: how many.

    Returns:
      `[H, W]` uint8 each.
    """
    with zipfile.ZipFile(path) as images:
        names = [name for name in images.namelist() if not name.endswith("/")]
        names = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        chosen = names[first : first + count]
        return [
            np.asarray(Image.open(io.BytesIO(images.read(name))).convert("L")) for name in chosen
        ]


def two_hands(films: list[np.ndarray]) -> list[np.ndarray]:
    """Films of two hands: half of the films beside, or below, the other half.

    Args:
      films: `[H, W]` uint8 each.

    Returns:
      Half as many; two of three are a left hand beside a right one.
    """
    pairs = []
    for index, pair in enumerate(zip(films[::2], films[1::2], strict=False)):
        first, second = pair if index % 3 == 0 else (pair[0], pair[1][:, ::-1])
        below = index % 4 == 3
        if below:
            first, second = first.T, second.T
        height = max(len(first), len(second))
        sides = [np.pad(f, ((0, height - len(f)), (0, 0)), "edge") for f in (first, second)]
        both = np.concatenate(sides, axis=1)
        pairs.append(both.T if below else both)
    return pairs


def cut_off(films: list[np.ndarray], hands: list[CanonicalHand]) -> list[np.ndarray]:
    """Hands cut through the middle finger's end or its last joint, some of them bordered after.

    Args:
      films: `[H, W]` uint8 each.
      hands: what was read of them.

    Returns:
      Those of upright hands that are not refused.
    """
    cut = []
    for index, (film, hand) in enumerate(zip(films, hands, strict=True)):
        if hand.refusal or hand.turn.quarters:
            continue
        joint, tip = hand.raw_points[11, 1], hand.raw_points[12, 1]
        rest = film[int(joint if index % 2 else 0.5 * (joint + tip)) :]
        levels = (None, 0, int(np.median(film[0])), 255)
        level = levels[len(cut) % 4]
        cut.append(rest if level is None else np.pad(rest, 30, constant_values=level))
    return cut


def radiographs_of_none(data: Path) -> list[np.ndarray]:
    """Radiographs among the DICOM files, none of which shows a hand.

    Args:
      data: the folder of `dicom`.

    Returns:
      `[H, W]` uint8 each; files without an image are passed over.
    """
    films = []
    for path in sorted((data / "dicom" / "radiographs").iterdir()):
        try:
            film = to_eight_bits(read_film(path.read_bytes(), path.name).pixels)
        except InputError:
            continue
        if min(film.shape) >= 32:
            films.append(film)
    return films


def drawn(count: int) -> dict[str, list[np.ndarray]]:
    """Drawings of legs, skulls and hips, and noise.

    Args:
      count: of each.

    Returns:
      `[H, W]` uint8 each, by kind.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :192].astype(float)
    found = {"drawn legs": [], "drawn skulls": [], "drawn hips": [], "noise": []}

    def grained(film):
        return np.clip(film + rng.normal(0, 4, film.shape), 0, 255).astype(np.uint8)

    def ring(column, row, wide, high):
        away = np.hypot((x - column) / wide, (y - row) / high)
        return 60.0 * (away < 1) + 80.0 * (np.abs(away - 1) < 0.08)

    for _ in range(count):
        legs = 20.0 + 20 * rng.random() + 0 * x
        for middle, wide in ((80 + 10 * rng.normal(), 16), (120 + 10 * rng.normal(), 9)):
            lean = (
                middle + rng.normal(0, 0.08) * (y - 128) + 6 * np.sin(y / (60 + 40 * rng.random()))
            )
            legs += 60 * np.exp(-(((x - lean) / 45) ** 4))
            legs += 70 * (np.abs(x - lean) < wide * (1 + 0.6 * (np.abs(y - 128) / 128) ** 6))
        found["drawn legs"].append(grained(legs))
        tall = 80 + 15 * rng.random()
        skull = 15.0 + ring(96, 105, 70 + 10 * rng.random(), tall)
        for eye in (70, 122):
            skull -= 40.0 * (np.hypot(x - eye, y - 130 + 10 * rng.random()) < 14)
        jaw = (np.abs(x - 96) < 35 + 8 * rng.random()) & (y > 105 + 0.6 * tall)
        found["drawn skulls"].append(grained(skull + 50.0 * jaw * (y < 230)))
        hips = 40.0 + 0 * x
        for side in (-1, 1):
            hips += ring(96 + side * (48 + 6 * rng.random()), 90, 36, 50 + 10 * rng.random())
            hips += 70.0 * (np.hypot(x - 96 - side * 62, y - 150) < 15)
            shaft = 96 + side * (66 + 0.08 * (y - 150))
            hips += 60.0 * (np.abs(x - shaft) < 11) * (y > 150)
        found["drawn hips"].append(grained(hips + 50.0 * (np.abs(x - 96) < 13) * (y < 100)))
        found["noise"].append(rng.integers(0, 256, (200, 160)).astype(np.uint8))
    return found


def print_refusals(net: PointNet, data: Path, films: list[np.ndarray]) -> list[CanonicalHand]:
    """Prints what is refused of hands and of what is none.

    Args:
      net: what reads key points.
      data: the folder of real films.
      films: real hands, `[H, W]` uint8 each.

    Returns:
      What was read of them.
    """
    canonical_hands(net, films[:8], _SIX)
    start = time.perf_counter()
    made = canonical_hands(net, films, _SIX)
    seconds = (time.perf_counter() - start) / len(films)
    refused = [hand.refusal for hand in made if hand.refusal]
    print(f"real hands: {len(refused)} of {len(made)} refused, {seconds:.2f} s a film; {refused}")
    others = {
        "two hands": two_hands(films),
        "cut-off hands": cut_off(films, made),
        "chest films": films_in(data / "chest_320px" / "images.zip", 0, len(films)),
        "radiographs of other parts": radiographs_of_none(data),
        **drawn(len(films)),
    }
    for kind, shown in others.items():
        passed = [
            row for row, hand in enumerate(canonical_hands(net, shown, _SIX)) if not hand.refusal
        ]
        print(f"  {kind}: {len(shown) - len(passed)} of {len(shown)} refused", flush=True)
    return made


def print_invariance(net: PointNet, films: list[np.ndarray], made: list[CanonicalHand]) -> None:
    """Prints how far key points and regions of copies are from those of the films.

    Args:
      net: what reads key points.
      films: `[H, W]` uint8 each.
      made: what was read of them; refused ones are left out.
    """
    fair = [row for row, hand in enumerate(made) if hand.refusal is None]
    print(f"copies of {len(fair)} films: median / 95th percentile / largest of films")
    for name in copies(films[0]):
        others = canonical_hands(net, [copies(films[row])[name] for row in fair], _SIX)
        away, differ = [], []
        for row, other in zip(fair, others, strict=True):
            if other.refusal is not None:
                continue
            plain = made[row]
            back = points_back(name, other.raw_points, films[row]) - plain.raw_points
            away.append(np.linalg.norm(back, axis=1).max() / hand_length(plain.raw_points))
            regions = [stretched(cut_regions(h.film, h.points, _SIX)) for h in (plain, other)]
            differ.append(np.abs(regions[0].astype(float) - regions[1]).mean())
        told = [np.percentile(values, (50, 95, 100)) for values in (100 * np.array(away), differ)]
        print(
            f"  {name}: refused {len(fair) - len(away)}; furthest point off by "
            f"{' / '.join(f'{value:.2f}' for value in told[0])} % of hand length; regions by "
            f"{' / '.join(f'{value:.1f}' for value in told[1])} of 255, below {_SAME} in "
            f"{100 * np.mean(np.array(differ) < _SAME):.0f} %",
            flush=True,
        )


def main() -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--key_points", default="", help="run or file; default: the package's")
    parser.add_argument("--count", type=int, default=100, help="films of each kind")
    parser.add_argument("--skip", type=int, default=300, help="real films before them")
    given = parser.parse_args()
    net = point_net_of(given.key_points)
    films = films_in(given.data / "rsna_512px" / "images.zip", given.skip, given.count)
    made = print_refusals(net, given.data, films)
    print_invariance(net, films, made)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Trains and measures what finds the key points of hands, on simulated and on real films.

    python -m benchmarks.key_points train --on=simulated --out=key_points.safetensors
    python -m benchmarks.key_points train --on=real --out=real.safetensors
    python -m benchmarks.key_points measure [--weights=real.safetensors] [--sheet=sheet.png]

The second holds out a fifth of the annotated hands, by hash of their id; `measure` reports on that
fifth, and on all of them for weights that saw no real film (`--all`). Then what the gate refuses:
of real hands, chest films, films of legs and noise; and whether copies of a film (inverted,
mirrored, turned, dimmed, padded) become the same canonical film. Weights from real films are for
measuring and never part of the package. Real films lie in `--data`.
"""

import argparse
import io
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.episodes.splits import split_names
from metabone.radiograph.coco_key_points import read_coco_hands
from metabone.radiograph.cutting import cut_regions, stretched
from metabone.radiograph.hand_views import pointed_films
from metabone.radiograph.landmarks import POINT_NAMES, hand_length
from metabone.radiograph.pointed_simulation import simulate_pointed_films
from metabone.radiograph.region_sets import REGION_SETS
from metabone.workflows.canonical_hands import canonical_hands
from metabone.workflows.hand_reading import read_key_points
from metabone.workflows.key_points import train_key_points
from metabone.workflows.point_net_files import load_point_net, save_point_net, shipped_point_net

_LONG_SIDE = 128
# Dimming a dark film rounds away a fifth of its few gray levels.
_SAME = 8
_SIX = REGION_SETS["min_kang_6"]
# The joints in the middle of the six regions.
_JOINTS = ("thumb IP", "middle DIP", "ring DIP", "middle MCP", "ring MCP", "thumb MCP")


class Annotated(NamedTuple):
    """Real films with points.

    Attributes:
      names: their ids.
      films: `[H, W]` uint8 each.
      points: `[n, 21, 2]` pixels of each film.
    """

    names: list[str]
    films: list[np.ndarray]
    points: np.ndarray


def annotated(data: Path) -> Annotated:
    """The annotated hands, small copies given back the aspect that they lost.

    Args:
      data: the folder of `rsna_annotations` and `rsna_100px`.

    Returns:
      The films in the order of the annotations.
    """
    hands = read_coco_hands(data / "rsna_annotations" / "keypoints_coco.json")
    films, points = [], []
    with zipfile.ZipFile(data / "rsna_100px" / "images.zip") as images:
        for name, hand in hands.items():
            scale = _LONG_SIDE / max(hand.width, hand.height)
            size = round(hand.width * scale), round(hand.height * scale)
            film = Image.open(io.BytesIO(images.read(f"{name}.png"))).convert("L")
            films.append(np.asarray(film.resize(size, Image.Resampling.BICUBIC)))
            points.append(hand.in_frame(*size))
    return Annotated(list(hands), films, np.stack(points))


def held_out(names: list[str]) -> dict[str, list[int]]:
    """A fifth for `test`, the others for `train`, by hash of the id.

    Args:
      names: ids.

    Returns:
      Positions by part.
    """
    test = len(names) // 5
    return split_names(names, {"test": test, "train": len(names) - test}, salt="key points")


def errors(net, films: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Distances of read points from annotated ones.

    Args:
      net: the network's weights.
      films: `[H, W]` each.
      points: `[n, 21, 2]`.

    Returns:
      `[n, 21]` in units of hand length.
    """
    read = read_key_points(net, films)
    away = np.linalg.norm(read.points - points, axis=-1)
    return away / hand_length(points)[:, None]


def _print_errors(title: str, error: np.ndarray) -> None:
    six = error[:, [POINT_NAMES.index(name) for name in _JOINTS]]
    print(
        f"{title}: {len(error)} hands, median error {100 * np.median(error):.2f} % of hand length, "
        f"points beyond 5 %: {100 * np.mean(error > 0.05):.2f} %, hands with six joints within "
        f"5 %: {100 * np.mean((six < 0.05).all(axis=1)):.1f} %"
    )
    worst = np.argsort(-np.median(error, axis=0))[:5]
    print(
        "  worst", ", ".join(f"{POINT_NAMES[k]} {100 * np.median(error[:, k]):.1f}" for k in worst)
    )


def _zipped(path: Path, count: int) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as images:
        names = [name for name in images.namelist() if not name.endswith("/")]
        names = sorted(names, key=lambda name: hash_of(name))[:count]
        films = [Image.open(io.BytesIO(images.read(name))).convert("L") for name in names]
    return [np.asarray(film) for film in films]


def hash_of(name: str) -> str:
    """An order of names that depends on nothing else.

    Args:
      name: any.

    Returns:
      Hexadecimal digits.
    """
    import hashlib

    return hashlib.sha256(name.encode()).hexdigest()


def no_hands(data: Path, count: int) -> dict[str, list[np.ndarray]]:
    """Films that show no hand.

    Args:
      data: the folder of `chest_320px`.
      count: of each kind.

    Returns:
      Films by kind.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:256, :192]
    legs, noise = [], []
    for _ in range(count):
        bones = 20.0 + 20 * rng.random() + 0 * x
        for middle, wide in ((80 + 10 * rng.normal(), 16), (120 + 10 * rng.normal(), 9)):
            lean = (
                middle + rng.normal(0, 0.08) * (y - 128) + 6 * np.sin(y / (60 + 40 * rng.random()))
            )
            bones += 60 * np.exp(-(((x - lean) / 45) ** 4))
            bones += 70 * (np.abs(x - lean) < wide * (1 + 0.6 * (np.abs(y - 128) / 128) ** 6))
        legs.append(np.clip(bones + rng.normal(0, 4, bones.shape), 0, 255).astype(np.uint8))
        noise.append(rng.integers(0, 256, (200, 160)).astype(np.uint8))
    return {
        "chest films": _zipped(data / "chest_320px" / "images.zip", count),
        "drawn legs": legs,
        "noise": noise,
    }


def copies(film: np.ndarray) -> dict[str, np.ndarray]:
    """Copies of a film that are to become one.

    Args:
      film: `[H, W]` uint8.

    Returns:
      Copies by name.
    """
    edge = max(film.shape) // 10
    return {
        "inverted": 255 - film,
        "mirrored": film[:, ::-1],
        "turned by 90": np.rot90(film),
        "turned by 180": np.rot90(film, 2),
        "turned by 270": np.rot90(film, 3),
        "dimmed": np.rint(0.8 * film).astype(np.uint8),
        "padded": np.pad(film, edge),
    }


def measure(net, data: Path, every: bool, count: int, sheet: Path | None) -> None:
    """Prints all figures of one network.

    Args:
      net: its weights.
      data: the folder of real films.
      every: whether it saw no annotated hand, so that all count.
      count: films of each kind for gate and invariance.
      sheet: where a contact sheet of regions and points is drawn; None for none.
    """
    hands = annotated(data)
    rows = range(len(hands.names)) if every else held_out(hands.names)["test"]
    error = errors(net, [hands.films[row] for row in rows], hands.points[list(rows)])
    _print_errors("annotated", error)

    films = _zipped(data / "rsna_512px" / "images.zip", count)
    start = time.perf_counter()
    made = canonical_hands(net, films, _SIX)
    seconds = (time.perf_counter() - start) / len(films)
    refused = [hand.refusal for hand in made if hand.refusal]
    print(
        f"gate: {len(refused)} of {len(made)} real hands refused, {seconds:.2f} s a film; {refused}"
    )
    turns = [hand.turn for hand in made]
    print(
        f"  turned {sum(t.quarters > 0 for t in turns)}, "
        f"mirrored {sum(t.mirrored for t in turns)}, inverted {sum(t.inverted for t in turns)}"
    )
    for kind, others in no_hands(data, count).items():
        passed = sum(hand.refusal is None for hand in canonical_hands(net, others, _SIX))
        print(f"  {kind}: {len(others) - passed} of {len(others)} refused")
    _print_invariance(net, films, made)
    if sheet is not None:
        _draw(made).save(sheet)
        print(f"  {sheet}")


def _print_invariance(net, films, made) -> None:
    fair = [n for n, hand in enumerate(made) if hand.refusal is None]
    for name in copies(films[0]):
        others = canonical_hands(net, [copies(films[n])[name] for n in fair], _SIX)
        same, away = [], []
        for n, other in zip(fair, others, strict=True):
            plain = made[n]
            regions = [stretched(cut_regions(h.film, h.points, _SIX)) for h in (plain, other)]
            differ = np.abs(regions[0].astype(float) - regions[1]).mean()
            away.append(differ)
            same.append(differ < _SAME)
        print(
            f"  {name}: {100 * np.mean(same):.0f} % the same (mean difference of regions "
            f"below {_SAME} of 255); median {np.median(away):.2f}, worst {np.max(away):.1f}"
        )


def _draw(made) -> Image.Image:
    side, columns = 168, 10
    rows = -(-len(made) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + 40)), (60, 0, 0))
    for index, hand in enumerate(made):
        at = (index % columns) * side, (index // columns) * (side + 40)
        film = Image.fromarray(hand.film)
        scale = side / max(film.size)
        film = film.resize((round(film.width * scale), round(film.height * scale)))
        color = np.stack([np.asarray(film)] * 3, axis=-1)
        for x, y in np.rint((hand.points + 0.5) * scale).astype(int):
            color[max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1] = [255, 0, 0]
        if hand.refusal:
            color[:, :, 0] = 255
        sheet.paste(Image.fromarray(color), at)
        crops = stretched(cut_regions(hand.film, hand.points, _SIX, 28))
        strip = Image.fromarray(np.concatenate(list(crops), axis=1))
        sheet.paste(strip.resize((side, 28)), (at[0], at[1] + side))
    return sheet


def _train(on: str, data: Path, out: Path, steps: int, films: int, seed: int) -> None:
    sets = []
    if on in ("real", "both"):
        hands = annotated(data)
        rows = held_out(hands.names)["train"]
        sets.append(pointed_films([hands.films[row] for row in rows], hands.points[rows]))
    if on in ("simulated", "both"):
        sets.append(simulate_pointed_films(seed, films))
    start = time.perf_counter()
    save_point_net(train_key_points(sets, steps=steps, seed=seed), out)
    print(f"{out}: trained for {(time.perf_counter() - start) / 60:.1f} minutes")


def main() -> int:
    """Trains or measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("--on", choices=("simulated", "real", "both"), default="simulated")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="where trained weights are written")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--films", type=int, default=4000, help="simulated films")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="default: the package's")
    parser.add_argument("--all", action="store_true", help="all annotated hands, not a fifth")
    parser.add_argument("--count", type=int, default=100, help="films for gate and invariance")
    parser.add_argument("--sheet", type=Path, help="where a contact sheet is drawn")
    given = parser.parse_args()
    if given.what == "train":
        if given.out is None:
            parser.error("train needs --out")
        _train(given.on, given.data, given.out, given.steps, given.films, given.seed)
        return 0
    net = load_point_net(given.weights) if given.weights else shipped_point_net()
    measure(net, given.data, given.all or given.weights is None, given.count, given.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())

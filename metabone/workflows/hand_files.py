"""A few files of hand films at a time: read, made canonical, and what is to be told of them."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets.prepared_hands import REFUSED, USABLE, FilmRow
from metabone.datasets.raw_hands import RawHands
from metabone.errors import InputError
from metabone.imaging.film import Film, to_eight_bits
from metabone.imaging.reading import read_film
from metabone.radiograph.region_sets import Region
from metabone.workflows.canonical_hands import CanonicalHand, canonical_hands
from metabone.workflows.key_points import PointNet

_LEAST_PIXELS = 32
# Longest side of a canonical film: a growth plate's region then still has twice its 64 pixels.
_LONGEST = 2048


class PreparedFile(NamedTuple):
    """A file and what became of it; all but the film has a JSON form.

    Attributes:
      row: cells of its `FilmRow` by column.
      pixels: SHA-256 of what the file shows; empty, as the next three, if it is unreadable.
      group: see `imaging.film.Film.group`; empty where it is not known.
      points: `[21, 2]` `(x, y)` pixels of the film.
      uncertainty: `[21]` hand lengths.
      film: `[H, W]` uint8, the canonical film.
    """

    row: dict[str, str]
    pixels: str = ""
    group: str = ""
    points: Sequence[Sequence[float]] = ()
    uncertainty: Sequence[float] = ()
    film: np.ndarray | None = None


def prepare_files(
    net: PointNet, raw: RawHands, numbers: Sequence[int], regions: tuple[Region, ...]
) -> list[PreparedFile]:
    """Prepares a few films.

    Args:
      net: what finds key points.
      raw: all the files.
      numbers: which of them.
      regions: which must be seen on a film.

    Returns:
      A result a file; whatever it holds, nothing is raised.
    """
    read = {number: _read(raw, number) for number in numbers}
    films = {number: film for number, film in read.items() if isinstance(film, Film)}
    pixels = {number: to_eight_bits(film.pixels) for number, film in films.items()}
    hands = canonical_hands(net, list(pixels.values()), regions)
    hand_of = dict(zip(pixels, hands, strict=True))
    files = []
    for number in numbers:
        row = FilmRow(raw.names[number], raw.shown[number])
        if number not in films:
            row = dataclasses.replace(row, reason=read[number])
            files.append(PreparedFile(dataclasses.asdict(row)))
            continue
        film, hand = films[number], hand_of[number]
        picture, points = _not_too_large(hand)
        row = dataclasses.replace(row, **_known(film, hand, picture.shape))
        digest = hashlib.sha256(f"{film.pixels.shape}".encode() + pixels[number].tobytes())
        files.append(
            PreparedFile(
                dataclasses.asdict(row),
                digest.hexdigest(),
                film.group or "",
                points.tolist(),
                hand.uncertainty.tolist(),
                picture,
            )
        )
    return files


def _read(raw: RawHands, number: int) -> Film | str:
    """The film of a file, or why it is none, without the file's name."""
    try:
        data = raw.read(raw.files[number])
    except InputError:
        return "cannot be read from where it lies, or is damaged there"
    try:
        # Patients are told apart among these films alone: the salt is a hash of all of them.
        film = read_film(data, "film", salt=bytes.fromhex(raw.fingerprint))
    except InputError as error:
        return str(error).removeprefix("film: ")
    height, width = film.pixels.shape
    if min(height, width) < _LEAST_PIXELS:
        return f"{width} x {height} pixels; expected at least {_LEAST_PIXELS} a side"
    return film


def _not_too_large(hand: CanonicalHand) -> tuple[np.ndarray, np.ndarray]:
    """The canonical film and its points, smaller where its longer side is above the limit."""
    longest = max(hand.film.shape)
    if longest <= _LONGEST:
        return hand.film, hand.points
    height, width = (max(1, round(side * _LONGEST / longest)) for side in hand.film.shape)
    small = Image.fromarray(hand.film).resize((width, height), Image.Resampling.LANCZOS)
    scale = np.array([width, height]) / hand.film.shape[::-1]
    return np.asarray(small), ((hand.points + 0.5) * scale - 0.5).astype(np.float32)


def _known(film: Film, hand: CanonicalHand, size: tuple[int, int]) -> dict[str, str]:
    """The columns of a film that was read."""
    left, top, right, bottom = hand.box
    spacing = film.spacing[:: -1 if hand.turn.quarters % 2 else 1] if film.spacing else None
    warnings = list(film.warnings)
    if film.laterality and (film.laterality == "R") != hand.turn.mirrored:
        warnings.append(f"the file says {film.laterality}, but the hand lies as the other one does")
    return {
        "status": REFUSED if hand.refusal else USABLE,
        "reason": hand.refusal or "",
        "quarters": str(hand.turn.quarters),
        "mirrored": "yes" if hand.turn.mirrored else "no",
        "inverted": "yes" if hand.turn.inverted else "no",
        "border": " ".join(map(str, hand.border)),
        "shown": " ".join(map(str, hand.box)),
        "width": str(size[1]),
        "height": str(size[0]),
        "laterality": film.laterality or "",
        "view": film.view or "",
        "sex": film.sex or "",
        "age_months": "" if film.age_months is None else str(film.age_months),
        "row_mm": f"{spacing[0] * (bottom - top) / size[0]:.4g}" if spacing else "",
        "column_mm": f"{spacing[1] * (right - left) / size[1]:.4g}" if spacing else "",
        "warnings": "; ".join(warnings),
    }

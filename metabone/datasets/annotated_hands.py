"""Real films of hands whose key points people have set: a COCO file, and the films by their id."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets.archives import Members, open_members
from metabone.datasets.film_bytes import film_of_bytes
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.progress import progress
from metabone.datasets.stated import NOT_STATED
from metabone.episodes.splits import split_names
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.coco_key_points import AnnotatedHand, read_coco_hands

FEWEST = 10
"""Hands: of fewer, a fifth to measure on is nothing."""

# Copies squashed to a square differ by less; a wrong frame, or bytes made to fill memory, by more.
_MOST_STRETCH = 4.0


class AnnotatedHands(NamedTuple):
    """Films with their key points.

    Attributes:
      names: `n` ids.
      films: `n` times `[H, W]` uint8, each of the aspect that its points were set in.
      points: `[n, 21, 2]` float32 `(x, y)` pixels of each film, order of `landmarks.POINT_NAMES`.
      provenance: where they came from.
    """

    names: tuple[str, ...]
    films: tuple[np.ndarray, ...]
    points: np.ndarray
    provenance: Provenance

    def keep(self, rows: Sequence[int]) -> "AnnotatedHands":
        """The films at some positions."""
        return self._replace(
            names=tuple(self.names[row] for row in rows),
            films=tuple(self.films[row] for row in rows),
            points=self.points[list(rows)],
        )


def load_annotated_hands(
    annotations: str | os.PathLike, films: str | os.PathLike
) -> AnnotatedHands:
    """Reads annotated films into memory.

    Points are moved from the frame in which they were set to the film at hand, width and height
    each by its own ratio. A film that has lost its frame's aspect is given it back, no side of it
    shrunk.

    Args:
      annotations: a COCO file with `lefthand_kpts` and `righthand_kpts`.
      films: folder or zip of films named by the ids of the file's images, at any depth; other films
        are passed over.

    Returns:
      The films in the order of the annotations.

    Raises:
      InputError: a file cannot be read or breaks a rule of `read_coco_hands`; an annotated film is
        missing, there twice under one id or under two ids, or of quite another aspect than its
        frame; or there are fewer than ten.
    """
    path, place = Path(annotations).expanduser(), Path(films).expanduser()
    hands = read_coco_hands(path)
    if len(hands) < FEWEST:
        raise InputError(f"{path}: {len(hands)} annotated hands; expected at least {FEWEST}")
    read, first_seen, stretched = [], {}, 0
    with open_members(place) as members:
        files = _files(hands, members, path)
        for name in progress(hands, "reading films", len(hands)):
            where = members.where(files[name])
            film = film_of_bytes(members.read(files[name]), where, channels=1).pixels
            (pixels,) = image_fingerprints(film[None])
            other = first_seen.setdefault(pixels, name)
            if other != name:
                raise InputError(f"{where}: the same film as that of id {other!a}; keep one")
            read.append(_in_aspect(film, hands[name], where))
            stretched += read[-1] is not film
    points = np.stack(
        [hand.in_frame(*film.shape[::-1]) for hand, film in zip(hands.values(), read, strict=True)]
    )
    notes = (f"{stretched} of {len(read)} given back their frame's aspect",) if stretched else ()
    content = sorted(zip(first_seen, (at.tobytes() for at in points), strict=True))
    provenance = Provenance(
        source=f"{path.name} with {place.name}",
        kind="real",
        sha256=hashlib.sha256(repr(content).encode()).hexdigest(),
        count=len(read),
        citation=NOT_STATED,
        licence=NOT_STATED,
        conversions=notes,
    )
    return AnnotatedHands(tuple(hands), tuple(read), points, provenance)


def held_out_fifth(names: Sequence[str]) -> dict[str, list[int]]:
    """Parts of annotated films by hash of the id: to train on, and to measure on.

    Args:
      names: ids, one a patient.

    Returns:
      Positions of `train` and `test`, a fifth.
    """
    test = len(names) // 5
    return split_names(names, {"test": test, "train": len(names) - test}, salt="key points")


def _files(hands: dict[str, AnnotatedHand], members: Members, path: Path) -> dict[str, str]:
    """The file of each annotated film."""
    found: dict[str, str] = {}
    for name in members.names:
        base = name.rsplit("/", 1)[-1]
        stem = base.rsplit(".", 1)[0]
        known = next((each for each in (base, stem) if each in hands), None)
        if known in found:
            raise InputError(f"{members.where(name)}: a second film of id {known!a}")
        if known is not None:
            found[known] = name
    for name in hands:
        if name not in found:
            raise InputError(f"{members.path}: holds no film of id {name!a}, annotated in {path}")
    return found


def _in_aspect(film: np.ndarray, hand: AnnotatedHand, where: str) -> np.ndarray:
    height, width = film.shape
    across, down = width / hand.width, height / hand.height
    if not 1 / _MOST_STRETCH <= across / down <= _MOST_STRETCH:
        raise InputError(
            f"{where}: {width} x {height} pixels; its points were set on {hand.width:g} x "
            f"{hand.height:g}, a film of quite another aspect"
        )
    size = round(hand.width * max(across, down)), round(hand.height * max(across, down))
    if max(abs(size[0] - width), abs(size[1] - height)) <= 1:
        return film
    return np.asarray(Image.fromarray(film).resize(size, Image.Resampling.BICUBIC))

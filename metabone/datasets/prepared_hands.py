"""The folder of prepared hands: canonical films, their key points, and what became of each file.

    prepared.json       of which weights and which version all of it is
    films/NAME.png      canonical films, 8 bits
    films.csv           a row a source file: what was done to it and whether it can be used
    points.csv          a row a film and key point, in pixels of films/NAME.png
    labels.csv          id (a NAME), bone_age_months, sex; where the source had one, or by hand
    contact_sheet.html  all of it for the eye

A person may edit `points.csv`, `films.csv` and `labels.csv`, and nobody vouches for the folder.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metabone.datasets import reading
from metabone.datasets.edited_tables import number_of, read_bounded, table_rows, table_text
from metabone.errors import InputError
from metabone.radiograph.landmarks import POINT_NAMES, POINTS, hand_length
from metabone.radiograph.region_sets import region_set

FORMAT = 1
ABOUT, FILMS, POINTS_TABLE, LABELS = "prepared.json", "films.csv", "points.csv", "labels.csv"
PICTURES = "films"
USABLE, REFUSED, COPY, UNREADABLE = "usable", "refused", "copy", "unreadable"
STATUSES = (USABLE, REFUSED, COPY, UNREADABLE)
COPY_OF = "a copy: the same pixels as "
"""How the reason of a copy begins, before the name of its original."""

MAX_NAME = 100

_POINT_COLUMNS = ("name", "point", "x", "y", "x_read", "y_read", "uncertainty")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FARTHEST = 1e5
_MAX_ABOUT_BYTES = 2**16
_UNSAFE = ("=", "+", "-", "@", "\t", "\r")


@dataclasses.dataclass(frozen=True)
class FilmRow:
    """What became of a source file: a row of `films.csv`.

    Attributes:
      name: of the film, a safe file name.
      file: of the source; empty where it is not to be told, as it may name a patient.
      status: one of `STATUSES`.
      reason: why it is not usable.
      quarters: turns by 90 degrees against the clock that made it upright.
      mirrored: whether it was then mirrored: a right hand, or a film from behind.
      inverted: whether dark bones were made bright.
      border: `left top right bottom` of what its border left, in pixels of the source.
      shown: the same of what is shown, in pixels of the turned film.
      width: of the canonical film, in pixels.
      height: of it.
      laterality: `L` or `R`, as the source says.
      view: a DICOM view position, as the source says.
      sex: `F` or `M`, as the source says.
      age_months: as the source says.
      row_mm: millimetres between rows of the canonical film.
      column_mm: millimetres between its columns.
      patient: numbers the patients that the source tells apart.
      warnings: what a careful reader should know, sentences.

    All are text, empty where nothing is known.
    """

    name: str
    file: str = ""
    status: str = UNREADABLE
    reason: str = ""
    quarters: str = ""
    mirrored: str = ""
    inverted: str = ""
    border: str = ""
    shown: str = ""
    width: str = ""
    height: str = ""
    laterality: str = ""
    view: str = ""
    sex: str = ""
    age_months: str = ""
    row_mm: str = ""
    column_mm: str = ""
    patient: str = ""
    warnings: str = ""


_FILM_COLUMNS = tuple(field.name for field in dataclasses.fields(FilmRow))


@dataclasses.dataclass(frozen=True)
class PreparedHands:
    """Prepared hands; films are read when they are asked for.

    Attributes:
      path: the folder.
      about: `prepared.json`.
      names: `n` films that could be read, in order of `films.csv`.
      usable: `[n]` bool: those that were not refused, or whose points a person corrected.
      points: `[n, 21, 2]` float32 `(x, y)` pixels of the canonical film.
      uncertainty: `[n, 21]` float32, hand lengths, of the points as they were read.
      corrected: `[n]` bool, whether a person moved points.
      sexes: `n` of `F`, `M` or empty, as the source says.
      patients: `n`, who is on the film; its own name where that is not known.
      refusals: name to reason of every source file that cannot be used.
      rows: all of `films.csv`.
    """

    path: Path
    about: dict[str, Any]
    names: tuple[str, ...]
    usable: np.ndarray
    points: np.ndarray
    uncertainty: np.ndarray
    corrected: np.ndarray
    sexes: tuple[str, ...]
    patients: tuple[str, ...]
    refusals: dict[str, str]
    rows: tuple[FilmRow, ...]

    def read_film(self, name: str) -> np.ndarray:
        """Reads a canonical film.

        Args:
          name: one of `names`.

        Returns:
          `[H, W]` uint8.

        Raises:
          InputError: there is no such film, or it is unreadable.
        """
        if name not in self.names:
            raise InputError(f"{self.path}: no film {name!a} among the prepared ones")
        place = self.path / PICTURES / f"{name}.png"
        if place.parent.is_symlink():
            raise InputError(f"{place.parent}: a link; expected a folder of films")
        data = read_bounded(place)
        return np.asarray(reading.decode(data, str(place), channels=1).image)


def is_safe_name(name: str) -> bool:
    """Whether a film may be called so: letters, digits, `_`, and within it `.` and `-`."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


def kind_of(reason: str) -> str:
    """A refusal without its figures, so that films refused for the same reason count as such.

    >>> kind_of("no hand: its points are unsure by 15 % of its length")
    'no hand'
    """
    return re.sub(r"\d+", "some", re.split(r"[:;]|, by ", reason)[0])


def in_words(kinds: Counter[str]) -> str:
    """How many films were refused for which reason, the commonest first."""
    return "; ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def films_text(rows: Iterable[FilmRow]) -> str:
    """`films.csv` of these rows; no cell begins as a formula of a spreadsheet would."""

    def safe(cell: str) -> str:
        return f"'{cell}" if cell.startswith(_UNSAFE) else cell

    return table_text(_FILM_COLUMNS, (map(safe, dataclasses.astuple(row)) for row in rows))


def points_text(names: Sequence[str], points: np.ndarray, uncertainty: np.ndarray) -> str:
    """`points.csv` of points as they were read.

    Args:
      names: `n` films.
      points: `[n, 21, 2]`.
      uncertainty: `[n, 21]` hand lengths.

    Returns:
      The table; moving `x` and `y` away from `x_read` and `y_read` is what corrects a point.
    """

    def lines() -> Iterator[tuple[str, ...]]:
        for name, film, unsure in zip(names, points, uncertainty, strict=True):
            # The shortest text of a float32 reads back as the same one.
            for point, at, far in zip(POINT_NAMES, film, unsure, strict=True):
                x, y = map(str, np.asarray(at, np.float32))
                yield name, point, x, y, x, y, f"{far:.4f}"

    return table_text(_POINT_COLUMNS, lines())


def read_about(path: Path) -> dict[str, Any]:
    """Reads `prepared.json`, which is written last and so stands for a folder that is whole.

    Args:
      path: the folder.

    Returns:
      Its content: `regions`, `key_points` and more.

    Raises:
      InputError: it is missing, damaged, or of another format.
    """
    place = path / ABOUT
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; metabone prepare-hands makes one")
    if not place.is_file():
        raise InputError(f"{path}: no prepared hands ({ABOUT} is missing): prepare-hands makes it")
    try:
        about = json.loads(read_bounded(place, _MAX_ABOUT_BYTES).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place}: not JSON that can be read") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{place}: not of format {FORMAT}, which this metabone reads")
    weights = about.get("key_points")
    texts = [about.get(key) for key in ("regions", "metabone", "citation", "licence")]
    texts += [weights.get(key) if isinstance(weights, dict) else None for key in ("name", "sha256")]
    if not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise InputError(f"{place}: expected the text of regions, key_points, metabone and more")
    region_set(about["regions"])
    return about


def read_prepared(path: Path) -> PreparedHands:
    """Reads a folder of prepared hands, whoever edited it.

    A point whose `x` or `y` differs from what was read counts as corrected, and a film with such a
    point as usable.

    Args:
      path: the folder.

    Returns:
      All of it but the films.

    Raises:
      InputError: something is missing or does not fit together; names the file and line.
    """
    about = read_about(path)
    rows = tuple(_film_rows(path / FILMS))
    kept = [row for row in rows if row.status != UNREADABLE]
    read, now, uncertainty = _read_points(path / POINTS_TABLE, [row.name for row in kept])
    corrected = (read != now).any(axis=(1, 2))
    for row, points in zip(kept, now, strict=True):
        if not hand_length(points) >= 1:
            raise InputError(f"{path / POINTS_TABLE}: the points of {row.name} are all one")
    usable = np.array([row.status == USABLE for row in kept], bool)
    # A copy stays one, whatever its points.
    usable |= corrected & np.array([row.status == REFUSED for row in kept], bool)
    taken = {row.name for row, good in zip(kept, usable, strict=True) if good}
    return PreparedHands(
        path=path,
        about=about,
        names=tuple(row.name for row in kept),
        usable=usable,
        points=now,
        uncertainty=uncertainty,
        corrected=corrected,
        sexes=tuple(row.sex for row in kept),
        patients=tuple(f"patient {row.patient}" if row.patient else row.name for row in kept),
        refusals={row.name: row.reason or row.status for row in rows if row.name not in taken},
        rows=rows,
    )


def _film_rows(place: Path) -> Iterator[FilmRow]:
    names: set[str] = set()
    for where, cells in table_rows(place, _FILM_COLUMNS):
        row = FilmRow(**{column: cells[column] for column in _FILM_COLUMNS})
        if not is_safe_name(row.name):
            raise InputError(f"{where}: name {row.name!a} is no film's name")
        if row.name in names:
            raise InputError(f"{where}: {row.name} is there twice")
        if row.status not in STATUSES:
            raise InputError(f"{where}: status {row.status!a}; expected {', '.join(STATUSES)}")
        if row.sex not in ("", "F", "M"):
            raise InputError(f"{where}: sex {row.sex!a} is neither F nor M nor empty")
        names.add(row.name)
        yield row


def _read_points(place: Path, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points as they were read and as they are now, `[n, 21, 2]`, and how unsure they were."""
    film_of = {name: index for index, name in enumerate(names)}
    point_of = {name: index for index, name in enumerate(POINT_NAMES)}
    values = np.full((len(names), POINTS, 5), np.nan, np.float64)
    for where, cells in table_rows(place, _POINT_COLUMNS):
        film, point = film_of.get(cells["name"]), point_of.get(cells["point"])
        if film is None:
            raise InputError(f"{where}: {FILMS} has no readable film {cells['name']!a}")
        if point is None:
            raise InputError(f"{where}: {cells['point']!a} is none of the {POINTS} points")
        if not np.isnan(values[film, point, 0]):
            raise InputError(f"{where}: {cells['point']} of {cells['name']} is there twice")
        values[film, point] = [
            number_of(cells[column], where, -_FARTHEST, _FARTHEST) for column in _POINT_COLUMNS[2:]
        ]
    missing = np.argwhere(np.isnan(values[:, :, 0]))
    if len(missing):
        film, point = missing[0]
        raise InputError(f"{place}: {POINT_NAMES[point]} of {names[film]} is missing")
    values = values.astype(np.float32)
    return values[..., 2:4], values[..., :2], values[..., 4]

"""Films of one's own: which there are and how they are labelled. Light: nothing is prepared."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from metabone.datasets import reading
from metabone.datasets.archives import MAX_FILE_BYTES, open_members
from metabone.datasets.class_folders import classes_by_folder, stated_beside_classes
from metabone.datasets.progress import progress
from metabone.datasets.stated import SOURCE_FILE, Stated, stated_by
from metabone.errors import InputError

FEWEST = 3
"""Films a class: with fewer nothing could be told of how well they are read."""

_TABLES = (".csv", ".tsv", ".txt")
_PATIENT = ("patient", "group")
_MAX_FILES = 100_000


class LabelledFilms(NamedTuple):
    """Labelled films on disk, none of which has been decoded.

    Attributes:
      place: the folder, zip or table that was given.
      files: `n` names, relative to it.
      labels: `n` class names.
      groups: `n` patients, whose films stay together; None where none are known.
      read_bytes: gives a file by its name.
      notes: what was passed over, one sentence each.
      stated: citation and licence.
    """

    place: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    read_bytes: Callable[[str], bytes]
    notes: tuple[str, ...]
    stated: Stated

    @property
    def counts(self) -> dict[str, int]:
        """Films of each class, by class name."""
        return dict(sorted(Counter(self.labels).items()))

    def pictures(self, channels: int) -> Iterator[reading.Picture]:
        """Decodes the films, one after the other.

        Args:
          channels: 1 or 3.

        Raises:
          InputError: a film is unreadable.
        """
        for name in progress(self.files, "reading films", len(self.files)):
            yield reading.decode(self.read_bytes(name), os.path.join(self.place, name), channels)


def films_in_words(films: LabelledFilms) -> list[str]:
    """Which films there are, in a few lines."""
    counts = ", ".join(f"{name} {count}" for name, count in films.counts.items())
    lines = [f"Films: {len(films.files)} in {films.place}", f"Classes: {counts}"]
    if films.groups is not None:
        lines.append(f"Patients: {len(set(films.groups))}")
    return [*lines, *(f"{note[:1].upper()}{note[1:]}" for note in films.notes)]


def read_labelled_films(path: str | os.PathLike) -> LabelledFilms:
    """Lists labelled films.

    Args:
      path: a folder or zip with one folder a class; or a table, `.csv`, `.tsv` or `.txt`, whose
        first line names `file` and `label`, and `patient` (or `group`) where known, parted by
        commas, semicolons or tabs. Its files lie below its own folder, unless they are given by
        absolute paths.

    Returns:
      The films, in order of class and name.

    Raises:
      InputError: there are none, or fewer than two classes or three films of one; a file is missing
        or named twice; or the table breaks a rule, naming its line.
    """
    place = Path(path).expanduser()
    is_table = place.is_file() and place.suffix.lower() in _TABLES
    films = _of_table(place) if is_table else _of_folders(place)
    for name, count in films.counts.items():
        if count < FEWEST:
            raise InputError(
                f"{place}: class {name!r} has {count} films; at least {FEWEST} a class are needed"
            )
    if len(films.counts) < 2:
        raise InputError(f"{place}: has one class, expected two or more")
    return films


def list_films(path: str | os.PathLike) -> tuple[tuple[str, ...], Callable[[str], bytes]]:
    """Lists films without labels.

    Args:
      path: a folder or a zip, looked through at any depth, or a single image.

    Returns:
      Their names in order, and what gives a file by its name.

    Raises:
      InputError: there is no such place, or nothing in it.
    """
    place = Path(path).expanduser()
    if place.is_file() and place.suffix.lower() != ".zip":
        return (place.name,), lambda name: _bytes_of(place.with_name(name))
    with open_members(place) as members:
        if not members.names:
            raise InputError(f"{place}: holds no films")
        names = members.names
    return names, _reader(place)


def _of_folders(place: Path) -> LabelledFilms:
    with open_members(place) as members:
        class_of = classes_by_folder(members)
        stated = stated_beside_classes(members)
        passed = sorted({name.rsplit("/", 1)[-1] for name in members.passed_over})
    ordered = sorted(class_of, key=lambda name: (class_of[name], name))
    return LabelledFilms(
        place=str(place),
        files=tuple(ordered),
        labels=tuple(class_of[name] for name in ordered),
        groups=None,
        read_bytes=_reader(place),
        notes=(f"passed over: {', '.join(passed)}",) if passed else (),
        stated=stated,
    )


def _reader(place: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        if place.is_dir():
            return _bytes_of(place / name)
        with open_members(place) as members:
            return members.read(name)

    return read


def _of_table(place: Path) -> LabelledFilms:
    rows = list(_rows(place))
    if not rows:
        raise InputError(f"{place}: holds no films")
    folder = place.resolve().parent
    first: dict[Path, int] = {}
    for row in rows:
        path = _inside(folder, row.file, f"{place}, line {row.line}")
        if path in first:
            raise InputError(
                f"{place}, line {row.line}: {row.file!r} stands in line {first[path]} as well"
            )
        first[path] = row.line
    paths = dict(zip((row.file for row in rows), first, strict=True))
    rows.sort(key=lambda row: (row.label, row.file))
    source = folder / SOURCE_FILE
    return LabelledFilms(
        place=str(place.parent),
        files=tuple(row.file for row in rows),
        labels=tuple(row.label for row in rows),
        groups=tuple(row.patient for row in rows) if rows[0].patient else None,
        read_bytes=lambda name: _bytes_of(paths[name]),
        notes=(),
        stated=stated_by(source.read_bytes if source.is_file() else None, str(source)),
    )


class _Row(NamedTuple):
    file: str
    label: str
    patient: str
    line: int


def _rows(place: Path) -> Iterator[_Row]:
    text = _text_of(place)
    header = text.split("\n", 1)[0]
    parting = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=parting, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or []]
        patient = next((name for name in _PATIENT if name in names), None)
        if any(names.count(name) != 1 for name in ("file", "label", *([patient] * bool(patient)))):
            raise InputError(
                f"{place}: its first line must name file and label once each, and may name patient"
            )
        reader.fieldnames = names
        for cells in reader:
            where = f"{place}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise InputError(f"{where}: has another number of cells than the first line")
            found = [cells[name].strip() if name else "" for name in ("file", "label", patient)]
            if not all(found[: 2 + bool(patient)]):
                raise InputError(f"{where}: an empty cell; file, label and patient must be given")
            if not all(cell.isprintable() for cell in found):
                raise InputError(f"{where}: characters that cannot be printed")
            if reader.line_num > _MAX_FILES:
                raise InputError(f"{place}: above the limit of {_MAX_FILES} lines")
            yield _Row(*found, reader.line_num)
    except csv.Error as error:
        raise InputError(f"{place}, line {reader.line_num}: {error}") from None


def _text_of(place: Path) -> str:
    try:
        return _bytes_of(place).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{place}: not a text file in UTF-8") from None


def _inside(folder: Path, name: str, where: str) -> Path:
    """The file that a table names, links resolved; a relative name leads nowhere else."""
    relative = not Path(name).is_absolute()
    # Tables made on Windows part folders by backslashes.
    path = (folder / name.replace("\\", "/") if relative else Path(name)).resolve()
    if relative and not path.is_relative_to(folder):
        raise InputError(
            f"{where}: {name!r} leads out of the table's folder; give absolute paths for that"
        )
    if not path.is_file():
        raise InputError(f"{where}: no such file {name!r}")
    return path


def _bytes_of(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path}: above the limit of {MAX_FILE_BYTES >> 20} MiB")
    return data


def readable(
    names: Sequence[str], read_bytes: Callable[[str], bytes], channels: int
) -> Iterator[tuple[str, reading.Picture | None, str]]:
    """Decodes films one after the other, whatever they are.

    Args:
      names: of the files.
      read_bytes: gives one by its name.
      channels: 1 or 3.

    Yields:
      Name, picture and an empty string; or name, None and why it is unreadable.
    """
    for name in progress(names, "reading films", len(names)):
        try:
            yield name, reading.decode(read_bytes(name), name, channels), ""
        except InputError as error:
            yield name, None, str(error).removeprefix(f"{name}: ")

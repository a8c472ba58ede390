"""Films of one's own: which there are and how they are labelled. Light: nothing is prepared."""

import csv
import io
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from metabone.datasets.archives import MAX_FILE_BYTES, open_members
from metabone.datasets.class_folders import beside_classes, classes_by_folder, passed_over
from metabone.datasets.edited_tables import plain_name
from metabone.datasets.film_bytes import OwnFilm, film_of_bytes
from metabone.datasets.progress import progress
from metabone.datasets.stated import SOURCE_FILE, Stated, stated_by
from metabone.errors import InputError

FEWEST = 3
"""Films a class: with fewer nothing could be told of how well they are read."""

_TABLES = (".csv", ".tsv", ".txt")
_PATIENT = ("patient", "patient_id", "group")
_MAX_FILES = 100_000


class LabelledFilms(NamedTuple):
    """Labelled films on disk, none of which has been decoded.

    Attributes:
      place: the folder, zip or table that was given.
      files: `n` names, relative to it.
      labels: `n` class names.
      groups: `n` patients, whose films stay together; None where none are known.
      sex: `n` entries, in capitals, of a table's column of that name; None where it has none.
      read_bytes: gives a file by its name.
      notes: what was passed over, one sentence each.
      stated: citation and licence.
    """

    place: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    sex: tuple[str, ...] | None
    read_bytes: Callable[[str], bytes]
    notes: tuple[str, ...]
    stated: Stated

    @property
    def counts(self) -> dict[str, int]:
        """Films of each class, by class name."""
        return dict(sorted(Counter(self.labels).items()))

    def read(self, channels: int) -> Iterator[OwnFilm]:
        """Reads the films, one after the other.

        Args:
          channels: 1 or 3.

        Yields:
          Each film; its `group` tells patients apart among these films alone.

        Raises:
          InputError: a film is unreadable.
        """
        salt = secrets.token_bytes(32)
        for name in progress(self.files, "reading films", len(self.files)):
            where = os.path.join(self.place, name)
            yield film_of_bytes(self.read_bytes(name), where, channels, salt)


class UnlabelledFilms(NamedTuple):
    """Films on disk, none of which has been decoded.

    Attributes:
      files: `n` names in order.
      sex: as of `LabelledFilms`.
      read_bytes: gives a file by its name.
    """

    files: tuple[str, ...]
    sex: tuple[str, ...] | None
    read_bytes: Callable[[str], bytes]

    def read(self, channels: int) -> Iterator[tuple[OwnFilm | None, str]]:
        """Reads the films one after the other, whatever they are.

        Args:
          channels: 1 or 3.

        Yields:
          A film and an empty string, or None and why it is unreadable.
        """
        for name in progress(self.files, "reading films", len(self.files)):
            try:
                yield film_of_bytes(self.read_bytes(name), name, channels), ""
            except InputError as error:
                yield None, str(error).removeprefix(f"{name}: ")


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
        first line names `file` and `label`, and `patient` (or `patient_id`, `group`) where known,
        parted by commas, semicolons or tabs. Its files lie below its own folder, unless they are
        given by absolute paths.

    Returns:
      The films, in order of class and name.

    Raises:
      InputError: there are none, or fewer than two classes or three films of one; a file is missing
        or named twice; or the table breaks a rule, naming its line.
    """
    place = Path(path).expanduser()
    films = _of_table(place) if _is_table(place) else _of_folders(place)
    for name, count in films.counts.items():
        if count < FEWEST:
            raise InputError(
                f"{place}: class {name!r} has {count} films; at least {FEWEST} a class are needed"
            )
    if len(films.counts) < 2:
        raise InputError(f"{place}: has one class, expected two or more")
    return films


def list_films(path: str | os.PathLike) -> UnlabelledFilms:
    """Lists films without labels.

    Args:
      path: a folder or a zip, looked through at any depth; a table whose first line names `file`,
        and `sex` where known; or a single image.

    Raises:
      InputError: there is no such place, or nothing in it.
    """
    place = Path(path).expanduser()
    if _is_table(place):
        rows, paths = _listed(place, ("file",))
        sex = tuple(row.sex for row in rows) if rows[0].sex is not None else None
        return UnlabelledFilms(tuple(paths), sex, lambda name: _bytes_of(paths[name]))
    if place.is_file() and place.suffix.lower() != ".zip":
        return UnlabelledFilms((place.name,), None, lambda name: _bytes_of(place.with_name(name)))
    with open_members(place) as members:
        if not members.names:
            raise InputError(f"{place}: holds no films")
        names = members.names
    return UnlabelledFilms(names, None, _reader(place))


def _is_table(place: Path) -> bool:
    return place.is_file() and place.suffix.lower() in _TABLES


def _of_folders(place: Path) -> LabelledFilms:
    with open_members(place) as members:
        class_of = classes_by_folder(members)
        stated = stated_by(*beside_classes(members))
        passed = passed_over(members)
    ordered = sorted(class_of, key=lambda name: (class_of[name], name))
    return LabelledFilms(
        place=str(place),
        files=tuple(ordered),
        labels=tuple(class_of[name] for name in ordered),
        groups=None,
        sex=None,
        read_bytes=_reader(place),
        notes=(passed,) if passed else (),
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
    rows, paths = _listed(place, ("file", "label"))
    rows.sort(key=lambda row: (row.label, row.file))
    source = place.resolve().parent / SOURCE_FILE
    return LabelledFilms(
        place=str(place.parent),
        files=tuple(row.file for row in rows),
        labels=tuple(row.label for row in rows),
        groups=tuple(row.patient for row in rows) if rows[0].patient else None,
        sex=tuple(row.sex for row in rows) if rows[0].sex is not None else None,
        read_bytes=lambda name: _bytes_of(paths[name]),
        notes=(),
        stated=stated_by(source.read_bytes if source.is_file() else None, str(source)),
    )


class _Row(NamedTuple):
    file: str
    label: str
    patient: str
    sex: str | None
    line: int


def _listed(place: Path, needed: tuple[str, ...]) -> tuple[list[_Row], dict[str, Path]]:
    """The rows of a table, and where the file of each is."""
    rows = list(_rows(place, needed))
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
    return rows, dict(zip((row.file for row in rows), first, strict=True))


def _rows(place: Path, needed: tuple[str, ...]) -> Iterator[_Row]:
    text = _text_of(place)
    header = text.split("\n", 1)[0]
    parting = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=parting, strict=True)
    try:
        names = [plain_name(name) for name in reader.fieldnames or []]
        patient = next((name for name in _PATIENT if name in names), "")
        known = [*needed, *([patient] * bool(patient))]
        if any(names.count(name) != 1 for name in known) or names.count("sex") > 1:
            raise InputError(
                f"{place}: its first line must name {' and '.join(needed)} once each, and may name "
                "patient and sex"
            )
        reader.fieldnames = names
        for cells in reader:
            where = f"{place}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise InputError(f"{where}: has another number of cells than the first line")
            found = {name: cells[name].strip() for name in known}
            if not all(found.values()):
                raise InputError(f"{where}: an empty cell; {', '.join(known)} must be given")
            sex = cells["sex"].strip().upper() if "sex" in names else None
            if not all(cell.isprintable() for cell in found.values()):
                raise InputError(f"{where}: characters that cannot be printed")
            if reader.line_num > _MAX_FILES:
                raise InputError(f"{place}: above the limit of {_MAX_FILES} lines")
            own = found.get(patient, "")
            yield _Row(found["file"], found.get("label", ""), own, sex, reader.line_num)
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

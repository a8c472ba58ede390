"""Chest films with the ages of their patients: the NIH's ChestX-ray14, or one's own."""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metabone.datasets import reading
from metabone.datasets.archives import Members, open_members
from metabone.datasets.chest_labels import OLDEST, ChestLabel, read_chest_labels
from metabone.datasets.class_folders import passed_in_words
from metabone.datasets.film_files import files_by_id, without_partner
from metabone.datasets.film_groups import kept_together
from metabone.datasets.fingerprints import content_sha256, image_fingerprints, under_two_labels
from metabone.datasets.hand_labels import check_unmatched, with_names_of_files
from metabone.datasets.near_copies import LOOK, look_of_film
from metabone.datasets.progress import progress
from metabone.datasets.stated import NOT_STATED, SOURCE_FILE, Stated, stated_by
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms

_LABELS, _NIH_LABELS = "labels.csv", "Data_Entry_2017*.csv"
_TABLES = f"{_LABELS} or the NIH's {_NIH_LABELS}"
_PLACES = "images/, images.zip, or images_001/ and so on"
_NIH = Stated(
    "Wang et al. 2017, ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks, CVPR",
    "free to use, with the citation and a link to the NIH Clinical Center, which provides it",
)


def load_chest(
    path: Path, *, source: str, size: int, ages: tuple[float, float] = (0, OLDEST)
) -> AgedFilms:
    """Loads chest films; each is decoded, resized and let go, so that memory holds small ones.

    Nothing is kept on disk: every call decodes the films anew.

    Args:
      path: A folder of a table, `labels.csv` or the NIH's `Data_Entry_2017*.csv`, see
        `chest_labels.read_chest_labels`; and of films in `images/`, `images.zip`, or folders or
        zips `images_001` and so on, at any depth. `source.json` beside them states citation and
        licence.
      source: The source string as given, for the record.
      size: Height and width of the films.
      ages: The least and the largest age in years of the films that are kept, both included.

    Returns:
      The films in the order of the table, with months from ages in years. Films of one patient,
      and copies of one film, are of one of `patients`, called by the first film in the table. Left
      out are side views, films without an age, rows without a film, films without a row and copies
      under two ages; they are counted on stderr and in the provenance.

    Raises:
      InputError: Something is missing, unreadable or does not fit together, or the films take more
        than half of this machine's memory.
    """
    reading.check_size(size)
    low, high = ages
    if not 0 <= low < high <= OLDEST:
        raise InputError(f"ages {low:g} to {high:g} years: expected a range within 0 to {OLDEST}")
    with list_chest_films(path, ages) as (rows, files, stated, told):
        _tell(path, told)
        _check_memory(len(rows), size)
        images, looks, hashes, done = _read([files[row.id] for row in rows], size)
    months = np.asarray([row.months for row in rows], np.float32)
    twice, note = _under_two_ages(path, rows, hashes)
    _tell(path, note)
    if twice:
        kept = np.setdiff1d(np.arange(len(rows)), twice)
        images, looks, months = images[kept], looks[kept], months[kept]
        rows, hashes = [rows[row] for row in kept], [hashes[row] for row in kept]
    counted = [f"{what} ({count} of {len(files)} films)" for what, count in sorted(done.items())]
    copies = len(rows) - len(set(hashes))
    if copies:
        note += (f"{copies} of {len(rows)} films are copies of others and stay with them",)
    ids = [row.id for row in rows]
    patient_of = {row.id: row.patient for row in rows}
    together = kept_together(ids, [row.patient for row in rows], hashes)
    return AgedFilms(
        images=images,
        months=months,
        sex=np.asarray([row.sex for row in rows]),
        patients=np.asarray([patient_of[name] for name in together]),
        ids=np.asarray(ids),
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(images, months),
            count=len(rows),
            **stated._asdict(),
            conversions=(*told, *note, *counted, reading.resize_note(size)),
        ),
        looks=looks,
    )


class FilmFile(NamedTuple):
    """Where a film lies.

    Attributes:
      members: a folder or zip.
      name: of the film's file in it.
    """

    members: Members
    name: str

    def read(self) -> bytes:
        """The file's bytes; raises `InputError` where it cannot be read."""
        return self.members.read(self.name)

    def where(self) -> str:
        """Names the file for a message."""
        return self.members.where(self.name)


class ListedChestFilms(NamedTuple):
    """Chest films with their labels, none of which has been decoded.

    Attributes:
      rows: of the table, in its order, of the films that are there and kept; each with an age.
      files: from id to file, of these.
      stated: citation and licence.
      told: what was done or left out, one sentence each.
    """

    rows: tuple[ChestLabel, ...]
    files: dict[str, FilmFile]
    stated: Stated
    told: tuple[str, ...]


@contextlib.contextmanager
def list_chest_films(
    path: Path, ages: tuple[float, float] = (0, OLDEST)
) -> Iterator[ListedChestFilms]:
    """Lists films; takes what `load_chest` does.

    Args:
      path: As of `load_chest`.
      ages: Likewise.

    Yields:
      The films.

    Raises:
      InputError: Something is missing or does not fit together, or no film is left.
    """
    labels = _table(path)
    places = _places(path)
    beside = path / SOURCE_FILE
    stated = stated_by(beside.read_bytes if beside.is_file() else None, str(beside))
    if labels.name != _LABELS:
        pairs = zip(stated, _NIH, strict=True)
        stated = Stated(*(own if own != NOT_STATED else nih for own, nih in pairs))
    rows = read_chest_labels(labels)
    with contextlib.ExitStack() as stack:
        files, passed = _files([stack.enter_context(open_members(place)) for place in places])
        rows, renamed = with_names_of_files(rows, files.keys(), labels)
        there = tuple(row for row in rows if row.id in files)
        spare = sorted(set(files) - {row.id for row in there})
        lost = sorted({row.id for row in rows} - set(files))
        # The table of the NIH is whole where a few of its twelve parts have been fetched.
        parts = labels.name != _LABELS
        told = [
            *renamed,
            without_partner("rows", lost, len(rows), "image", path, any_number=parts),
            without_partner("images", spare, len(files), "row", labels),
            passed_in_words(passed),
        ]
        kept = _kept(there, ages, labels, told)
        told = tuple(filter(None, told))
        if not kept:
            raise InputError(f"{path}: no film is left: {'; '.join(told)}")
        yield ListedChestFilms(kept, {row.id: files[row.id] for row in kept}, stated, told)


def _table(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected {_TABLES}, and {_PLACES}")
    found = sorted({*path.glob(_LABELS), *path.glob(_NIH_LABELS)})
    if len(found) != 1:
        names = " and ".join(place.name for place in found)
        what = f"has {names}, keep one" if found else f"no table of films; expected {_TABLES}"
        raise InputError(f"{path}: {what}")
    return found[0]


def _places(path: Path) -> list[Path]:
    found = [path / "images", path / "images.zip", *sorted(path.glob("images_[0-9]*"))]
    # Beside what was unpacked the archives that the NIH gives, .tar.gz, may still lie.
    found = [place for place in found if place.is_dir() or place.suffix == ".zip"]
    found = [place for place in found if place.exists()]
    if not found:
        raise InputError(f"{path}: no films; expected {_PLACES}, folders or zips")
    return found


def _files(places: Sequence[Members]) -> tuple[dict[str, FilmFile], Counter[str]]:
    files: dict[str, FilmFile] = {}
    passed: Counter[str] = Counter()
    for members in places:
        own, litter = files_by_id(members)
        passed.update(litter)
        for name, file in own.items():
            if name in files:
                raise InputError(f"{members.where(file)}: a second image of '{name}'")
            files[name] = FilmFile(members, file)
    return files, passed


def _kept(
    rows: Sequence[ChestLabel], ages: tuple[float, float], labels: Path, told: list[str]
) -> tuple[ChestLabel, ...]:
    """Rows of frontal films of the ages that are asked for; `told` gets what was left out."""
    low, high = ages
    frontal = [row for row in rows if row.frontal]
    aged = [row for row in frontal if row.months is not None]
    kept = tuple(row for row in aged if 12 * low <= row.months <= 12 * high)
    if len(frontal) < len(rows):
        side = len(rows) - len(frontal)
        told.append(f"{side} of {len(rows)} films are no frontal views and are left out")
    if len(aged) < len(frontal):
        without = len(frontal) - len(aged)
        note = f"{without} of {len(frontal)} films have no age from 0 to {OLDEST} years"
        check_unmatched(without, len(frontal), f"{labels}: {note}")
        told.append(f"{note} and are left out")
    if len(kept) < len(aged):
        other = len(aged) - len(kept)
        told.append(
            f"{other} of {len(aged)} films have another age than the {low:g} to {high:g} years "
            "that are asked for"
        )
    return kept


def _check_memory(count: int, size: int) -> None:
    taken = count * (size**2 + LOOK**2)
    # A split copies them once.
    if 2 * taken > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise InputError(
            f"{count:,} films of {size}x{size} take {taken / 2**30:.3g} GiB, more than half of "
            "this machine's memory; ask for a smaller size or fewer ages"
        )


def _read(
    files: Sequence[FilmFile], size: int
) -> tuple[np.ndarray, np.ndarray, list[str], Counter[str]]:
    """Images, looks, hashes of the whole films, and how often what was done to pixels."""
    images = np.empty((len(files), size, size, 1), np.uint8)
    looks = np.empty((len(files), LOOK, LOOK), np.uint8)
    hashes = [""] * len(files)
    done: Counter[str] = Counter()

    def read(row: int, bits: int = 0) -> int:
        picture = reading.decode(files[row].read(), files[row].where(), channels=1, bits=bits)
        if picture.bits and not bits:
            return picture.bits
        film = np.asarray(picture.image)
        images[row] = reading.resize(picture.image, size)
        looks[row] = look_of_film(film)
        hashes[row] = image_fingerprints(film[None])[0]
        done.update(picture.conversions)
        return 0

    rows = range(len(files))
    used = [read(row) for row in progress(rows, "reading films", len(files))]
    # Films are to be compared, so those of 16 bits are scaled alike, once all have been seen.
    deep = [row for row in rows if used[row]]
    for row in progress(deep, "reading films of 16 bits", len(deep)):
        read(row, max(used))
    return images, looks, hashes, done


def _under_two_ages(
    path: Path, rows: Sequence[ChestLabel], hashes: Sequence[str]
) -> tuple[list[int], tuple[str, ...]]:
    """Films that are copies of one of another age, which is anyone's guess then."""
    twice = under_two_labels(hashes, [row.months for row in rows])
    if not twice:
        return [], ()
    note = f"{len(twice)} of {len(rows)} films are copies of others under another age"
    check_unmatched(len(twice), len(rows), f"{path}: {note} (the first is '{rows[twice[0]].id}')")
    return twice, (f"{note} and are left out",)


def _tell(path: Path, notes: Sequence[str]) -> None:
    for note in notes:
        print(f"{path}: {note}", file=sys.stderr)

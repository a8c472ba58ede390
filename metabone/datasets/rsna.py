"""Hand radiographs with bone ages: `labels.csv` beside `images.zip` or `images/`."""

import contextlib
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.archives import Members, open_members
from metabone.datasets.class_folders import passed_in_words
from metabone.datasets.film_files import check_id, files_by_id, without_partner
from metabone.datasets.film_groups import kept_together
from metabone.datasets.fingerprints import check_one_label, content_sha256, image_fingerprints
from metabone.datasets.hand_labels import HandLabel, read_hand_labels, with_names_of_files
from metabone.datasets.prepared import RecordBuilder, Records, prepare
from metabone.datasets.progress import progress
from metabone.datasets.stated import NOT_STATED, SOURCE_FILE, stated_by
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.stages import MONTH_CUTS, check_cuts, month_names, stages_by_months

EXAMPLE_EDGE = 512


class Rsna(RecordBuilder):
    """Films as their own files, with age and sex."""

    VERSION = tfds.core.Version("1.1.0")
    DESCRIPTION = "Hand radiographs with bone ages, prepared from labels.csv and images."
    CITATION = LICENCE = NOT_STATED

    def features(self) -> tfds.features.FeaturesDict:
        """Nothing that identifies a patient beyond the id that the data set gives."""
        return tfds.features.FeaturesDict(
            {
                "id": tfds.features.Text(),
                "bone_age_months": np.float32,
                "sex": tfds.features.Text(),
                "bits": np.int64,
                "image": tfds.features.Image(shape=(None, None, 1)),
            }
        )


def load(
    path: Path,
    *,
    source: str,
    size: int,
    cuts: Sequence[float] = MONTH_CUTS,
    data_dir: str | None = None,
    examples: int = 12,
) -> FilmSet:
    """Loads films with the whole hand as their single region.

    Args:
      path: The folder of `labels.csv` and `images.zip` or `images/`; `source.json` beside them
        states citation and licence.
      source: The source string as given, for the record.
      size: Height and width of the region.
      cuts: Bone ages in months at which a new class begins.
      data_dir: Where prepared records lie, see `data_dir.resolve_data_dir`.
      examples: Number of whole films to keep, spread over the classes, at most 512 x 512.

    Returns:
      The films in the order of `labels.csv`. Films of one patient, where that is known, and copies
      of one film are one of `patients`, called by its first film. Films without a row and rows
      without a film are left out, counted on stderr and in the provenance.

    Raises:
      InputError: Something is missing, unreadable or does not fit together.
    """
    reading.check_size(size)
    check_cuts(cuts)
    place = path / SOURCE_FILE
    stated = stated_by(place.read_bytes if place.is_file() else None, str(place))
    records, patient_of, told = _records(path, data_dir)
    for note in told:
        print(f"{path}: {note}", file=sys.stderr)
    ids, months, sexes, regions, looks = [], [], [], [], []
    notes: Counter[str] = Counter()
    # Films are to be compared, so those of 16 bits are scaled alike.
    bits = max(record["bits"] for record in records)
    for record in progress(records, "reading films", len(records)):
        ids.append(record["id"].decode())
        months.append(record["bone_age_months"])
        sexes.append(record["sex"].decode())
        picture = reading.decode(record["image"], f"{path}: film {ids[-1]}", 1, bits=bits)
        notes.update(picture.conversions)
        looks.append(_sha256(picture.image))
        regions.append(reading.resize(picture.image, size))
    regions = np.stack(regions)
    months = np.asarray(months, np.float32)
    classes = stages_by_months(months, cuts)
    index = spread_over_classes(classes, examples)
    whole = [_whole_film(records[int(row)]["image"], f"film {ids[row]}", bits) for row in index]
    boxes = [[[0, 0, EXAMPLE_EDGE, EXAMPLE_EDGE]]] * len(index)
    counted = (f"{note} ({count} of {len(ids)} films)" for note, count in sorted(notes.items()))
    copies = len(ids) - len(set(looks))
    if copies:
        told += (f"{copies} of {len(ids)} films are copies of others and stay with them",)
    sex = np.asarray(sexes)
    return FilmSet(
        regions=regions[:, None],
        classes=classes,
        class_names=month_names(cuts),
        patients=kept_together(ids, [patient_of[name] for name in ids], looks),
        region_names=("hand",),
        examples=np.asarray(whole, np.uint8).reshape(-1, EXAMPLE_EDGE, EXAMPLE_EDGE),
        example_boxes=np.asarray(boxes, np.int32).reshape(-1, 1, 4),
        example_index=index,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(regions, months),
            count=len(ids),
            **stated._asdict(),
            conversions=(*told, *counted, reading.resize_note(size)),
        ),
        bone_age_months=months,
        sex=sex if (sex != "").any() else None,
    )


class WholeFilms(NamedTuple):
    """The films of `load` as they came, of any sizes.

    Attributes:
      ids: `[N]` str, in the order of `load`.
      films: `[H, W]` uint8 each, decoded one at a time; to be gone through once.
    """

    ids: np.ndarray
    films: Iterator[np.ndarray]


def whole_films(path: Path, *, data_dir: str | None = None) -> WholeFilms:
    """Reads films without resizing them; takes what `load` does.

    Args:
      path: The folder of `labels.csv` and `images.zip` or `images/`.
      data_dir: Where prepared records lie, see `data_dir.resolve_data_dir`.

    Returns:
      The films.

    Raises:
      InputError: Something is missing, unreadable or does not fit together.
    """
    records, _, _ = _records(path, data_dir)
    ids = [record["id"].decode() for record in records]
    bits = max(record["bits"] for record in records)
    films = (
        np.asarray(reading.decode(record["image"], f"{path}: film {name}", 1, bits=bits).image)
        for name, record in zip(ids, records, strict=True)
    )
    return WholeFilms(np.asarray(ids), films)


class ListedFilms(NamedTuple):
    """Films with their labels, none of which has been decoded.

    Attributes:
      rows: of `labels.csv`, in its order, of the films that are there.
      files: from id to file.
      members: which holds the files.
      told: what was done or left out, one sentence each.
    """

    rows: tuple[HandLabel, ...]
    files: dict[str, str]
    members: Members
    told: tuple[str, ...]


@contextlib.contextmanager
def list_films(path: Path) -> Iterator[ListedFilms]:
    """Lists films; takes what `load` does.

    Args:
      path: The folder of `labels.csv` and `images.zip` or `images/`.

    Yields:
      The films.

    Raises:
      InputError: Something is missing or does not fit together.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected labels.csv and images.zip or images/")
    labels = path / "labels.csv"
    given = read_hand_labels(labels)
    if given[0].bone_age_months is None:
        raise InputError(f"{labels}: its first line must name bone_age_months")
    for row in given:
        check_id(row.id, labels)
    with _open_images(path) as members:
        yield _match(given, members, labels)


def _records(path: Path, data_dir: str | None) -> tuple[Records, dict[str, str], tuple[str, ...]]:
    """Records, the patient of each id, and what was left out."""
    with list_films(path) as (rows, files, members, told):
        bits: dict[str, int] = {}

        def read() -> Iterator[dict[str, object]]:
            for row in rows:
                yield {
                    "id": row.id,
                    "bone_age_months": row.bone_age_months,
                    "sex": row.sex,
                    "bits": bits[row.id],
                    "image": members.read(files[row.id]),
                }

        def check() -> None:
            looks = []
            for row in progress(rows, "checking films", len(rows)):
                name = files[row.id]
                film = reading.decode(members.read(name), members.where(name), channels=1)
                looks.append(_sha256(film.image))
                bits[row.id] = film.bits
            ages = [row.bone_age_months for row in rows]
            check_one_label(looks, ages, [members.where(files[row.id]) for row in rows], "ages")

        parts = (str(Rsna.VERSION), repr(list(rows)), members.fingerprint())
        records = prepare(
            lambda folder: Rsna(records=read, data_dir=folder),
            name=Rsna.name,
            fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            data_dir=data_dir,
            check=check,
        )
    return records, {row.id: row.patient or row.id for row in rows}, told


def _sha256(film: Image.Image) -> str:
    return image_fingerprints(np.asarray(film)[None])[0]


@contextlib.contextmanager
def _open_images(path: Path) -> Iterator[Members]:
    found = [place for place in (path / "images.zip", path / "images") if place.exists()]
    if len(found) != 1:
        what = "both images.zip and images/, keep one" if found else "no images.zip and no images/"
        raise InputError(f"{path}: has {what}")
    with open_members(found[0]) as members:
        yield members


def _match(rows: Sequence[HandLabel], members: Members, labels: Path) -> ListedFilms:
    """The file of each row that has one, in order of the rows; and what is left out."""
    file_of, passed = files_by_id(members)
    rows, renamed = with_names_of_files(rows, file_of.keys(), labels)
    known = {row.id for row in rows}
    told = (
        *renamed,
        without_partner("rows", sorted(known - set(file_of)), len(rows), "image", members.path),
        without_partner("images", sorted(set(file_of) - known), len(file_of), "row", labels),
        passed_in_words(passed),
    )
    files = {row.id: file_of[row.id] for row in rows if row.id in file_of}
    rows = tuple(row for row in rows if row.id in files)
    return ListedFilms(rows, files, members, tuple(filter(None, told)))


def _whole_film(data: bytes, where: str, bits: int) -> np.ndarray:
    image = reading.pad_to_square(reading.decode(data, where, channels=1, bits=bits).image)
    edge = (EXAMPLE_EDGE, EXAMPLE_EDGE)
    return np.asarray(image if image.size == edge else image.resize(edge, Image.Resampling.LANCZOS))

"""Hand radiographs with bone ages: `labels.csv` beside `images.zip` or `images/`."""

import contextlib
import csv
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.archives import MAX_FILE_BYTES, Members, open_members
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.prepared import RecordBuilder, prepare
from metabone.datasets.progress import progress
from metabone.datasets.stated import NOT_STATED, SOURCE_FILE, stated_by
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.stages import MONTH_CUTS, check_cuts, month_names, stages_by_months

COLUMNS = ("id", "bone_age_months", "sex")
MAX_MONTHS = 300
EXAMPLE_EDGE = 512
_IMAGE_NAME = re.compile(r"(.+)\.(jpg|jpeg|png)", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_.-]+")


class Row(NamedTuple):
    """One line of `labels.csv`; whatever other columns it has are not read."""

    id: str
    bone_age_months: float
    sex: str


class Rsna(RecordBuilder):
    """Films as their own JPEG or PNG files, with age and sex."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Hand radiographs with bone ages, prepared from labels.csv and images."
    CITATION = LICENCE = NOT_STATED

    def features(self) -> tfds.features.FeaturesDict:
        """Nothing that identifies a patient beyond the id that the data set gives."""
        return tfds.features.FeaturesDict(
            {
                "id": tfds.features.Text(),
                "bone_age_months": np.float32,
                "sex": tfds.features.Text(),
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
      The films in the order of `labels.csv`.

    Raises:
      InputError: Something is missing, unreadable or does not fit together.
    """
    reading.check_size(size)
    check_cuts(cuts)
    place = path / SOURCE_FILE
    stated = stated_by(place.read_bytes if place.is_file() else None, str(place))
    records = _records(path, data_dir)
    ids, months, sexes, regions = [], [], [], []
    notes: Counter[str] = Counter()
    for record in progress(records, "reading films", len(records)):
        ids.append(record["id"].decode())
        months.append(record["bone_age_months"])
        sexes.append(record["sex"].decode())
        picture = reading.decode(record["image"], f"{path}: film {ids[-1]}", channels=1)
        notes.update(picture.conversions)
        regions.append(reading.resize(picture.image, size))
    regions = np.stack(regions)
    months = np.asarray(months, np.float32)
    classes = stages_by_months(months, cuts)
    index = spread_over_classes(classes, examples)
    whole = [_whole_film(records[int(row)]["image"], f"film {ids[row]}") for row in index]
    boxes = [[[0, 0, EXAMPLE_EDGE, EXAMPLE_EDGE]]] * len(index)
    counted = (f"{note} ({count} of {len(ids)} films)" for note, count in sorted(notes.items()))
    return FilmSet(
        regions=regions[:, None],
        classes=classes,
        class_names=month_names(cuts),
        patients=np.asarray(ids),
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
            conversions=(*counted, reading.resize_note(size)),
        ),
        bone_age_months=months,
        sex=np.asarray(sexes),
    )


def read_labels(path: Path) -> list[Row]:
    """Reads and checks `labels.csv`.

    Args:
      path: A CSV file with at least the columns id, bone_age_months and sex (`F` or `M`).

    Returns:
      Its rows in order.

    Raises:
      InputError: The file or a column is missing, or a row breaks a rule; names the line.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: dict[str, Row] = {}
    try:
        header = reader.fieldnames or []
        missing = [column for column in COLUMNS if header.count(column) != 1]
        if missing:
            raise InputError(
                f"{path}: its first line must name {', '.join(COLUMNS)} once each; "
                f"'{missing[0]}' is missing or twice"
            )
        for cells in reader:
            row = _row(cells, f"{path}, line {reader.line_num}")
            if row.id in rows:
                raise InputError(f"{path}, line {reader.line_num}: id '{row.id}' is there twice")
            rows[row.id] = row
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise InputError(f"{path}: holds no rows")
    return list(rows.values())


def _row(cells: dict[str | None, str | list[str] | None], where: str) -> Row:
    if None in cells or None in cells.values():
        raise InputError(f"{where}: has another number of cells than the first line")
    name, age, sex = (cells[column].strip() for column in COLUMNS)
    if not _ID.fullmatch(name):
        raise InputError(f"{where}: id {name!a} must be letters, digits, '_', '.' or '-'")
    try:
        months = float(age)
    except ValueError:
        raise InputError(f"{where}: bone_age_months {age!a} is no number") from None
    if not (math.isfinite(months) and 0 <= months <= MAX_MONTHS):
        raise InputError(f"{where}: bone_age_months {age} is not in 0..{MAX_MONTHS}")
    if sex not in ("F", "M"):
        raise InputError(f"{where}: sex {sex!a} is neither F nor M")
    return Row(name, months, sex)


def _records(path: Path, data_dir: str | None):
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected labels.csv and images.zip or images/")
    labels = path / "labels.csv"
    rows = read_labels(labels)
    with _open_images(path) as members:
        files = _match(rows, members, labels)

        def read() -> Iterator[dict[str, object]]:
            for row in rows:
                yield {**row._asdict(), "image": members.read(files[row.id])}

        def check() -> None:
            for name in progress(files.values(), "checking films", len(files)):
                reading.decode(members.read(name), members.where(name), channels=1)

        parts = (str(Rsna.VERSION), repr(rows), members.fingerprint())
        return prepare(
            lambda folder: Rsna(records=read, data_dir=folder),
            name=Rsna.name,
            fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            data_dir=data_dir,
            check=check,
        )


@contextlib.contextmanager
def _open_images(path: Path) -> Iterator[Members]:
    found = [place for place in (path / "images.zip", path / "images") if place.exists()]
    if len(found) != 1:
        what = "both images.zip and images/, keep one" if found else "no images.zip and no images/"
        raise InputError(f"{path}: has {what}")
    with open_members(found[0]) as members:
        yield members


def _match(rows: Sequence[Row], members: Members, labels: Path) -> dict[str, str]:
    """Finds the file of each row; refuses a file without a row and a row without a file."""
    known = {row.id for row in rows}
    files: dict[str, str] = {}
    for name in members.names:
        base = name.rsplit("/", 1)[-1]
        match = _IMAGE_NAME.fullmatch(base)
        if not match:
            raise InputError(f"{members.where(name)}: expected only <id>.jpg or <id>.png")
        if match[1] not in known:
            raise InputError(f"{labels}: image {base} has no row")
        if match[1] in files:
            raise InputError(f"{members.where(name)}: a second image of '{match[1]}'")
        files[match[1]] = name
    for row in rows:
        if row.id not in files:
            raise InputError(f"{members.path}: holds no image {row.id}.jpg or {row.id}.png")
    return files


def _whole_film(data: bytes, where: str) -> np.ndarray:
    image = reading.pad_to_square(reading.decode(data, where, channels=1).image)
    edge = (EXAMPLE_EDGE, EXAMPLE_EDGE)
    return np.asarray(image if image.size == edge else image.resize(edge, Image.Resampling.LANCZOS))

"""What a source holds, image by image and by its own reader, before anything is prepared of it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.hand_labels import MOST_UNMATCHED
from metabone.datasets.prepared_hands import in_words
from metabone.datasets.source import (
    IMAGE_KINDS,
    KINDS,
    Source,
    list_images,
    load_films,
    open_images,
    parse_source,
)
from metabone.errors import InputError
from metabone.radiograph.stages import month_names, stages_by_months

_TOGETHER = "kept on one side of a split"


class Seen(NamedTuple):
    """An image that has been read.

    Attributes:
      pixels: `[H, W]` or `[H, W, 3]` uint8.
      stored: how its file holds it, such as `JPEG RGB` or `DICOM 12 bits`.
      conversions: what was done to its pixels, one sentence each.
      bits: that a grey of 16 bits uses; 0 of any other image.
      group: tells patients apart where the file does; else None.
    """

    pixels: np.ndarray
    stored: str
    conversions: tuple[str, ...] = ()
    bits: int = 0
    group: str | None = None


class Held(NamedTuple):
    """The images of a source: `n`, none of which has been decoded.

    Attributes:
      source: as given.
      what: it holds, in words.
      names: `n` names of images.
      labels: `n` classes; of ages those of the usual cuts, of chest films the sex.
      ages: `n` months, of hands with ages; else empty.
      parts: `n` parts such as train, or empty.
      groups: `n` patients, or empty where the source does not tell them apart.
      notes: what was passed over and what is known beside, one sentence each.
      ambiguous: largest share of images under two labels with which the source is still read.
      copies: what becomes of copies of an image within a class.
      read: reads an image by its row; raises `InputError` for one that cannot be read.
    """

    source: str
    what: str
    names: tuple[str, ...]
    labels: tuple[str, ...]
    ages: tuple[float, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...]
    ambiguous: float
    copies: str
    read: Callable[[int], Seen]


@contextlib.contextmanager
def open_held(text: str, data_dir: str | None = None) -> Iterator[Held]:
    """Opens a source for a look at its images one by one.

    Args:
      text: a source string; or a path of films as `metabone adapt` takes it: a folder or zip with
        one folder a class, or a table of files and labels.
      data_dir: where what is downloaded lies.

    Yields:
      The images. A folder whose classes lie below parts is opened whole.

    Raises:
      InputError: the source cannot be used at all; the message says why.
    """
    if text.partition(":")[0] not in KINDS and Path(text).expanduser().exists():
        yield _own_films(text)
        return
    source = parse_source(text)
    if source.kind in ("rsna", "hands"):
        with _rsna(source) if source.kind == "rsna" else _hands(source) as held:
            yield held
    elif source.kind == "chest":
        with _chest(source) as held:
            yield held
    elif source.text in ("simulated:smi", "simulated:hands"):
        yield _simulated_films(source)
    elif source.kind == "simulated" or source.kind not in IMAGE_KINDS:
        yield _in_memory(source, data_dir)
    else:
        with _listed(source, data_dir) as held:
            yield held


def _picture(data: bytes, where: str, page: int = 255) -> Seen:
    picture = reading.decode(data, where, channels=3, page=page)
    kind, mode, _ = picture.stored
    grey = reading.GREY_REPEATED in picture.conversions
    pixels = np.asarray(picture.image)
    done = tuple(note for note in picture.conversions if note != reading.GREY_REPEATED)
    return Seen(pixels[..., 0] if grey else pixels, f"{kind} {mode}", done, picture.bits)


@contextlib.contextmanager
def _listed(source: Source, data_dir: str | None) -> Iterator[Held]:
    with list_images(source, data_dir=data_dir, parted=True) as (builder, listing):
        names = tuple(listing.files)
        yield Held(
            source=source.text,
            what="labelled images",
            names=names,
            labels=tuple(listing.files.values()),
            ages=(),
            parts=tuple(listing.parts[name] for name in names) if listing.parts else (),
            groups=tuple(listing.groups[name] for name in names) if listing.groups else (),
            notes=listing.notes,
            ambiguous=builder.AMBIGUOUS,
            copies="kept, as published" if builder.KEEPS_COPIES else "left out",
            read=lambda row: _picture(
                listing.read(names[row]), listing.where(names[row]), listing.page
            ),
        )


@contextlib.contextmanager
def _rsna(source: Source) -> Iterator[Held]:
    from metabone.datasets.rsna import list_films

    with list_films(source.path) as (rows, files, members, told):
        names = tuple(files[row.id] for row in rows)
        months = tuple(row.bone_age_months for row in rows)
        yield Held(
            source=source.text,
            what="films of hands with bone ages",
            names=names,
            labels=_by_age(months),
            ages=months,
            parts=(),
            groups=tuple(row.patient for row in rows) if rows[0].patient else (),
            notes=told,
            ambiguous=0.0,
            copies=_TOGETHER,
            read=lambda row: _picture(members.read(names[row]), members.where(names[row])),
        )


@contextlib.contextmanager
def _hands(source: Source) -> Iterator[Held]:
    from metabone.datasets.hands import usable_labels
    from metabone.datasets.prepared_hands import read_prepared

    prepared = read_prepared(source.path)
    labels, left_out, renamed = usable_labels(prepared)
    if not labels:
        raise InputError(f"{source.path}: none of the labelled films can be used")
    patient_of = dict(zip(prepared.names, prepared.patients, strict=True))
    staged = labels[0].stage is not None
    months = () if staged else tuple(label.bone_age_months for label in labels)
    told = f"{left_out.total()} labelled films left out: {in_words(left_out)}"
    yield Held(
        source=source.text,
        what="prepared films of hands",
        names=tuple(label.id for label in labels),
        labels=tuple(f"stage {label.stage}" for label in labels) if staged else _by_age(months),
        ages=months,
        parts=(),
        groups=tuple(label.patient or patient_of[label.id] for label in labels),
        notes=(*renamed, *([told] if left_out else [])),
        ambiguous=0.0,
        copies=_TOGETHER,
        read=lambda row: Seen(prepared.read_film(labels[row].id), "PNG L"),
    )


@contextlib.contextmanager
def _chest(source: Source) -> Iterator[Held]:
    from metabone.datasets.chest import list_chest_films

    with list_chest_films(source.path) as (rows, files, _, told):
        yield Held(
            source=source.text,
            what="chest films with the ages of their patients, by sex",
            names=tuple(files[row.id].name for row in rows),
            labels=tuple(row.sex or "unknown" for row in rows),
            ages=tuple(row.months for row in rows),
            parts=(),
            groups=tuple(row.patient for row in rows),
            notes=told,
            ambiguous=MOST_UNMATCHED,
            copies=_TOGETHER,
            read=lambda row: _picture(files[rows[row].id].read(), files[rows[row].id].where()),
        )


def _by_age(months: tuple[float, ...]) -> tuple[str, ...]:
    names = month_names()
    return tuple(names[label] for label in stages_by_months(np.asarray(months, np.float32)))


def _own_films(place: str) -> Held:
    from metabone.datasets.film_bytes import film_of_bytes
    from metabone.datasets.own_films import read_labelled_films

    films = read_labelled_films(place)
    salt = os.urandom(32)

    def read(row: int) -> Seen:
        file = films.files[row]
        film = film_of_bytes(films.read_bytes(file), os.path.join(films.place, file), 3, salt)
        grey = reading.GREY_REPEATED in film.conversions
        done = tuple(note for note in film.conversions if note != reading.GREY_REPEATED)
        stored, bits = film.stored
        pixels = film.pixels[..., 0] if grey else film.pixels
        return Seen(pixels, f"{stored}, {bits} bits", done, group=film.group)

    return Held(
        source=place,
        what="labelled films",
        names=films.files,
        labels=films.labels,
        ages=(),
        parts=(),
        groups=films.groups or (),
        notes=films.notes,
        ambiguous=0.0,
        copies=_TOGETHER,
        read=read,
    )


def _simulated_films(source: Source) -> Held:
    films = load_films(source)
    return Held(
        source=source.text,
        what="simulated films of hands, seen by their first region",
        names=tuple(f"film {row}" for row in range(len(films.classes))),
        labels=tuple(films.class_names[label] for label in films.classes),
        ages=(),
        parts=(),
        groups=(),
        notes=(),
        ambiguous=0.0,
        copies=_TOGETHER,
        read=lambda row: Seen(films.regions[row, 0, ..., 0], "simulated"),
    )


def _in_memory(source: Source, data_dir: str | None) -> Held:
    images = open_images(source, size=64, channels=1, data_dir=data_dir)
    return Held(
        source=source.text,
        what=f"{images.provenance.kind} images, read at 64x64",
        names=tuple(f"image {row}" for row in range(len(images))),
        labels=tuple(images.class_names[label] for label in images.labels),
        ages=(),
        parts=(),
        groups=(),
        notes=(),
        ambiguous=0.0,
        copies=_TOGETHER,
        read=lambda row: Seen(images.read([row])[0, ..., 0], images.provenance.kind),
    )


def in_grey(pixels: np.ndarray) -> Image.Image:
    """`[H, W]` or `[H, W, 3]` uint8 as a grey Pillow image."""
    return Image.fromarray(pixels).convert("L")

"""Bone ages of films on disk: a table for programs and a page for people."""

import csv
import io
import os
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from metabone.datasets.film_bytes import OwnFilm
from metabone.datasets.hand_labels import sex_of_cell
from metabone.datasets.own_films import list_films
from metabone.errors import InputError
from metabone.report.age_predictions import AgePage, in_years, write_age_predictions
from metabone.workflows.age_evidence import age_map, moves_without_regions
from metabone.workflows.age_model import AgeModel, fingerprints_of_images
from metabone.workflows.age_sight import AgeSight
from metabone.workflows.model import REFUSED
from metabone.workflows.new_folder import check_new, new_folder
from metabone.workflows.prediction_files import MOST_SHOWN, PAGE, TABLE, safe_cell, small_film

NO_SEX = "Its sex is not known: it was read as of either sex."
LEARNED = "A film that the model was trained on: the answer says nothing about new ones."
_LOT = 8


class AgesRead(NamedTuple):
    """Films on disk and the bone ages that a model reads on them.

    Attributes:
      files: `n` names of those that were read.
      shown: the first `MOST_SHOWN` of them, `[H, W]` uint8, at most 512 a side.
      images: `[n, ...]` uint8, as the model saw them.
      sex: `[n]` `F`, `M` or empty.
      months: `[n]` float32.
      intervals: `[n, 2]` months, or None.
      warnings: why an answer should not be relied on, or what it was read without; empty where
        nothing is wrong.
      unreadable: name to reason of files that are no films.
      refused: name to reason of films that are no hands that can be read.
    """

    files: tuple[str, ...]
    shown: tuple[np.ndarray, ...]
    images: np.ndarray
    sex: np.ndarray
    months: np.ndarray
    intervals: np.ndarray | None
    warnings: tuple[str, ...]
    unreadable: dict[str, str]
    refused: dict[str, str]


def read_ages(model: AgeModel, films: str | os.PathLike, *, key_points: str = "") -> AgesRead:
    """Reads films on disk.

    Args:
      model: reads them.
      films: a folder, a zip, a table with a column `file`, and `sex` where known, or a single film.
      key_points: where the network that finds key points is, if not the package's.

    Returns:
      What it says.

    Raises:
      InputError: there are no films, or none is one; a sex that is none; the model was trained on
        films seen through other key points.
    """
    listed = list_films(films)
    told = [
        "" if listed.sex is None else sex_of_cell(listed.sex[row], f"{films}: {name}")
        for row, name in enumerate(listed.files)
    ]
    sight = AgeSight(model, key_points)
    unreadable: dict[str, str] = {}
    refused: dict[str, str] = {}
    files, sexes, shown, images, warnings = [], [], [], [], []

    def readable() -> Iterator[tuple[str, str, OwnFilm]]:
        for row, (film, reason) in enumerate(listed.read(1)):
            if film is None:
                unreadable[listed.files[row]] = reason
            else:
                yield listed.files[row], told[row] or film.sex, film

    found = readable()
    while lot := list(islice(found, _LOT)):
        seen = sight.see([film.pixels for _, _, film in lot])
        for (name, sex, _), hand in zip(lot, seen, strict=True):
            if hand.image is None:
                refused[name] = hand.refusal
                continue
            files.append(name)
            sexes.append(sex)
            images.append(hand.image)
            warnings.append(hand.warning)
            if len(shown) < MOST_SHOWN:
                shown.append(small_film(hand.shown))
    if not files and not refused:
        name, reason = next(iter(unreadable.items()))
        raise InputError(
            f"{films}: none of {len(listed.files)} files can be read; {name}: {reason}"
        )
    stacked = np.stack(images) if images else np.empty((0, *model.image_shape), np.uint8)
    sex = np.array(sexes, "U1")
    months = model.read_images(stacked, sex)
    for row, known in enumerate(fingerprints_of_images(stacked)):
        amiss = [LEARNED] * (known in model.learned)
        amiss += [NO_SEX] * (model.knows_sex and not sexes[row])
        warnings[row] = " ".join(filter(None, [*amiss, warnings[row]]))
    return AgesRead(
        tuple(files),
        tuple(shown),
        stacked,
        sex,
        months,
        model.intervals(months, sex),
        tuple(warnings),
        unreadable,
        refused,
    )


def write_age_files(
    model: AgeModel,
    films: str | os.PathLike,
    out: str | os.PathLike,
    *,
    maps: int = MOST_SHOWN,
    key_points: str = "",
) -> AgesRead:
    """Reads films on disk and writes `predictions.csv` and `predictions.html`.

    Args:
      model: reads them.
      films: see `read_ages`.
      out: is made.
      maps: how many films are shown with a map of where the answer comes from.
      key_points: see `read_ages`.

    Returns:
      What was read.

    Raises:
      InputError: `out` exists, there are no films, or none can be read.
    """
    check_new(out)
    read = read_ages(model, films, key_points=key_points)
    pages = _pages(model, read, maps)
    with new_folder(out) as folder:
        (folder / TABLE).write_text(table_of_ages(model, read), "utf-8", newline="")
        write_age_predictions(
            folder / PAGE,
            title=f"Bone age on {len(read.files)} films",
            films=pages,
            model=_told(model, read),
            level=None if model.widths is None else model.widths.level,
        )
    return read


def ages_in_words(model: AgeModel, read: AgesRead) -> list[str]:
    """What was found, in a few lines."""
    count = len(read.files)
    films = "1 film" if count == 1 else f"{count} films"
    lines = [f"{films} read."]
    if count:
        low, high = read.months.min(), read.months.max()
        lines[0] = f"{films} read: bone ages from {low:.0f} to {high:.0f} months."
    if model.widths is None:
        lines.append("No intervals: too few films were held out to say how far answers are off.")
    untold = int((read.sex == "").sum())
    if model.knows_sex and untold:
        lines.append(f"Of {untold} the sex is not known: they were read as of either sex.")
    if read.unreadable:
        lines.append(f"{len(read.unreadable)} could not be read: {', '.join(read.unreadable)}.")
    if read.refused:
        lines.append("Refused as no hands that can be read:")
        lines += [f"  {name}: {reason}" for name, reason in read.refused.items()]
    return [*lines, *model.about.values()]


def table_of_ages(model: AgeModel, read: AgesRead) -> str:
    """The table: file, months, low and high end of the interval, its level, sex, warning.

    It is ordered by file; cells that a spreadsheet would take for a formula begin with an
    apostrophe.
    """
    level = "" if model.widths is None else f"{model.widths.level:g}"
    rows: dict[str, list[str]] = {}
    for row, file in enumerate(read.files):
        ends = ("", "") if read.intervals is None else (f"{end:.1f}" for end in read.intervals[row])
        months = read.months[row]
        rows[file] = [
            *(f"{months:.1f}", in_years(months), *ends, level),
            *(str(read.sex[row]), read.warnings[row]),
        ]
    for file, reason in read.unreadable.items():
        rows[file] = [*[""] * 6, f"Could not be read: {reason}"]
    for file, reason in read.refused.items():
        rows[file] = [*[""] * 6, REFUSED.format(reason)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "months", "age", "low", "high", "level", "sex", "warning"])
    for file, cells in sorted(rows.items()):
        writer.writerow([safe_cell(cell) for cell in (file, *cells)])
    return text.getvalue()


def _pages(model: AgeModel, read: AgesRead, maps: int) -> list[AgePage]:
    full = min(maps, len(read.shown))
    regions = model.view == "regions"
    mapped = moved = None
    if full and regions:
        moved = moves_without_regions(model, read.images[:full], read.sex[:full])
    elif full:
        mapped = age_map(model, read.images[:full], read.sex[:full])
    return [
        AgePage(
            file=file,
            image=read.shown[row] if row < len(read.shown) else np.zeros((1, 1), np.uint8),
            months=float(read.months[row]),
            interval=None if read.intervals is None else tuple(read.intervals[row].tolist()),
            sex=str(read.sex[row]),
            warning=read.warnings[row],
            seen=None if mapped is None or row >= full else read.images[row, ..., 0],
            map=None if mapped is None or row >= full else mapped[row],
            moves={} if moved is None or row >= full else moved[row],
        )
        for row, file in enumerate(read.files)
    ]


def _told(model: AgeModel, read: AgesRead) -> dict[str, str]:
    told = dict(model.about)
    for head, reasons in (
        ("Could not be read", read.unreadable),
        ("Refused as no hands that can be read", read.refused),
    ):
        if reasons:
            told[head] = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) + "."
    return told

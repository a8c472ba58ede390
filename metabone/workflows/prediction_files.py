"""What a model says of films on disk: a table for programs and a page for people."""

import csv
import io
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets.film_bytes import OwnFilm
from metabone.datasets.own_films import list_films
from metabone.errors import InputError
from metabone.report.predictions import FilmPage, write_predictions
from metabone.workflows.film_evaluation import verdict_first
from metabone.workflows.model import REFUSED, Model, Predictions
from metabone.workflows.new_folder import check_new, new_folder

TABLE, PAGE = "predictions.csv", "predictions.html"
MOST_SHOWN = 100
"""Films that the page shows in full."""

_SHOWN_SIDE = 512
_NOT_SHOWN = np.zeros((1, 1), np.uint8)
_UNSAFE = ("=", "+", "-", "@", "\t", "\r")


class FilmsRead(NamedTuple):
    """Films on disk and what a model says of them.

    Attributes:
      files: `n` names of those that could be read.
      shown: the first `MOST_SHOWN` of them, `[H, W]` or `[H, W, 3]` uint8, at most 512 a side; of
        hands the canonical film.
      images: `[n, ...]` uint8, as the model read them.
      predictions: of these.
      unreadable: name to reason of files that are no films.
      refused: name to reason of films that are no hands that can be read.
    """

    files: tuple[str, ...]
    shown: tuple[np.ndarray, ...]
    images: np.ndarray
    predictions: Predictions
    unreadable: dict[str, str]
    refused: dict[str, str]


def predict_films(model: Model, films: str | os.PathLike) -> FilmsRead:
    """Reads films on disk.

    Args:
      model: reads them.
      films: a folder, a zip, a table or a single film, see `own_films.list_films`.

    Returns:
      What it says.

    Raises:
      InputError: there are no films, or none is one; the model's key points are others.
    """
    listed, view = list_films(films), model.view
    if model.hands is not None:
        model.hands.check()
    unreadable: dict[str, str] = {}
    names: list[str] = []

    def readable() -> Iterator[OwnFilm]:
        for row, (film, reason) in enumerate(listed.read(view.channels)):
            if film is None:
                unreadable[listed.files[row]] = reason
                continue
            names.append(listed.files[row])
            yield film if listed.sex is None else film._replace(sex=listed.sex[row] or film.sex)

    files: list[str] = []
    shown: list[np.ndarray] = []
    images: list[np.ndarray] = []
    refused: dict[str, str] = {}
    for row, seen in enumerate(view.see(readable())):
        if seen.image is None:
            refused[names[row]] = seen.refusal
            continue
        files.append(names[row])
        images.append(seen.image)
        if len(shown) < MOST_SHOWN:
            shown.append(small_film(seen.shown))
    if not names:
        name, reason = next(iter(unreadable.items()))
        raise InputError(
            f"{films}: none of {len(listed.files)} files can be read; {name}: {reason}"
        )
    stacked = np.stack(images) if images else np.empty((0, *model.image_shape), np.uint8)
    predictions = model.predict_read(stacked)
    return FilmsRead(tuple(files), tuple(shown), stacked, predictions, unreadable, refused)


def write_prediction_files(
    model: Model, films: str | os.PathLike, out: str | os.PathLike, *, maps: int = MOST_SHOWN
) -> FilmsRead:
    """Reads films on disk and writes `predictions.csv` and `predictions.html`.

    Args:
      model: reads them.
      films: a folder, a zip, a table or a single film.
      out: is made.
      maps: how many films are shown with an occlusion map, at most `MOST_SHOWN`.

    Returns:
      What was read.

    Raises:
      InputError: `out` exists, there are no films, or none can be read.
    """
    check_new(out)
    read = predict_films(model, films)
    pages = _pages(model, read, maps)
    with new_folder(out) as folder:
        (folder / TABLE).write_text(table_of(model, read), "utf-8", newline="")
        write_predictions(
            folder / PAGE,
            title=f"Predictions of {len(read.files)} films",
            classes=[str(name) for name in model.classes],
            films=pages,
            model=_told(model, read),
        )
    return read


def predictions_in_words(model: Model, read: FilmsRead) -> list[str]:
    """What was found, in a few lines."""
    answers, warnings = read.predictions.answers, read.predictions.warnings
    counts = ", ".join(f"{name} {(answers == name).sum()}" for name in model.classes)
    marked = sum(bool(warning) for warning in warnings)
    films = "1 film" if len(read.files) == 1 else f"{len(read.files)} films"
    lines = [f"{films} read: {counts}.", f"Marked as not to be relied on: {marked}."]
    if read.unreadable:
        lines.append(f"{len(read.unreadable)} could not be read: {', '.join(read.unreadable)}.")
    if read.refused:
        lines.append("Refused as no hands that can be read:")
        lines += [f"  {name}: {reason}" for name, reason in read.refused.items()]
    return [*lines, model.verdict]


def table_of(model: Model, read: FilmsRead) -> str:
    """The table: file, answer, one probability a class, set at 90 %, warning; ordered by file.

    Cells that a spreadsheet would take for a formula begin with an apostrophe.
    """
    rows: dict[str, list[str]] = {}
    found = read.predictions
    for row, file in enumerate(read.files):
        rows[file] = [
            str(found.answers[row]),
            *(f"{share:.6f}" for share in found.probabilities[row]),
            " | ".join(map(str, found.conformal[row])),
            found.warnings[row],
        ]
    blank = [""] * (len(model.classes) + 2)
    for file, reason in read.unreadable.items():
        rows[file] = [*blank, f"Could not be read: {reason}"]
    for file, reason in read.refused.items():
        rows[file] = [*blank, REFUSED.format(reason)]
    names = [f"p({name})" for name in model.classes]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "answer", *names, "set at 90 %", "warning"])
    for file, cells in sorted(rows.items()):
        writer.writerow([safe_cell(cell) for cell in (file, *cells)])
    return text.getvalue()


def _pages(model: Model, read: FilmsRead, maps: int) -> list[FilmPage]:
    found, known = read.predictions, model.films
    drops: list[dict[str, float]] = [{} for _ in read.files]
    if model.hands is not None and found.drops is not None:
        regions = [region.name for region in model.hands.regions]
        drops = [dict(zip(regions, row, strict=True)) for row in found.drops.tolist()]
    pages = []
    for row, file in enumerate(read.files):
        # The page shows no more than the first; the others are in its table alone.
        full = row < len(read.shown)
        image = read.shown[row] if full else _NOT_SHOWN
        nearest = [
            (
                _flat(known.thumbnails[place]),
                str(model.classes[known.labels[place]]),
                known.files[place],
            )
            for place in found.nearest[row]
        ]
        size = (image.shape[1], image.shape[0])
        pages.append(
            FilmPage(
                file=file,
                image=image,
                answer=str(found.answers[row]),
                probabilities=found.probabilities[row].tolist(),
                conformal=[str(name) for name in found.conformal[row]],
                warning=found.warnings[row],
                nearest=nearest if full else (),
                occlusion=model.explain_read(read.images[row], size)
                if full and row < maps and model.hands is None
                else None,
                drops=drops[row] if full else {},
            )
        )
    return pages


def _told(model: Model, read: FilmsRead) -> dict[str, str]:
    told = verdict_first(model.summary())
    for head, reasons in (
        ("Could not be read", read.unreadable),
        ("Refused as no hands that can be read", read.refused),
    ):
        if reasons:
            told[head] = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) + "."
    return told


def small_film(film: np.ndarray) -> np.ndarray:
    """A film as pages show it: at most 512 pixels a side."""
    image = Image.fromarray(film)
    image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def safe_cell(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_UNSAFE) else cell


def _flat(image: np.ndarray) -> np.ndarray:
    return image[..., 0] if image.shape[-1] == 1 else image

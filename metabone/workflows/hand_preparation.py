"""Raw hand films to prepared ones: canonical, with key points, refused where they show none."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import metabone
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.hand_labels import labels_text
from metabone.datasets.prepared_hands import (
    ABOUT,
    COPY,
    COPY_OF,
    FILMS,
    FORMAT,
    LABELS,
    PICTURES,
    POINTS_TABLE,
    REFUSED,
    UNREADABLE,
    FilmRow,
    PreparedHands,
    films_text,
    in_words,
    kind_of,
    points_text,
    read_about,
    read_prepared,
)
from metabone.datasets.progress import progress
from metabone.datasets.raw_hands import RawHands, open_raw_hands
from metabone.datasets.source import parse_source, refuse_embeddings
from metabone.errors import InputError
from metabone.radiograph.region_sets import Region, region_set
from metabone.training.json_files import (
    differences,
    plain,
    read_json,
    write_json_atomically,
    write_text_atomically,
)
from metabone.workflows.canonical_hands import METHOD
from metabone.workflows.hand_files import PreparedFile, prepare_files
from metabone.workflows.hand_regions import weights_sha256
from metabone.workflows.hand_sheet import SHEET, draw_sheet
from metabone.workflows.key_points import PointNet
from metabone.workflows.new_folder import check_new
from metabone.workflows.point_net_files import point_net_of

_UNFINISHED = "unfinished"
_SAME = ("source", "regions", "key_points")
_CHUNK = 8


def prepare_hands(
    films: str | os.PathLike,
    out: str | os.PathLike,
    *,
    key_points: str | os.PathLike = "",
    regions: str = "min_kang_6",
    keep_names: bool = False,
) -> PreparedHands:
    """Prepares hand films: reads, turns and crops them, finds their key points, refuses some.

    Killed at any moment, the same call goes on and ends in the same bytes. Where all is prepared it
    takes corrections of `points.csv` in and draws the contact sheet anew.

    Args:
      films: DICOM, PNG, JPEG or TIFF files at any depth of a folder or zip; or a folder of
        `labels.csv` (see `hand_labels.read_hand_labels`) and `<id>.jpg` or alike in `images.zip`,
        in `images/` or beside it.
      out: is made; for what lies there see `datasets.prepared_hands`.
      key_points: run or file of the weights that find key points, see `point_net_of`.
      regions: which must be seen on a film, of `region_sets.REGION_SETS`.
      keep_names: whether films are called by their files, whose names may name patients; else by
        their id in `labels.csv`, or by the first digits of the SHA-256 of their files.

    Returns:
      What was prepared.

    Raises:
      InputError: there are no films, labels do not fit them, or `out` holds something else.
    """
    chosen = region_set(regions)
    source, place = Path(films).expanduser(), Path(out).expanduser()
    _check_place(place, source)
    net = point_net_of(key_points)
    with open_raw_hands(source, keep_names=keep_names) as raw:
        about = plain(
            {
                "format": FORMAT,
                "metabone": metabone.__version__,
                "method": METHOD,
                "source": raw.fingerprint,
                "files": len(raw.files),
                "regions": regions,
                "key_points": {"name": _name_of(key_points), "sha256": weights_sha256(net)},
                **raw.stated._asdict(),
            }
        )
        try:
            with _only_writer(place):
                if (place / ABOUT).exists():
                    # Another version of metabone may still take corrections in.
                    found = read_about(place)
                    _check_same(
                        place, *({key: of.get(key) for key in _SAME} for of in (found, about))
                    )
                else:
                    _prepare(net, raw, chosen, place, about)
                _tidy(place)
                prepared = read_prepared(place)
                draw_sheet(prepared)
        except OSError as error:
            raise InputError(f"{place}: cannot be written ({error.strerror or error})") from None
    return prepared


def prepared_source(
    source: str,
    data_dir: str | os.PathLike | None = None,
    key_points: str | os.PathLike = "",
    regions: str = "min_kang_6",
) -> Path:
    """The prepared hands of a source of films, which are prepared once and kept.

    Args:
      source: `rsna:DIR`, or `hands:DIR`, which is prepared already.
      data_dir: where they are kept, below `hands/`, see `data_dir.resolve_data_dir`.
      key_points: as of `prepare_hands`.
      regions: as of `prepare_hands`.

    Returns:
      The folder, for `hands:DIR`.

    Raises:
      InputError: as `prepare_hands`, or it is another source.
    """
    parsed = parse_source(source)
    refuse_embeddings(parsed)
    if parsed.kind == "hands":
        return parsed.path
    if parsed.kind != "rsna":
        raise InputError(f"source '{source}': expected rsna:DIR or hands:DIR")
    if not (parsed.path / LABELS).is_file():
        raise InputError(f"{parsed.path / LABELS}: no such file; expected id, bone_age_months, sex")
    with open_raw_hands(parsed.path) as raw:
        parts = (FORMAT, METHOD, metabone.__version__, raw.fingerprint, regions)
        key = hashlib.sha256(
            repr((*parts, weights_sha256(point_net_of(key_points)))).encode()
        ).hexdigest()
    place = resolve_data_dir(data_dir) / "hands" / key[:20]
    if not (place / ABOUT).is_file():
        prepare_hands(parsed.path, place, key_points=key_points, regions=regions)
    return place


def hands_in_words(prepared: PreparedHands) -> list[str]:
    """What was prepared, in a few lines."""
    corrected = int(prepared.corrected.sum())
    lines = [f"{len(prepared.rows)} files: {int(prepared.usable.sum())} usable films."]
    if corrected:
        lines.append(f"Points corrected by hand: {corrected} films.")
    for status, what in ((REFUSED, "Refused"), (COPY, "Copies"), (UNREADABLE, "Unreadable")):
        reasons = [
            prepared.refusals[row.name]
            for row in prepared.rows
            if row.status == status and row.name in prepared.refusals
        ]
        if reasons:
            lines.append(f"{what}: {in_words(Counter(map(kind_of, reasons)))}.")
    return [*lines, f"to look at: {prepared.path / SHEET}"]


def _name_of(key_points: str | os.PathLike) -> str:
    given = os.fspath(key_points)
    return Path(given).expanduser().absolute().name if given else "the weights of metabone"


def _check_place(place: Path, source: Path) -> None:
    if source.is_dir() and place.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{place}: lies within the films, {source}; name a folder elsewhere")
    if not place.exists():
        check_new(place)
        return
    if not place.is_dir() or place.is_symlink():
        raise InputError(f"{place}: not a folder")
    if os.listdir(place) and not any((place / name).exists() for name in (ABOUT, _UNFINISHED)):
        raise InputError(f"{place}: exists already and holds no prepared hands; name a new folder")


def _check_same(place: Path, found: Any, about: dict[str, Any]) -> None:
    differ = differences(found, about)
    if differ:
        raise InputError(f"{place}: was prepared otherwise ({differ}); name a new folder")


@contextlib.contextmanager
def _only_writer(place: Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    # Of the folder itself; the system gives the lock back when its holder dies, however it dies.
    held = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _tidy(place: Path) -> None:
    """Removes what only an unfinished folder has, and what a killed process left of a write."""
    shutil.rmtree(place / _UNFINISHED, ignore_errors=True)
    for left_over in place.glob(".*.partial"):
        left_over.unlink()


def _prepare(
    net: PointNet, raw: RawHands, regions: tuple[Region, ...], place: Path, about: dict[str, Any]
) -> None:
    unfinished = place / _UNFINISHED
    unfinished.mkdir(exist_ok=True)
    (place / PICTURES).mkdir(exist_ok=True)
    if (unfinished / ABOUT).exists():
        _check_same(place, read_json(unfinished / ABOUT), about)
    else:
        write_json_atomically(unfinished / ABOUT, about)
    chunks = [range(n, min(n + _CHUNK, len(raw.files))) for n in range(0, len(raw.files), _CHUNK)]
    chunk_file = {chunk: unfinished / f"{chunk.start:06}.json" for chunk in chunks}
    left = [chunk for chunk in chunks if not chunk_file[chunk].exists()]
    with progress(None, "preparing films", sum(map(len, left))) as shown:
        for chunk in left:
            # Its films are whole on disk before the chunk counts as done.
            files = prepare_files(net, raw, chunk, regions)
            for file in files:
                if file.film is not None:
                    _write_picture(place, file.row["name"], file.film)
            write_json_atomically(chunk_file[chunk], [file._replace(film=None) for file in files])
            shown.update(len(chunk))
    seen = [PreparedFile(*each) for chunk in chunks for each in read_json(chunk_file[chunk])]
    rows = _rows(seen)
    with_points = [n for n, row in enumerate(rows) if row.status != UNREADABLE]
    write_text_atomically(place / FILMS, films_text(rows))
    write_text_atomically(
        place / POINTS_TABLE,
        points_text(
            [rows[n].name for n in with_points],
            [np.array(seen[n].points) for n in with_points],
            [np.array(seen[n].uncertainty) for n in with_points],
        ),
    )
    if raw.labels is not None:
        write_text_atomically(place / LABELS, labels_text(raw.labels))
    write_json_atomically(place / ABOUT, about)


def _rows(seen: Sequence[PreparedFile]) -> list[FilmRow]:
    """All rows, copies marked and patients numbered in order of appearance."""
    first: dict[str, str] = {}
    number: dict[str, int] = {}
    rows = []
    for each in seen:
        row = FilmRow(**each.row)
        if each.group:
            patient = number.setdefault(each.group, len(number) + 1)
            row = dataclasses.replace(row, patient=str(patient))
        if each.pixels:
            original = first.setdefault(each.pixels, row.name)
            if original != row.name:
                row = dataclasses.replace(row, status=COPY, reason=f"{COPY_OF}{original}")
        rows.append(row)
    return rows


def _write_picture(place: Path, name: str, film: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "PNG")
    beside = place / _UNFINISHED / "film.part"
    with open(beside, "wb") as file:
        file.write(stream.getvalue())
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, place / PICTURES / f"{name}.png")

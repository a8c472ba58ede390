"""Raw hand films to prepared ones: canonical, with key points, refused where they show none."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import metabone
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.prepared_hands import (
    ABOUT,
    COPY,
    FILMS,
    FORMAT,
    LABELS,
    PICTURES,
    POINTS_TABLE,
    REFUSED,
    UNREADABLE,
    USABLE,
    FilmRow,
    PreparedHands,
    films_text,
    points_text,
    read_about,
    read_prepared,
)
from metabone.datasets.progress import progress
from metabone.datasets.raw_hands import RawHands, open_raw_hands
from metabone.datasets.source import parse_source
from metabone.errors import InputError
from metabone.imaging.film import Film, to_eight_bits
from metabone.imaging.reading import read_film
from metabone.radiograph.region_sets import Region, region_set
from metabone.training.json_files import (
    differences,
    plain,
    read_json,
    write_json_atomically,
    write_text_atomically,
)
from metabone.workflows.canonical_hands import CanonicalHand, canonical_hands
from metabone.workflows.hand_regions import weights_sha256
from metabone.workflows.hand_sheet import SHEET, draw_sheet
from metabone.workflows.key_points import PointNet
from metabone.workflows.new_folder import check_new
from metabone.workflows.point_net_files import point_net_of

_UNFINISHED = "unfinished"
_CHUNK = 8
_LEAST_PIXELS = 32
# Longest side of a canonical film: a growth plate's region then still has twice its 64 pixels.
_LONGEST = 2048


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
        `labels.csv` (id, bone_age_months, sex) and `<id>.jpg` or alike in `images.zip`, `images/`
        or beside it.
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
                    _check_same(place, read_about(place), about)
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
    if parsed.kind == "hands":
        return parsed.path
    if parsed.kind != "rsna":
        raise InputError(f"source '{source}': expected rsna:DIR or hands:DIR")
    if not (parsed.path / LABELS).is_file():
        raise InputError(f"{parsed.path / LABELS}: no such file; expected id, bone_age_months, sex")
    with open_raw_hands(parsed.path) as raw:
        parts = (FORMAT, metabone.__version__, raw.fingerprint, regions)
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
        names = [
            row.name
            for row in prepared.rows
            if row.status == status and row.name in prepared.refusals
        ]
        if names:
            first = f"{names[0]} ({prepared.refusals[names[0]]})"
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            lines.append(f"{what}: {len(names)}: {first}{more}.")
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


class _Seen(NamedTuple):
    """A file that was looked at; what a chunk's JSON holds."""

    row: dict[str, str]
    pixels: str
    group: str
    points: list[list[float]]
    uncertainty: list[float]


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
            write_json_atomically(chunk_file[chunk], _seen(net, raw, chunk, regions, place))
            shown.update(len(chunk))
    seen = [_Seen(*each) for chunk in chunks for each in read_json(chunk_file[chunk])]
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
        lines = [f"{row.id},{row.bone_age_months:g},{row.sex}\n" for row in raw.labels]
        write_text_atomically(place / LABELS, "".join(["id,bone_age_months,sex\n", *lines]))
    write_json_atomically(place / ABOUT, about)


def _rows(seen: Sequence[_Seen]) -> list[FilmRow]:
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
                reason = f"a copy: the same pixels as {original}"
                row = dataclasses.replace(row, status=COPY, reason=reason)
        rows.append(row)
    return rows


def _seen(
    net: PointNet, raw: RawHands, chunk: range, regions: tuple[Region, ...], place: Path
) -> list[_Seen]:
    """Prepares a few files and writes their films."""
    read = {number: _read(raw, number) for number in chunk}
    films = {number: film for number, film in read.items() if isinstance(film, Film)}
    pixels = {number: to_eight_bits(film.pixels) for number, film in films.items()}
    hands = canonical_hands(net, list(pixels.values()), regions)
    hand_of = dict(zip(pixels, hands, strict=True))
    seen = []
    for number in chunk:
        row = FilmRow(raw.names[number], raw.shown[number])
        if number not in films:
            row = dataclasses.replace(row, reason=read[number])
            seen.append(_Seen(dataclasses.asdict(row), "", "", [], []))
            continue
        film, hand = films[number], hand_of[number]
        picture, points = _not_too_large(hand)
        _write_picture(place, row.name, picture)
        row = dataclasses.replace(row, **_known(film, hand, picture.shape))
        digest = hashlib.sha256(f"{film.pixels.shape}".encode() + pixels[number].tobytes())
        seen.append(
            _Seen(
                dataclasses.asdict(row),
                digest.hexdigest(),
                film.group or "",
                points.tolist(),
                hand.uncertainty.tolist(),
            )
        )
    return seen


def _read(raw: RawHands, number: int) -> Film | str:
    """The film of a file, or why it is none, without the file's name."""
    try:
        data = raw.read(raw.files[number])
    except InputError:
        return "cannot be read from where it lies, or is damaged there"
    try:
        # Patients are told apart among these films alone: the salt is a hash of all of them.
        film = read_film(data, "film", salt=bytes.fromhex(raw.fingerprint))
    except InputError as error:
        return str(error).removeprefix("film: ")
    height, width = film.pixels.shape
    if min(height, width) < _LEAST_PIXELS:
        return f"{width} x {height} pixels; expected at least {_LEAST_PIXELS} a side"
    return film


def _not_too_large(hand: CanonicalHand) -> tuple[np.ndarray, np.ndarray]:
    """The canonical film and its points, smaller where its longer side is above the limit."""
    longest = max(hand.film.shape)
    if longest <= _LONGEST:
        return hand.film, hand.points
    height, width = (max(1, round(side * _LONGEST / longest)) for side in hand.film.shape)
    small = Image.fromarray(hand.film).resize((width, height), Image.Resampling.LANCZOS)
    scale = np.array([width, height]) / hand.film.shape[::-1]
    return np.asarray(small), ((hand.points + 0.5) * scale - 0.5).astype(np.float32)


def _known(film: Film, hand: CanonicalHand, size: tuple[int, int]) -> dict[str, str]:
    """The columns of a film that was read."""
    left, top, right, bottom = hand.box
    spacing = film.spacing[:: -1 if hand.turn.quarters % 2 else 1] if film.spacing else None
    warnings = list(film.warnings)
    if film.laterality and (film.laterality == "R") != hand.turn.mirrored:
        warnings.append(f"the file says {film.laterality}, but the hand lies as the other one does")
    return {
        "status": REFUSED if hand.refusal else USABLE,
        "reason": hand.refusal or "",
        "quarters": str(hand.turn.quarters),
        "mirrored": "yes" if hand.turn.mirrored else "no",
        "inverted": "yes" if hand.turn.inverted else "no",
        "border": " ".join(map(str, hand.border)),
        "shown": " ".join(map(str, hand.box)),
        "width": str(size[1]),
        "height": str(size[0]),
        "laterality": film.laterality or "",
        "view": film.view or "",
        "sex": film.sex or "",
        "age_months": "" if film.age_months is None else str(film.age_months),
        "row_mm": f"{spacing[0] * (bottom - top) / size[0]:.4g}" if spacing else "",
        "column_mm": f"{spacing[1] * (right - left) / size[1]:.4g}" if spacing else "",
        "warnings": "; ".join(warnings),
    }


def _write_picture(place: Path, name: str, film: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "PNG")
    beside = place / _UNFINISHED / "film.part"
    with open(beside, "wb") as file:
        file.write(stream.getvalue())
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, place / PICTURES / f"{name}.png")

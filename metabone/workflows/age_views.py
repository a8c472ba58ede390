"""Films with ages as a regressor looks at them: squashed, aligned, or cut along the bones."""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import metabone
from metabone.datasets import reading, rsna
from metabone.datasets.aged_files import load_aged_films, save_aged_films
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.hands import load as load_hands
from metabone.datasets.hands import usable_labels
from metabone.datasets.prepared_hands import LABELS, read_prepared
from metabone.datasets.progress import progress
from metabone.datasets.source import Source, parse_source
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.film_sets import simulate_hands
from metabone.radiograph.films import FilmSet
from metabone.radiograph.region_sets import region_set
from metabone.workflows.aligned_films import METHOD, AlignedFilms, align_films
from metabone.workflows.hand_preparation import prepared_source
from metabone.workflows.hand_regions import weights_sha256
from metabone.workflows.point_net_files import point_net_of

VIEWS = {
    "squashed": ("rsna", "simulated", "chest"),
    "aligned": ("rsna", "simulated"),
    "regions": ("rsna", "hands", "simulated"),
}
"""Kinds of sources that each view can be had of."""

REGION_SIZE = 64
"""Side of a region in pixels, that of the templates which regions are registered to."""

_SEXES = np.array(["F", "M"])
# Labels that are stages are not asked for here: all of them count.
_ANY_STAGE = ((1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11))


def load_aged(
    source: str | Source,
    *,
    view: str,
    size: int,
    regions: str = "hand_11",
    key_points: str = "",
    data_dir: str | None = None,
    seed: int = 0,
    hands: int = 1000,
    ages: tuple[float, float] = (0, 100),
) -> AgedFilms:
    """Loads films with ages in months.

    What takes long is kept below `ages/` of the data folder, by content of the source, size,
    weights and method: the next call reads it.

    Args:
      source: `rsna:DIR`, `hands:DIR`, `simulated:hands` or `chest:DIR`.
      view: "squashed", the whole film resized to a square; "aligned", moved onto a template of a
        hand by its key points, see `aligned_films.align_films`, and squashed where that fails, so
        that both views hold the same films; "regions", cut along the bones, which leaves films
        out that are refused, see `datasets.hands.load`. `VIEWS` says of which sources.
      size: height and width of a whole film; a region has 64 pixels whatever is said here.
      regions: of `radiograph.region_sets.REGION_SETS`.
      key_points: run or file of the weights that find key points, see `point_net_of`.
      data_dir: where prepared films lie, see `data_dir.resolve_data_dir`.
      seed: of a simulation.
      hands: films of `simulated:hands`.
      ages: years of the patients of `chest:DIR` that are kept, from and to.

    Returns:
      The films, in the order of `labels.csv`.

    Raises:
      InputError: the view is unknown or cannot be had of the source, or this cannot be read.
    """
    if view not in VIEWS:
        raise InputError(f"view {view!r}: expected one of {', '.join(VIEWS)}")
    source = parse_source(source) if isinstance(source, str) else source
    if source.kind not in VIEWS[view] or (source.kind == "simulated" and source.name != "hands"):
        kinds = ", ".join(
            "simulated:hands" if kind == "simulated" else f"{kind}:DIR" for kind in VIEWS[view]
        )
        raise InputError(f"source '{source}' has no view {view!r}; expected {kinds}")
    reading.check_size(size)
    if source.kind == "chest":
        from metabone.datasets.chest import load_chest

        return load_chest(source.path, source=source.text, size=size, ages=ages)
    folder = resolve_data_dir(data_dir) / "ages"
    if source.kind == "simulated":
        return _simulated(source, view, size, regions, key_points, folder, seed, hands)
    if view == "regions":
        return _regions(source, regions, key_points, data_dir)
    squashed = _squashed(source, size, data_dir, folder)
    if view == "squashed":
        return squashed
    net = point_net_of(key_points)

    def align() -> AgedFilms:
        films = rsna.whole_films(source.path, data_dir=data_dir).films
        films = progress(films, "aligning films", len(squashed))
        return _with_aligned(squashed, align_films(net, films, size), key_points)

    parts = ("aligned", METHOD, squashed.provenance.sha256, weights_sha256(net), size)
    return _kept(folder, (*parts, _fingerprint(source)), source, align)


def _squashed(source: Source, size: int, data_dir: str | None, folder: Path) -> AgedFilms:
    def read() -> AgedFilms:
        films = rsna.load(source.path, source=source.text, size=size, data_dir=data_dir, examples=0)
        ids = rsna.whole_films(source.path, data_dir=data_dir).ids
        return _aged(films, films.regions[:, 0], ids, films.provenance)

    return _kept(folder, ("squashed", size, _fingerprint(source)), source, read)


def _regions(source: Source, regions: str, key_points: str, data_dir: str | None) -> AgedFilms:
    region_set(regions)
    place = prepared_source(source.text, data_dir, key_points, regions)
    films = load_hands(
        place,
        source=source.text,
        regions=regions,
        size=REGION_SIZE,
        merge=_ANY_STAGE,
        examples=0,
    )
    if films.bone_age_months is None:
        raise InputError(f"{place / LABELS}: no bone_age_months; expected id, bone_age_months, sex")
    labels, _, _ = usable_labels(read_prepared(place))
    return _aged(films, films.regions, [label.id for label in labels], films.provenance)


def _simulated(
    source: Source,
    view: str,
    size: int,
    regions: str,
    key_points: str,
    folder: Path,
    seed: int,
    hands: int,
) -> AgedFilms:
    if hands < 1:
        raise InputError(f"hands (={hands}): expected at least 1")
    chosen = region_set(regions) if view == "regions" else ()
    net = point_net_of(key_points) if view == "aligned" else None

    def render() -> AgedFilms:
        with progress(None, "rendering hands", hands) as shown:
            films = simulate_hands(
                seed,
                hands,
                regions=chosen or region_set("wrist"),
                keep=() if chosen else range(hands),
                progress=lambda done, _: shown.update(done - shown.n),
            )
        images = films.regions[..., None]
        if not chosen:
            images = np.stack([reading.resize(Image.fromarray(film), size) for film in films.films])
        names = np.char.mod("hand %d", np.arange(hands))
        aged = AgedFilms(
            images=images,
            months=films.bone_ages_months,
            sex=_SEXES[films.sexes],
            patients=names,
            ids=names,
            provenance=Provenance(
                source=source.text,
                kind="simulated",
                sha256=content_sha256(images, films.bone_ages_months),
                count=hands,
                citation="rendered by metabone",
                licence="Apache-2.0, as metabone",
                conversions=(f"seed {seed}",),
            ),
        )
        if net is None:
            return aged
        return _with_aligned(aged, align_films(net, films.films, size), key_points)

    parts = ("simulated", metabone.__version__, seed, hands)
    parts += (view, size, METHOD, weights_sha256(net)) if net else (view, chosen or size)
    return _kept(folder, parts, source, render)


def _aged(
    films: FilmSet, images: np.ndarray, ids: Sequence[str], provenance: Provenance
) -> AgedFilms:
    sex = np.full(len(films), "") if films.sex is None else np.asarray(films.sex)
    return AgedFilms(
        images=images,
        months=np.asarray(films.bone_age_months, np.float32),
        sex=sex,
        patients=np.asarray(films.patients).astype(str),
        ids=np.asarray(ids),
        provenance=provenance,
        looks=films.looks,
    )


def _with_aligned(squashed: AgedFilms, found: AlignedFilms, key_points: str) -> AgedFilms:
    """The same films, aligned, and how many were not."""
    left = int((~found.aligned).sum())
    images = np.where(found.aligned[:, None, None, None], found.images[..., None], squashed.images)
    counts = (
        (left, "could not be aligned and are squashed as they are"),
        (int(found.mirrored.sum()), "mirrored to left hands"),
        (int(found.inverted.sum()), "inverted, so that bones are bright"),
    )
    total = len(squashed)
    notes = tuple(f"{count} of {total} films {what}" for count, what in counts if count)
    origin = squashed.provenance
    origin = dataclasses.replace(
        origin,
        sha256=content_sha256(images, squashed.months),
        conversions=(
            *origin.conversions,
            f"moved onto a template by key points of {key_points or 'the weights of metabone'}",
            *notes,
        ),
    )
    return dataclasses.replace(squashed, images=images, provenance=origin)


def _fingerprint(source: Source) -> str:
    """Hashes labels and files of hand films, none of which is decoded."""
    with rsna.list_films(source.path) as (rows, _, members, told):
        return _key(rows, told, members.fingerprint())


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _kept(folder: Path, parts: tuple, source: Source, make: Callable[[], AgedFilms]) -> AgedFilms:
    """What was kept under such parts; else it is made and kept. It tells what was done to films."""
    place = folder / f"{_key(*parts)[:20]}.npz"
    if place.is_file():
        films = load_aged_films(place)
        films = dataclasses.replace(
            films, provenance=dataclasses.replace(films.provenance, source=source.text)
        )
    else:
        films = make()
        folder.mkdir(parents=True, exist_ok=True)
        save_aged_films(films, place)
    for note in films.provenance.conversions:
        if "could not be aligned" in note:
            print(f"{source}: {note}", file=sys.stderr)
    return films

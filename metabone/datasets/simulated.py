"""Simulated films and bone patches, rendered in memory from a seed."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.images import ImageSet
from metabone.datasets.progress import progress
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.bones import CLASSES as BONE_CLASSES
from metabone.radiograph.bones import bone_patches
from metabone.radiograph.film_sets import (
    SimulatedFilms,
    simulate_hands,
    simulate_smi,
    smi_stages,
)
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.region_sets import REGION_SETS, Region, region_boxes, region_set
from metabone.radiograph.regions import REGION_NAMES, REGION_SIZE
from metabone.radiograph.stages import (
    MERGE_SMI,
    MONTH_CUTS,
    MergeTable,
    check_cuts,
    merge_names,
    merge_stages,
    month_names,
    stages_by_months,
)

_LICENCE = "Apache-2.0, as metabone"
_SEXES = np.asarray(["F", "M"])


def load_smi(
    *,
    source: str = "simulated:smi",
    size: int = REGION_SIZE,
    merge: MergeTable = MERGE_SMI,
    seed: int = 0,
    examples: int = 12,
) -> FilmSet:
    """Renders 865 films with six regions each and their stages.

    Args:
      source: The source string as given, for the record.
      size: Height and width of a region.
      merge: Stages of each class; films of other stages are left out.
      seed: Of the simulation.
      examples: Number of whole films to keep, spread over the classes.

    Returns:
      The films, ordered by stage. A patient has one film.

    Raises:
      InputError: `size` or `merge` is refused.
    """
    reading.check_size(size)
    classes = merge_stages(smi_stages(), merge)
    (used,) = np.nonzero(classes >= 0)
    chosen = spread_over_classes(classes[used], examples)
    with progress(None, "rendering films", len(classes)) as shown:
        films = simulate_smi(
            seed,
            keep=used[chosen].tolist(),
            progress=lambda done, _: shown.update(done - shown.n),
        )
    regions = _resized(films.regions[used][..., None], size)
    stages = films.stages[used]
    left_out = len(classes) - len(used)
    notes = (f"{left_out} films of stages in no class left out",) if left_out else ()
    return FilmSet(
        regions=regions,
        classes=classes[used],
        class_names=merge_names(merge),
        patients=used.astype(np.int64),
        region_names=tuple(REGION_NAMES),
        **_examples(films, used[chosen], REGION_SETS["min_kang_6"]),
        example_index=chosen,
        provenance=Provenance(
            source=source,
            kind="simulated",
            sha256=content_sha256(regions, stages),
            count=len(used),
            citation="rendered by metabone with the stage counts of Min and Kang 2018, Table 1",
            licence=_LICENCE,
            conversions=(f"seed {seed}", *notes, *_resize_notes(size)),
        ),
        stages=stages,
        bone_age_months=films.bone_ages_months[used],
        sex=_SEXES[films.sexes[used]],
    )


def load_hands(
    *,
    source: str = "simulated:hands",
    size: int = REGION_SIZE,
    cuts: Sequence[float] = MONTH_CUTS,
    regions: str = "min_kang_6",
    count: int = 1000,
    seed: int = 0,
    examples: int = 12,
) -> FilmSet:
    """Renders hands of varied shape and of any bone age from about three years on.

    Args:
      source: The source string as given, for the record.
      size: Height and width of a region.
      cuts: Bone ages in months at which a new class begins.
      regions: Of `radiograph.region_sets.REGION_SETS`.
      count: How many films.
      seed: Of the simulation.
      examples: Number of whole films to keep, spread over their order.

    Returns:
      The films. A patient has one film.

    Raises:
      InputError: `size`, `cuts` or `regions` is refused.
    """
    reading.check_size(size)
    check_cuts(cuts)
    chosen_regions = region_set(regions)
    shown_films = np.linspace(0, count - 1, min(examples, count)).astype(np.int32)
    with progress(None, "rendering hands", count) as shown:
        films = simulate_hands(
            seed,
            count,
            regions=chosen_regions,
            keep=shown_films.tolist(),
            progress=lambda done, _: shown.update(done - shown.n),
        )
    images = _resized(films.regions[..., None], size)
    months = films.bone_ages_months
    return FilmSet(
        regions=images,
        classes=stages_by_months(months, cuts),
        class_names=month_names(cuts),
        patients=np.arange(count),
        region_names=tuple(region.name for region in chosen_regions),
        **_examples(films, shown_films, chosen_regions),
        example_index=shown_films,
        provenance=Provenance(
            source=source,
            kind="simulated",
            sha256=content_sha256(images, months),
            count=count,
            citation="rendered by metabone",
            licence=_LICENCE,
            conversions=(f"seed {seed}", *_resize_notes(size)),
        ),
        stages=films.stages,
        bone_age_months=months,
        sex=_SEXES[films.sexes],
    )


def _examples(
    films: SimulatedFilms, chosen: np.ndarray, regions: tuple[Region, ...]
) -> dict[str, np.ndarray]:
    """Whole films, kept in order of place, and the boxes of their regions."""
    order = np.searchsorted(films.kept, chosen)
    whole = films.films[order]
    boxes = [region_boxes(films.key_points[film], regions, whole.shape[1:]) for film in chosen]
    shape = (len(chosen), len(regions), 4)
    return {"examples": whole, "example_boxes": np.array(boxes, np.int32).reshape(shape)}


def load_bones(
    *,
    source: str = "simulated:bones",
    size: int = REGION_SIZE,
    channels: int = 1,
    seed: int = 0,
    classes: int = BONE_CLASSES,
    images_per_class: int = 20,
) -> ImageSet:
    """Renders patches of bone joints, each class a shape and texture of its own.

    Args:
      source: The source string as given, for the record.
      size: Height and width.
      channels: 1 or 3.
      seed: Of the simulation.
      classes: How many classes, the first of the 300.
      images_per_class: Images of each.

    Returns:
      The images, ordered by class.

    Raises:
      InputError: `size`, `classes` or `images_per_class` is out of range.
    """
    reading.check_size(size)
    if not 2 <= classes <= BONE_CLASSES:
        raise InputError(f"{source}: classes {classes} is not in 2..{BONE_CLASSES}")
    if images_per_class < 1:
        raise InputError(f"{source}: images_per_class {images_per_class} is not positive")
    with progress(None, "rendering bones", classes) as shown:
        patches = bone_patches(
            seed,
            np.arange(classes),
            images_per_class,
            progress=lambda done, _: shown.update(done - shown.n),
        )
    images = _resized(patches.reshape(-1, *patches.shape[2:]), size)
    images, notes = reading.to_channels(images, channels)
    labels = np.repeat(np.arange(classes, dtype=np.int32), images_per_class)
    return ImageSet(
        images=images,
        labels=labels,
        class_names=tuple(f"bone {index:03d}" for index in range(classes)),
        provenance=Provenance(
            source=source,
            kind="simulated",
            sha256=content_sha256(images, labels),
            count=len(images),
            citation="rendered by metabone",
            licence=_LICENCE,
            conversions=(f"seed {seed}", *notes, *_resize_notes(size)),
        ),
    )


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes `[..., 64, 64, 1]` uint8 to `[..., size, size, 1]`."""
    if size == images.shape[-2]:
        return images
    flat = images.reshape(-1, *images.shape[-3:-1])
    resized = np.stack([reading.resize(Image.fromarray(image), size) for image in flat])
    return resized.reshape(*images.shape[:-3], size, size, 1)


def _resize_notes(size: int) -> tuple[str, ...]:
    return () if size == REGION_SIZE else (f"{reading.FILTER} to {size}x{size}",)

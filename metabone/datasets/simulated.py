"""Simulated films and bone patches, rendered in memory from a seed."""

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
from metabone.radiograph.film_sets import simulate_smi, smi_stages
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.regions import REGION_NAMES, REGION_SIZE
from metabone.radiograph.stages import MERGE_SMI, MergeTable, merge_names, merge_stages

_LICENCE = "Apache-2.0, as metabone"


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
    # Films are kept in order of place, examples stand in order of class.
    order = np.searchsorted(films.kept, used[chosen])
    edge = films.films.shape[-1]
    corners = np.floor(films.centres[used[chosen]] + 0.5).astype(np.int32) - REGION_SIZE // 2
    boxes = np.concatenate([corners, corners + REGION_SIZE], axis=-1).clip(0, edge)
    left_out = len(classes) - len(used)
    notes = (f"{left_out} films of stages in no class left out",) if left_out else ()
    return FilmSet(
        regions=regions,
        classes=classes[used],
        class_names=merge_names(merge),
        patients=used.astype(np.int64),
        region_names=tuple(REGION_NAMES),
        examples=films.films[order],
        example_boxes=boxes.astype(np.int32),
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
        sex=np.asarray(["F", "M"])[films.sexes[used]],
    )


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

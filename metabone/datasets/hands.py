"""Prepared hands as films to classify: regions along the bones, moved onto simulated templates."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.film_groups import kept_together
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.hand_labels import (
    HandLabel,
    check_unmatched,
    read_hand_labels,
    with_names_of_files,
)
from metabone.datasets.near_copies import look_of_film
from metabone.datasets.prepared_hands import (
    COPY,
    COPY_OF,
    LABELS,
    PreparedHands,
    in_words,
    kind_of,
    read_prepared,
)
from metabone.datasets.progress import progress
from metabone.datasets.rsna import EXAMPLE_EDGE
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.region_sets import Region, region_boxes, region_set
from metabone.radiograph.region_templates import registered_regions, simulated_templates
from metabone.radiograph.stages import (
    MERGE_SMI,
    MONTH_CUTS,
    MergeTable,
    check_cuts,
    check_merge,
    merge_names,
    merge_stages,
    month_names,
    stages_by_months,
)

_CHUNK = 32


def load(
    path: Path,
    *,
    source: str,
    regions: str = "min_kang_6",
    size: int = 64,
    cuts: Sequence[float] = MONTH_CUTS,
    merge: MergeTable = MERGE_SMI,
    examples: int = 12,
) -> FilmSet:
    """Loads the films that can be used and that `labels.csv` names.

    A region depends on its own film and points alone: templates are of simulated films. Films that
    were refused are counted on stderr and in the provenance.

    Args:
      path: The folder that `metabone prepare-hands` wrote, with `labels.csv`.
      source: The source string as given, for the record.
      regions: Which, of `region_sets.REGION_SETS`.
      size: Height and width of a region.
      cuts: Bone ages in months at which a new class begins.
      merge: Stages of each class, where `labels.csv` has stages, which then count.
      examples: Number of whole films to keep, spread over the classes, padded to 512 x 512.

    Returns:
      The films in the order of `labels.csv`. Where the films' files or `labels.csv` tell patients
      apart, `patients` does, by the name of a patient's first film; else each film is a patient.

    Raises:
      InputError: Something is missing, unreadable or does not fit together.
    """
    reading.check_size(size)
    check_cuts(cuts)
    check_merge(merge)
    chosen = region_set(regions)
    prepared = read_prepared(path)
    labels, left_out, renamed = usable_labels(prepared)
    class_of, class_names = _classes(labels, cuts, merge)
    left_out.update({"of a stage in no class": int((class_of < 0).sum())})
    labels = [label for label, known in zip(labels, class_of >= 0, strict=True) if known]
    if not labels:
        why = in_words(+left_out)
        raise InputError(f"{path}: none of {left_out.total()} labelled films can be used: {why}")
    classes = class_of[class_of >= 0]
    place = {name: index for index, name in enumerate(prepared.names)}
    index = np.array([place[label.id] for label in labels])
    told = "; ".join(filter(None, [*renamed, _told(+left_out, len(labels))]))
    if told:
        print(f"{path}: {told}", file=sys.stderr)
    images, looks = _cut(prepared, [label.id for label in labels], prepared.points[index], chosen)
    if size != images.shape[2]:
        images = np.stack(
            [[reading.resize(Image.fromarray(part), size)[..., 0] for part in f] for f in images]
        )
    images = images[..., None]
    shown = spread_over_classes(classes, examples)
    whole = [
        _padded(prepared.read_film(labels[at].id), prepared.points[index[at]], chosen)
        for at in shown
    ]
    months, stages = (
        None if getattr(labels[0], name) is None else [getattr(label, name) for label in labels]
        for name in ("bone_age_months", "stage")
    )
    # What a file says of sex counts where the labels do not say.
    sex = np.asarray(
        [label.sex or prepared.sexes[at] for label, at in zip(labels, index, strict=True)]
    )
    return FilmSet(
        regions=images,
        classes=classes,
        class_names=class_names,
        patients=kept_together(
            [label.id for label in labels],
            [prepared.patients[at] for at in index],
            [label.patient or label.id for label in labels],
        ),
        region_names=tuple(region.name for region in chosen),
        examples=np.asarray([film for film, _ in whole], np.uint8).reshape(
            -1, EXAMPLE_EDGE, EXAMPLE_EDGE
        ),
        example_boxes=np.asarray([box for _, box in whole], np.int32).reshape(-1, len(chosen), 4),
        example_index=shown,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(images, np.asarray(stages or months, np.float32)),
            count=len(labels),
            citation=prepared.about["citation"],
            licence=prepared.about["licence"],
            conversions=_conversions(prepared, index, regions, told, size),
        ),
        stages=None if stages is None else np.asarray(stages, np.int32),
        bone_age_months=None if months is None else np.asarray(months, np.float32),
        sex=sex if (sex != "").any() else None,
        looks=looks,
    )


def usable_labels(
    prepared: PreparedHands,
) -> tuple[list[HandLabel], Counter[str], tuple[str, ...]]:
    """Labels of the films that can be used, how many cannot for which reason, and what was done.

    Args:
      prepared: what `metabone prepare-hands` wrote, with `labels.csv`.

    Raises:
      InputError: the labels are missing, or most of them are not of these films.
    """
    place = prepared.path / LABELS
    if not place.is_file():
        raise InputError(
            f"{place}: no such file; write one of id (a name of films.csv), bone_age_months or "
            "stage, and sex"
        )
    usable = {name for name, good in zip(prepared.names, prepared.usable, strict=True) if good}
    labels, left_out = [], Counter()
    films = {*prepared.names, *prepared.refusals}
    given, renamed = with_names_of_files(read_hand_labels(place), films, place)
    _check_copies(prepared, given)
    unmatched = []
    for label in given:
        if label.id in usable:
            labels.append(label)
        elif label.id in prepared.refusals:
            left_out[kind_of(prepared.refusals[label.id])] += 1
        else:
            unmatched.append(label.id)
    if unmatched:
        count = f"{len(unmatched)} of {len(given)} rows have none"
        message = f"{place}: films.csv has no film {unmatched[0]!a} ({count})"
        check_unmatched(len(unmatched), len(given), message)
        left_out["without a film"] = len(unmatched)
    return labels, left_out, renamed


def _check_copies(prepared: PreparedHands, labels: Sequence[HandLabel]) -> None:
    """Refuses a film that is known by two ages or stages under two ids."""
    known = {label.id: (label.bone_age_months, label.stage) for label in labels}
    for row in prepared.rows:
        original = row.reason.removeprefix(COPY_OF) if row.status == COPY else ""
        if {row.name, original} <= known.keys() and known[row.name] != known[original]:
            raise InputError(
                f"{prepared.path / LABELS}: {row.name} and {original} are the same film under two "
                "ages or stages; remove one of them"
            )


def _classes(
    labels: Sequence[HandLabel], cuts: Sequence[float], merge: MergeTable
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The class of each film, -1 for none, by its stage where that is known."""
    if labels and labels[0].stage is not None:
        return merge_stages([label.stage for label in labels], merge), merge_names(merge)
    months = np.asarray([label.bone_age_months for label in labels], np.float32)
    return stages_by_months(months, cuts), month_names(cuts)


def _told(left_out: Counter[str], used: int) -> str:
    if not left_out:
        return ""
    total = left_out.total()
    return f"{total} of {total + used} labelled films left out: {in_words(left_out)}"


def _cut(
    prepared: PreparedHands, names: Sequence[str], points: np.ndarray, regions: tuple[Region, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Regions `[n, R, 64, 64]` of films, and what tells near copies of them."""
    templates = simulated_templates(regions)
    parts, looks = [], []
    with progress(None, "cutting regions", len(names)) as shown:
        for first in range(0, len(names), _CHUNK):
            some = slice(first, first + _CHUNK)
            films = [prepared.read_film(name) for name in names[some]]
            parts.append(registered_regions(films, points[some], regions, templates))
            looks += [look_of_film(film) for film in films]
            shown.update(len(films))
    return np.concatenate(parts), np.stack(looks)


def _padded(
    film: np.ndarray, points: np.ndarray, regions: tuple[Region, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The film as a square of `EXAMPLE_EDGE`, and boxes `[R, 4]` around its regions there."""
    height, width = film.shape
    edge = max(film.shape)
    beside = np.array([(edge - width) // 2, (edge - height) // 2])
    whole = reading.resize(Image.fromarray(film), EXAMPLE_EDGE)[..., 0]
    scale = EXAMPLE_EDGE / edge
    return whole, region_boxes((points + beside + 0.5) * scale - 0.5, regions, whole.shape)


def _conversions(
    prepared: PreparedHands, index: np.ndarray, regions: str, told: str, size: int
) -> tuple[str, ...]:
    weights = prepared.about["key_points"]
    corrected = int(prepared.corrected[index].sum())
    notes = [
        f"made canonical by metabone {prepared.about['metabone']}",
        f"key points by {weights['name']}, sha256 {weights['sha256'][:12]}",
        f"regions {regions}, each turned along its bone, registered to a simulated template",
    ]
    if corrected:
        notes.append(f"points of {corrected} of {len(index)} films corrected by hand")
    notes += [told] if told else []
    notes += [f"{reading.FILTER} from 64x64 to {size}x{size}"] if size != 64 else []
    return tuple(notes)

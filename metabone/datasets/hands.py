"""Prepared hands as films to classify: regions along the bones, moved onto simulated templates."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from metabone.datasets import reading
from metabone.datasets.fingerprints import content_sha256
from metabone.datasets.prepared_hands import LABELS, PreparedHands, read_prepared
from metabone.datasets.progress import progress
from metabone.datasets.rsna import EXAMPLE_EDGE, Row, read_labels
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet, spread_over_classes
from metabone.radiograph.region_sets import Region, region_boxes, region_set
from metabone.radiograph.region_templates import registered_regions, simulated_templates
from metabone.radiograph.stages import MONTH_CUTS, check_cuts, month_names, stages_by_months

_CHUNK = 32


def load(
    path: Path,
    *,
    source: str,
    regions: str = "min_kang_6",
    size: int = 64,
    cuts: Sequence[float] = MONTH_CUTS,
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
      examples: Number of whole films to keep, spread over the classes, padded to 512 x 512.

    Returns:
      The films in the order of `labels.csv`. Where the films' files told patients apart, `patients`
      does; else each film is a patient.

    Raises:
      InputError: Something is missing, unreadable or does not fit together.
    """
    reading.check_size(size)
    check_cuts(cuts)
    chosen = region_set(regions)
    prepared = read_prepared(path)
    rows, left_out = _usable_rows(prepared)
    place = {name: index for index, name in enumerate(prepared.names)}
    index = np.array([place[row.id] for row in rows])
    told = _told(left_out, len(rows))
    if told:
        print(f"{path}: {told}", file=sys.stderr)
    images = _cut(prepared, [row.id for row in rows], prepared.points[index], chosen)
    if size != images.shape[2]:
        images = np.stack(
            [[reading.resize(Image.fromarray(part), size)[..., 0] for part in f] for f in images]
        )
    images = images[..., None]
    months = np.asarray([row.bone_age_months for row in rows], np.float32)
    classes = stages_by_months(months, cuts)
    shown = spread_over_classes(classes, examples)
    whole = [
        _padded(prepared.read_film(rows[at].id), prepared.points[index[at]], chosen) for at in shown
    ]
    return FilmSet(
        regions=images,
        classes=classes,
        class_names=month_names(cuts),
        patients=np.asarray([prepared.patients[at] for at in index]),
        region_names=tuple(region.name for region in chosen),
        examples=np.asarray([film for film, _ in whole], np.uint8).reshape(
            -1, EXAMPLE_EDGE, EXAMPLE_EDGE
        ),
        example_boxes=np.asarray([box for _, box in whole], np.int32).reshape(-1, len(chosen), 4),
        example_index=shown,
        provenance=Provenance(
            source=source,
            kind="real",
            sha256=content_sha256(images, months),
            count=len(rows),
            citation=prepared.about["citation"],
            licence=prepared.about["licence"],
            conversions=_conversions(prepared, index, regions, told, size),
        ),
        bone_age_months=months,
        sex=np.asarray([row.sex for row in rows]),
    )


def _usable_rows(prepared: PreparedHands) -> tuple[list[Row], Counter[str]]:
    """Labels of the films that can be used, and how many cannot for which reason."""
    place = prepared.path / LABELS
    if not place.is_file():
        raise InputError(
            f"{place}: no such file; write one of id (a name of films.csv), bone_age_months, sex"
        )
    usable = {name for name, good in zip(prepared.names, prepared.usable, strict=True) if good}
    rows, left_out = [], Counter()
    for row in read_labels(place):
        if row.id in usable:
            rows.append(row)
        elif row.id in prepared.refusals:
            left_out[_kind(prepared.refusals[row.id])] += 1
        else:
            raise InputError(f"{place}: films.csv has no film {row.id!r}")
    if not rows:
        raise InputError(f"{prepared.path}: none of {left_out.total()} labelled films can be used")
    return rows, left_out


def _kind(reason: str) -> str:
    """A reason without its figures, so that films refused for the same one are counted as such."""
    return re.sub(r"\d+", "so many", re.split(r"[:;,]", reason)[0])


def _told(left_out: Counter[str], used: int) -> str:
    if not left_out:
        return ""
    reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.most_common())
    total = left_out.total()
    return f"{total} of {total + used} labelled films left out: {reasons}"


def _cut(
    prepared: PreparedHands, names: Sequence[str], points: np.ndarray, regions: tuple[Region, ...]
) -> np.ndarray:
    templates = simulated_templates(regions)
    parts = []
    with progress(None, "cutting regions", len(names)) as shown:
        for first in range(0, len(names), _CHUNK):
            some = slice(first, first + _CHUNK)
            films = [prepared.read_film(name) for name in names[some]]
            parts.append(registered_regions(films, points[some], regions, templates))
            shown.update(len(films))
    return np.concatenate(parts)


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

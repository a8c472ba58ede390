"""Films to read and classes to learn from, checked against each other before compilation."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.fingerprints import check_disjoint, image_fingerprints
from metabone.datasets.graded import graded_images, sex_of
from metabone.datasets.images import ImageSet
from metabone.datasets.near_copies import refuse_near_copies
from metabone.datasets.source import load_films, parse_source
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.radiograph.film_sets import smi_stages
from metabone.radiograph.films import FilmSet
from metabone.radiograph.stages import merge_names, merge_stages, parse_merge
from metabone.training.run import Run
from metabone.workflows import earlier_runs
from metabone.workflows.arms import Target
from metabone.workflows.class_parts import ClassParts, learned_here, part_of, split_classes
from metabone.workflows.earlier_runs import save_seen
from metabone.workflows.hand_preparation import prepared_source
from metabone.workflows.seeds import seeds_of
from metabone.workflows.settings import LearnerSettings

WHOLE_HAND = "hand"
"""Name of the region that is the whole hand."""


class HandParts(NamedTuple):
    """Films of hands by what they are for; no patient is in two of them.

    Attributes:
      train: to learn from; None, as the next, where another run has learned.
      validation: to choose steps on.
      target: to be measured on.
    """

    train: FilmSet | None
    validation: FilmSet | None
    target: FilmSet


class FilmTarget(NamedTuple):
    """Films as the experiment's flags name them.

    Attributes:
      source: `rsna:DIR`, `hands:DIR`, `simulated:hands` or `simulated:smi`.
      size: height and width of a region.
      channels: 1 or 3; grey films are repeated.
      merge: stages of each class, see `parse_merge`.
      cuts: bone ages in months at which a new class begins.
      most: support and query films a class that the largest draw takes.
      seed: of a simulation.
      data_dir: where prepared records lie.
      regions: of real films, see `radiograph.region_sets`; `hand` for the whole hand as one.
      key_points: what finds them, see `point_net_files.point_net_of`.
      hands: how many films `simulated:hands` has.
    """

    source: str
    size: int
    channels: int
    merge: str
    cuts: Sequence[float]
    most: tuple[int, int]
    seed: int
    data_dir: str | None
    regions: str = WHOLE_HAND
    key_points: str = ""
    hands: int = 1000

    def load(self) -> FilmSet:
        """The films, enough of each class; raises `InputError` where they are not."""
        films = self.load_any()
        _check_enough(films.classes, films.class_names, films.patients, self.most)
        return films

    def load_any(self) -> FilmSet:
        """The films, however few there are of a class."""
        options = dict(
            size=self.size,
            merge=parse_merge(self.merge),
            cuts=self.cuts,
            data_dir=self.data_dir,
            seed=self.seed,
        )
        source = parse_source(self.source)
        if source.kind == "simulated" or (source.kind, self.regions) == ("rsna", WHOLE_HAND):
            cut = {} if self.regions == WHOLE_HAND else {"regions": self.regions}
            films = load_films(source, hands=self.hands, **cut, **options)
        elif self.regions == WHOLE_HAND and source.kind == "hands":
            raise InputError(f"--regions={WHOLE_HAND}: {source} are hands cut into regions already")
        else:
            # Prepared once and kept, however often they are read.
            place = prepared_source(source.text, self.data_dir, self.key_points, self.regions)
            films = load_films(f"hands:{place}", regions=self.regions, **options)
            origin = dataclasses.replace(films.provenance, source=source.text)
            films = dataclasses.replace(films, provenance=origin)
        repeated = np.repeat(films.regions, self.channels // films.regions.shape[-1], axis=-1)
        return dataclasses.replace(films, regions=repeated)

    def load_unless_simulated(self) -> FilmSet | None:
        """The films of files; None of a simulation, whose counts are checked without drawing it."""
        if parse_source(self.source).text != "simulated:smi":
            return None if is_simulated(self.source) else self.load()
        table = parse_merge(self.merge)
        classes = merge_stages(smi_stages(), table)
        _check_enough(classes, merge_names(table), range(len(classes)), self.most)
        return None


def _check_enough(classes, class_names, patients, most: tuple[int, int]) -> None:
    counts = [int(np.sum(np.asarray(classes) == label)) for label in range(len(class_names))]
    if 0 in counts:
        empty, told = class_names[counts.index(0)], ", ".join(map(str, counts))
        raise InputError(f"class '{empty}' has no film (films of each class: {told})")
    store = build_store(classes, classes, class_names=class_names, groups=patients)
    check_enough(store, len(class_names), *most, class_names)


def is_simulated(meta_source: str) -> bool:
    """Whether what is meta-trained on is simulated; raises `InputError` if nothing can be."""
    source = parse_source(meta_source)
    if source.text == "simulated:smi":
        raise InputError(
            f"--meta_source={source}: is the target's own; expected images or simulated:hands"
        )
    return source.kind == "simulated"


def as_target(films: FilmSet) -> Target:
    """The regions of films as what learners are measured on."""
    store = build_store(films.regions, films.classes, groups=films.patients)

    def on_device(values: np.ndarray) -> ImageStore:
        values = values.reshape(*films.regions.shape[:2], *values.shape[1:])
        return jax.device_put(store._replace(images=values))

    sex = np.repeat(sex_of(films), films.regions.shape[1])
    return Target(films.regions.reshape(-1, *films.regions.shape[2:]), on_device, sex)


def learned_elsewhere(
    folder: Path, target: Target, name: str
) -> tuple[ClassParts, list[dict[str, Any]]]:
    """No classes to train on, and the data that another run's learners were trained on.

    Args:
      folder: of that run.
      target: what its learners are measured on now.
      name: of the target's source, for messages.

    Raises:
      InputError: the run has seen some of the target's images.
    """
    earlier_runs.check_unseen(folder, image_fingerprints(target.images), name)
    return ClassParts(None, None, None), earlier_runs.data_of(folder)


def classes_to_learn(
    images: ImageSet, target: Target, ways: int, seed: int, run: Run, pretrained: str = ""
) -> tuple[ClassParts, list[dict[str, Any]]]:
    """Disjoint classes to train and to choose on, and the record of their images.

    Args:
      images: to meta-train on.
      target: what is measured on; it shares no image with them.
      ways: classes a task.
      seed: of the split.
      run: where classes and hashes of what is learned from are kept.
      pretrained: folder of a pretrain run, which may not have been trained on held-out classes.

    Raises:
      InputError: an image in two parts or in the target, or too few classes.
    """
    split = split_classes(images.class_names, ways, seed)
    parts = ClassParts(**{part: part_of(images, rows) for part, rows in split.items()})
    held = {part: getattr(parts, part).images for part in split}
    check_disjoint(*held.items(), ("target", target.images))
    run.results.set(meta_classes=learned_here(run, parts, pretrained))
    return parts, [{"role": "meta", **dataclasses.asdict(images.provenance)}]


def apart(films: FilmSet, share: float, seed: int) -> tuple[FilmSet, FilmSet]:
    """Parts films by patient, by hash.

    Args:
      films: to part.
      share: of the patients in the first part, between 0 and 1.
      seed: another is another split.

    Returns:
      Both parts, films in their order.
    """
    names = sorted({str(patient) for patient in films.patients})
    first = round(share * len(names))
    sizes = {"first": first, "second": len(names) - first}
    places = split_names(names, sizes, salt=f"hands {seed}")
    ours = {names[place] for place in places["first"]}
    inside = np.isin(np.asarray(films.patients, str), sorted(ours))
    return films.keep(np.flatnonzero(inside)), films.keep(np.flatnonzero(~inside))


def check_enough_films(films: FilmSet, most: tuple[int, int]) -> None:
    """Raises `InputError` where a class has fewer films than the largest draw takes."""
    _check_enough(films.classes, films.class_names, films.patients, most)


def hands_to_learn(
    films: FilmSet, target: FilmSet, least: int, run: Run, config: LearnerSettings
) -> tuple[HandParts, list[dict[str, Any]]]:
    """Films of other hands to train and to choose on, checked, and the record of them.

    Args:
      films: to learn from.
      target: to be measured on.
      least: films that a task takes.
      run: where hashes of what is learned from are kept.
      config: of the run; a pre-trained backbone is not taken from elsewhere.

    Raises:
      InputError: an image or a near copy of a film in two parts, or too few films.
    """
    if config.pretrained:
        raise InputError(
            "--pretrained: nothing tells whether it has seen these hands; leave it out"
        )
    validation = max(len(films) // 10, least)
    if len(films) < 2 * validation:
        raise InputError(
            f"{films.provenance.source}: {len(films)} films to meta-train on; a task takes {least} "
            f"of them, and as many are needed to choose on: expected at least {2 * least}"
        )
    chosen, train = apart(films, validation / len(films), seeds_of(config).split)
    parts = HandParts(train, chosen, target)
    named = {"train": train, "validation": chosen, "target": target}
    check_disjoint(*((name, part.regions) for name, part in named.items()))
    for (one, first), (other, second) in itertools.combinations(named.items(), 2):
        refuse_near_copies(one, first, other, second, "patients")
    save_seen(run.path, image_fingerprints(films.regions.reshape(-1, *films.regions.shape[2:])))
    run.results.set(
        meta_classes={name: [f"{len(named[name])} hands"] for name in ("train", "validation")}
    )
    return parts, [{"role": "meta", **dataclasses.asdict(films.provenance)}]


def graded_parts(parts: HandParts) -> ClassParts:
    """The regions of films to learn from, as images whose grade is known."""
    return ClassParts(graded_images(parts.train), graded_images(parts.validation), None)

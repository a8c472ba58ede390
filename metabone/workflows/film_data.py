"""Films to read and classes to learn from, checked against each other before compilation."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.fingerprints import check_disjoint, image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.source import IMAGE_KINDS, load_films, parse_source
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.radiograph.film_sets import smi_stages
from metabone.radiograph.films import FilmSet
from metabone.radiograph.stages import merge_names, merge_stages, parse_merge
from metabone.training.run import Run
from metabone.workflows import earlier_runs
from metabone.workflows.arms import Target
from metabone.workflows.class_parts import ClassParts, learned_here, part_of, split_classes


class FilmTarget(NamedTuple):
    """Films as the experiment's flags name them.

    Attributes:
      source: `rsna:DIR` or `simulated:smi`.
      size: height and width of a region.
      channels: 1 or 3; grey films are repeated.
      merge: stages of each class, see `parse_merge`.
      cuts: bone ages in months at which a new class begins.
      most: support and query films a class that the largest draw takes.
      seed: of a simulation.
      data_dir: where prepared records lie.
    """

    source: str
    size: int
    channels: int
    merge: str
    cuts: Sequence[float]
    most: tuple[int, int]
    seed: int
    data_dir: str | None

    def load(self) -> FilmSet:
        """The films, enough of each class; raises `InputError` where they are not."""
        films = load_films(
            self.source,
            size=self.size,
            merge=parse_merge(self.merge),
            cuts=self.cuts,
            data_dir=self.data_dir,
            seed=self.seed,
        )
        _check_enough(films.classes, films.class_names, films.patients, self.most)
        repeated = np.repeat(films.regions, self.channels // films.regions.shape[-1], axis=-1)
        return dataclasses.replace(films, regions=repeated)

    def load_unless_simulated(self) -> FilmSet | None:
        """The films of files; None of a simulation, whose counts are checked without drawing it."""
        if parse_source(self.source).kind != "simulated":
            return self.load()
        table = parse_merge(self.merge)
        classes = merge_stages(smi_stages(), table)
        _check_enough(classes, merge_names(table), range(len(classes)), self.most)
        return None


def _check_enough(classes, class_names, patients, most: tuple[int, int]) -> None:
    store = build_store(classes, classes, class_names=class_names, groups=patients)
    check_enough(store, len(class_names), *most, class_names)


def is_simulated(meta_source: str) -> bool:
    """Whether images to meta-train on are simulated; raises `InputError` if they are hand films."""
    source = parse_source(meta_source)
    if source.kind not in IMAGE_KINDS or source.text == "simulated:smi":
        raise InputError(f"--meta_source={source}: expected labelled images, no hand films")
    return source.kind == "simulated"


def as_target(films: FilmSet) -> Target:
    """The regions of films as what learners are measured on."""
    store = build_store(films.regions, films.classes, groups=films.patients)

    def on_device(values: np.ndarray) -> ImageStore:
        values = values.reshape(*films.regions.shape[:2], *values.shape[1:])
        return jax.device_put(store._replace(images=values))

    return Target(films.regions.reshape(-1, *films.regions.shape[2:]), on_device)


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

"""Sets of labelled images that are only measured on: hands in classes of bone age, or any other."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from metabone.datasets.embeddings import is_ordered, load_embeddings
from metabone.datasets.fingerprints import check_disjoint
from metabone.datasets.source import are_embeddings, are_hands, load_images, parse_source
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.stages import MERGE_SMI, format_merge
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.feature_settings import FeatureSettings
from metabone.workflows.film_data import FilmTarget
from metabone.workflows.seeds import seed_of


class TargetSet(NamedTuple):
    """Images of a few classes, each an example of its own.

    Attributes:
      name: short, from its source.
      images: `[N, H, W, C]` uint8, or embeddings `[N, D]` float32.
      labels: `[N]` int32.
      class_names: of the labels.
      groups: `[N]` patients that stand on one side of a draw, or None.
      ordered: whether classes are grades.
      provenance: of the images.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    groups: np.ndarray | None
    ordered: bool
    provenance: Provenance

    def store(self, values: np.ndarray) -> ImageStore:
        """A store on the device of `[N, ...]` images or features, each as of one region."""
        store = build_store(values[:, None], self.labels, groups=self.groups)
        return jax.device_put(store)


def load_target(config: FeatureSettings, source: str, size: int, data_dir: str | None) -> TargetSet:
    """Reads a target at some size, and checks that it has images enough.

    Args:
      config: of the run.
      source: one of `config.targets`.
      size: height and width.
      data_dir: where prepared records lie.

    Raises:
      InputError: a class with fewer images than the largest draw takes, and as the source says.
    """
    seed, most = seed_of(config, "target_seed"), (max(config.shots), config.queries)
    if are_hands(source):
        films = FilmTarget(
            *(
                source,
                size,
                config.channels,
                format_merge(MERGE_SMI),
                config.cuts,
                most,
                seed,
                data_dir,
            ),
            hands=config.target_hands,
        ).load()
        pictures, groups = films.regions[:, 0], np.asarray(films.patients)
        found = TargetSet(
            *(name_of(source), pictures, films.classes, films.class_names, groups),
            ordered=True,
            provenance=films.provenance,
        )
    else:
        images = (
            load_embeddings(parse_source(source).path, source)
            if are_embeddings(source)
            else load_images(
                source, size=size, channels=config.channels, data_dir=data_dir, seed=seed
            )
        )
        found = TargetSet(
            name_of(source),
            images.images,
            images.labels,
            images.class_names,
            images.patients,
            _are_grades(source),
            images.provenance,
        )
    store = build_store(found.labels, found.labels, groups=found.groups)
    check_enough(store, len(found.class_names), *most, found.class_names)
    return found


def load_targets(config: FeatureSettings, size: int, data_dir: str | None) -> tuple[TargetSet, ...]:
    """All targets at some size; raises `InputError` where two have one name."""
    found = tuple(load_target(config, source, size, data_dir) for source in config.targets)
    names = [target.name for target in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--targets: two of them are called {name}; rename a file or folder")
    return found


def check_apart(parts: ClassParts, targets: Sequence[TargetSet]) -> None:
    """Raises `InputError` for an image that is learned from and measured on, or in two targets."""
    check_disjoint(
        ("train", parts.train.whole().images),
        ("validation", parts.validation.images),
        *((target.name, target.images) for target in targets),
    )


def _are_grades(source: str) -> bool:
    parsed = parse_source(source)
    if are_embeddings(source):
        return is_ordered(parsed.path)
    if parsed.kind == "medimeta":
        from metabone.datasets import medimeta

        return medimeta.is_ordered(parsed.path)
    return parsed.kind == "retinamnist"


def name_of(source: str) -> str:
    """What a target is called: the last part of its path, or the name of a simulation.

    Example:
      >>> name_of("medmnist:data/breastmnist.npz"), name_of("simulated:hands")
      ('breastmnist', 'simulated hands')
    """
    parsed = parse_source(source)
    if parsed.kind == "medimeta":
        from metabone.datasets.medimeta import set_and_task

        place, task = set_and_task(parsed.path)
        return f"{place.stem} {task}".strip()
    if parsed.kind in ("simulated", "tfds"):
        return f"{parsed.kind} {parsed.name}".replace("/", " ")
    return Path(parsed.name).stem

"""The classes that meta-learning trains on, chooses on and is tested on, from several sources."""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.learning import split_classes
from experiments.meta_dataset_settings import MetaDatasetSettings
from metabone.datasets.combined import CombinedImages, combine, read_class_table
from metabone.datasets.images import Images, ImageSet
from metabone.datasets.memory import choose
from metabone.datasets.source import open_images


class Data(NamedTuple):
    """Images by what they are for; classes are numbered from 0 in each.

    Attributes:
      train: to meta-train on, in memory or in records; None where another run has.
      validation: to choose settings on; likewise.
      test: of classes that were never seen.
    """

    train: Images | None
    validation: ImageSet | None
    test: ImageSet


def load_sources(
    config: MetaDatasetSettings, data_dir: str | None, taken: Mapping[str, str]
) -> CombinedImages:
    """The sources as one list of classes, without those that are taken; see `combine`."""
    parts = [
        open_images(
            source,
            size=config.size,
            channels=config.channels,
            data_dir=data_dir,
            seed=config.seed,
            classes=config.meta_classes,
            images_per_class=config.meta_images,
        )
        for source in config.meta_sources
    ]
    same = read_class_table(Path(config.same_classes)) if config.same_classes else {}
    return combine(parts, same, taken)


def with_possible_shots(
    config: MetaDatasetSettings, images: Images, asked: bool
) -> tuple[MetaDatasetSettings, list[str]]:
    """Leaves out columns that a target cannot fill, unless they were asked for.

    Args:
      config: of this command line.
      images: the sources.
      asked: whether `--shots` was given.

    Returns:
      The settings, and a note on each column left out.
    """
    fewest = min(np.bincount(images.labels).tolist())
    possible = tuple(shots for shots in config.shots if shots + config.queries <= fewest)
    if not config.evaluate or asked or not possible or possible == config.shots:
        return config, []
    left_out = ", ".join(str(shots) for shots in config.shots if shots not in possible)
    note = (
        f"{left_out} shots left out: with {config.queries} queries they need more images than the "
        f"{fewest} of some class."
    )
    return dataclasses.replace(config, shots=possible), [note]


def split_images(config: MetaDatasetSettings, images: CombinedImages) -> Data:
    """Parts of disjoint classes; what is held out is small and always in memory."""
    sizes = (config.validation_classes, config.test_classes)
    split = split_classes(images.class_names, config.ways, config.seed, *sizes)
    own = {part: images.keep(np.flatnonzero(np.isin(images.labels, split[part]))) for part in split}
    choice = choose(len(own["train"]), config.size, config.channels, int(config.memory_gib * 2**30))
    print(f"meta-training: {choice.reason}", file=sys.stderr)
    train = own["train"] if choice.stream else own["train"].whole()
    return Data(train, own["validation"].whole(), own["test"].whole())

"""Classes of a comparison of learners: which are trained on, validated on and tested on."""

import dataclasses
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.benchmark_settings import BenchmarkSettings
from experiments.learning import split_classes
from metabone.datasets.combined import read_class_table
from metabone.datasets.fingerprints import check_disjoint
from metabone.datasets.images import ImageSet
from metabone.datasets.source import open_images
from metabone.episodes.splits import split_names
from metabone.errors import InputError


class Classes(NamedTuple):
    """Images of disjoint classes by what they are for, and a hash of which are where."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    split: str


def load_classes(config: BenchmarkSettings) -> Classes:
    """The source's classes in three parts; a class and its rotations are in the same one."""
    images = open_images(
        config.source,
        size=config.size,
        channels=config.channels,
        data_dir=flags.FLAGS.data_dir,
        seed=config.seed,
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    ).whole()
    split = split_of(config, images.class_names)
    parts = {
        part: images.keep(np.flatnonzero(np.isin(images.labels, rows)))
        for part, rows in split.items()
    }
    check_disjoint(*((part, own.images) for part, own in parts.items()))
    places = sorted(f"{part}/{name}" for part, own in parts.items() for name in own.class_names)
    digest = hashlib.sha256("\n".join(places).encode()).hexdigest()[:12]
    if config.rotations:
        parts = {part: with_rotations(own) for part, own in parts.items()}
    return Classes(**parts, split=digest)


def split_of(config: BenchmarkSettings, names: tuple[str, ...]) -> dict[str, list[int]]:
    """Positions of each part's classes: as the file of `--split` says, else by hash."""
    asked = {"validation": config.validation_classes, "test": config.test_classes}
    if not config.split:
        return split_classes(names, config.ways, config.split_seed, **asked)
    part_of = read_class_table(Path(config.split))
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for row, name in enumerate(names):
        part = part_of.get(name, "not named")
        part = "validation" if part == "val" else part
        if part not in parts:
            raise InputError(
                f"{config.split}: class {name!a} of {config.source} is {part!a}, expected train, "
                "val or test"
            )
        parts[part].append(row)
    for part, count in asked.items():
        if parts[part] and count:
            raise InputError(f"--{part}_classes={count}: {config.split} says which those are")
    train = parts["train"]
    tenth = max(config.ways, len(train) // 10)
    lacking = {part: count or tenth for part, count in asked.items() if not parts[part]}
    drawn = split_names([names[row] for row in train], lacking, salt=str(config.split_seed))
    parts |= {part: [train[place] for place in places] for part, places in drawn.items()}
    parts["train"] = [row for row in train if row not in parts["validation"] + parts["test"]]
    return parts


def with_rotations(images: ImageSet) -> ImageSet:
    """Each class and its three rotations, as four classes (Santoro et al. 2016)."""
    count = len(images.class_names)
    return dataclasses.replace(
        images,
        images=np.concatenate([np.rot90(images.images, turns, (1, 2)) for turns in range(4)]),
        labels=np.concatenate([images.labels + turns * count for turns in range(4)]),
        class_names=tuple(
            f"{name}, {90 * turns} degrees" for turns in range(4) for name in images.class_names
        ),
    )

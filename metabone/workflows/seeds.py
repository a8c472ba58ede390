"""Which seed draws what, and the settings of each of several trainings."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from metabone.workflows.settings import SeedSettings

Settings = TypeVar("Settings", bound=SeedSettings)


class Seeds(NamedTuple):
    """The seed of each thing that is drawn.

    Attributes:
      split: simulated images to learn from, and which classes or hands are held out.
      train: first weights, tasks and minibatches of training.
      draw: tasks, or draws of films, that learners are measured on.
    """

    split: int
    train: int
    draw: int


def seeds_of(config: SeedSettings) -> Seeds:
    """The seeds of some settings.

    Example:
      >>> seeds_of(SeedSettings(seed=3, draw_seed=0))
      Seeds(split=3, train=3, draw=0)
    """
    return Seeds(*(seed_of(config, f"{name}_seed") for name in Seeds._fields))


def seed_of(config: SeedSettings, name: str) -> int:
    """The seed that a setting names, or that of `seed` where it names none.

    Example:
      >>> seed_of(SeedSettings(seed=3), "train_seed")
      3
    """
    own = getattr(config, name)
    return config.seed if own == -1 else own


def trainings_of(config: Settings) -> Iterator[Settings]:
    """The settings of each training, which differ by the seed of training alone.

    Example:
      >>> [each.train_seed for each in trainings_of(SeedSettings(seed=5, trainings=2))]
      [5, 6]
    """
    first = seeds_of(config).train
    for index in range(config.trainings):
        yield dataclasses.replace(config, train_seed=(first + index) % 2**32)

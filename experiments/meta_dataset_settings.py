"""What a meta-dataset run depends on, and its presets."""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import partial

from metabone.commands.command import Preset
from metabone.errors import InputError
from metabone.workflows.settings import (
    LearnerSettings,
    check_learner,
    check_least,
    check_shots,
    setting,
)

_classes = partial(setting, theme="Classes")
_table = partial(setting, theme="Table")
_base = partial(setting, theme="Base learning, chosen on validation classes")


@dataclasses.dataclass(frozen=True)
class MetaDatasetSettings(LearnerSettings):
    """What the figures of a run depend on."""

    meta_sources: tuple[str, ...] = _classes(
        ("simulated:bones",), "Sources of labelled images, merged into one list of classes."
    )
    same_classes: str = _classes(
        "", "CSV of class names of different sources that mean the same, two a line."
    )
    evaluate: str = _table("", "Folder of a finished run: test its learners on --target.")
    target: str = _table("", "With --evaluate: the source whose classes are learned.")
    validation_classes: int = _classes(0, "Classes to choose settings on; 0 for a tenth.")
    test_classes: int = _classes(0, "Classes never trained on; 0 for a tenth.")
    ways: int = _table(5, "Classes a task.")
    shots: tuple[int, ...] = _table((5, 10, 20), "Support images a class, one table column each.")
    queries: int = _table(15, "Query images a class.")
    tasks: int = _table(600, "Tasks of unseen classes that a figure is the mean of.")
    meta_classes: int = _classes(300, "Classes of a simulated source.")
    meta_images: int = _classes(40, "Images a class of a simulated source.")
    search_tasks: int = _base(100, "Tasks that each choice for base learning is tried on.")
    search_rates: tuple[float, ...] = _base((3e-4, 1e-3, 3e-3), "Adam's rates to choose from.")
    search_steps: tuple[int, ...] = _base(
        (25, 50, 100, 200), "Full-batch steps (epochs) to choose from."
    )
    search_decays: tuple[float, ...] = _base(
        (1e-2, 1.0, 10.0), "Weight decays (decoupled, times the rate a step) to choose from."
    )
    memory_gib: float = setting(
        4.0, "Largest meta-training set that is kept in memory; a larger one is streamed.", "Run"
    )


PRESETS = {
    "demo": Preset(
        dict(
            size=32,
            channels=1,
            filters=16,
            backbone="conv4",
            backbone_width=0.25,
            hidden=(256,),
            meta_images=40,
            meta_classes=120,
            meta_steps=500,
            head_steps=800,
            meta_shots=8,
            meta_queries=8,
            adapts="head",
            inner_rate=0.1,
            meta_rate=3e-3,
            learn_rates=True,
            validation_tasks=50,
            pretrain_steps=400,
            pretrain_rate=3e-3,
            tasks=100,
            search_tasks=10,
            search_rates=(1e-3, 3e-3),
            search_steps=(10, 30),
            search_decays=(1e-2,),
        ),
        takes="2 to 4 minutes on two cores",
        expect="simulated images, 5 / 10 / 20 a class: meta 74 / 76 / 78 % from scratch and 72 / "
        "77 / 80 % pre-trained, base 50 / 56 / 61 % and 67 / 73 / 77 %, a point or two more or "
        "less by the machine's rounding",
    ),
    "cpu": Preset(
        dict(
            size=32,
            filters=32,
            backbone="conv4",
            meta_steps=5000,
            head_steps=4000,
            meta_shots=10,
            meta_queries=10,
            meta_flip=True,
            adapts="head",
            inner_rate=0.1,
            learn_rates=True,
            pretrain_steps=6000,
            pretrain_decay=0.05,
            pretrain_flip=True,
            search_tasks=30,
            search_rates=(1e-3, 3e-3),
            search_steps=(15, 40),
            search_decays=(1e-2, 5.0),
        ),
        takes="48 minutes on two cores",
        expect="Tiny ImageNet at 32x32 with mini-ImageNet: meta 51 / 54 / 58 % from scratch and "
        "60 / 64 / 67 % pre-trained, base 30 / 33 / 36 % and 54 / 60 / 64 %",
    ),
    "paper": Preset({}, takes="days on two cores, so for a GPU", expect="not measured to its end"),
}

# What may differ between a run and the evaluation of its learners on another source.
_OWN_UNLESS_GIVEN = ("shots", "queries", "tasks", "target_seed", "draw_seed")
_ASKED_NOW = ("evaluate", "target", "same_classes", *_OWN_UNLESS_GIVEN)


def check(config: MetaDatasetSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_learner(config)
    least = {"queries": 1, "tasks": 5, "search_tasks": 2, "ways": 2, "meta_images": 1}
    check_least(config, least | {"validation_classes": 0, "test_classes": 0})
    check_shots(config.shots)
    for name, above in (("search_rates", True), ("search_steps", True), ("search_decays", False)):
        values = getattr(config, name)
        if not values or any(value < 0 or (above and value == 0) for value in values):
            given = ",".join(map(str, values))
            expected = "numbers above 0" if above else "numbers of at least 0"
            raise InputError(f"--{name}={given}: expected {expected}")
    if not config.memory_gib >= 0:
        raise InputError(f"--memory_gib={config.memory_gib}: expected at least 0")
    if bool(config.evaluate) != bool(config.target):
        raise InputError("--evaluate=RUN and --target=SOURCE: each needs the other")


def with_learners_of(config: MetaDatasetSettings, given: Sequence[str]) -> MetaDatasetSettings:
    """The settings of the run that `--evaluate` names, if any.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings; each number, network and seed of what was trained is that of the run.

    Raises:
      InputError: no finished run, damaged checkpoints, or a flag of what was trained.
    """
    if not config.evaluate:
        return config
    # Imported where a run is named: no `--help` waits for it.
    from metabone.workflows.earlier_runs import with_trained_settings

    found = with_trained_settings(
        config,
        given,
        flag="evaluate",
        run=config.evaluate,
        experiments=["meta_dataset"],
        asked_now=_ASKED_NOW,
        unless_given=_OWN_UNLESS_GIVEN,
    )
    return dataclasses.replace(found, meta_sources=(config.target,))


def candidates(config: MetaDatasetSettings) -> list[dict[str, float | int]]:
    """Every choice that base learning is offered."""
    names = ("rate", "steps", "decay")
    lists = (config.search_rates, config.search_steps, config.search_decays)
    return [dict(zip(names, choice, strict=True)) for choice in itertools.product(*lists)]

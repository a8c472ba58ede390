"""What a comparison of learners depends on."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from metabone.errors import InputError
from metabone.report.few_shot_papers import conditions_of
from metabone.workflows.family_settings import (
    LEARNERS,
    ON_FEATURES,
    RUNNING,
    WIDER,
    FamilySettings,
    check_family,
)
from metabone.workflows.settings import NORMS, check_least, setting

PROTOCOLS = ("ours", "paper")

_classes = partial(setting, theme="Classes")
_tests = partial(setting, theme="Tests")


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(FamilySettings):
    """What the figures of a run depend on."""

    source: str = _classes("simulated:bones", "Labelled images: any source.")
    rotations: bool = _classes(
        False,
        "Each class turned by 90, 180 and 270 degrees is a class too, as is usual of Omniglot.",
    )
    meta_classes: int = _classes(300, "Classes of a simulated source.")
    meta_images: int = _classes(40, "Images a class of a simulated source.")
    split: str = _classes(
        "",
        "CSV file of class,part (train, val, test), such as a published split; classes of parts "
        "that it lacks are taken from train by hash. Without a file, as the source is published in "
        "parts (mini_imagenet), else from all by hash.",
    )
    split_seed: int = _classes(
        0,
        "Of simulated images and the split by hash; not --seed, so that runs of other seeds test "
        "on the same classes.",
    )
    validation_classes: int = _classes(0, "Classes to choose checkpoints on; 0 for a tenth.")
    test_classes: int = _classes(0, "Classes never trained on; 0 for a tenth.")
    learners: tuple[str, ...] = _tests(LEARNERS, "Which are compared.")
    queries: int = _tests(15, "Query images a class, in tests.")
    tasks: int = _tests(2000, "Tasks of unseen classes, the same for every learner.")
    protocol: tuple[str, ...] = _tests(
        ("ours",),
        "ours (--tasks, --queries, every rule of batch norms that a learner has) and/or paper (the "
        "tasks, queries and rule of its authors, of learners that published on such images).",
    )
    also_steps: tuple[int, ...] = _tests(
        (0,),
        "Also test MAML and its variants after these numbers of inner steps; 0 alone for none.",
    )


def check(config: BenchmarkSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_family(config)
    zero = ("split_seed", "validation_classes", "test_classes")
    one = ("meta_classes", "meta_images", "queries")
    check_least(config, dict.fromkeys(zero, 0) | dict.fromkeys(one, 1) | {"tasks": 2})
    if min(config.also_steps, default=0) < 0:
        given = ",".join(map(str, config.also_steps))
        raise InputError(f"--also_steps={given}: expected at least 0")
    if config.meta_ways and not set(config.learners) <= set(WIDER):
        raise InputError(
            f"--meta_ways={config.meta_ways}: only {' and '.join(WIDER)} can be trained on more "
            "classes than they are tested on; see --learners"
        )
    if config.norm not in NORMS and not set(config.learners) <= set(RUNNING):
        raise InputError(
            f"--norm={config.norm}: only {', '.join(RUNNING)} keep statistics of training; see "
            "--learners"
        )
    if config.backbone:
        _check_on_features(config)
    if config.protocol == ("paper",):
        _check_published(config)
    for name, choices in (("learners", LEARNERS), ("protocol", PROTOCOLS)):
        given = getattr(config, name)
        if not given or not set(given) <= set(choices) or len(set(given)) < len(given):
            raise InputError(
                f"--{name}={','.join(given)}: expected different ones of {', '.join(choices)}"
            )


def on_features(config: BenchmarkSettings, given: Sequence[str]) -> BenchmarkSettings:
    """The settings, of all learners but those that features are nothing for, unless asked for."""
    if not config.backbone or config.learners != LEARNERS or "learners" in given:
        return config
    return dataclasses.replace(config, learners=ON_FEATURES)


def _check_on_features(config: BenchmarkSettings) -> None:
    without = [name for name in config.learners if name in LEARNERS and name not in ON_FEATURES]
    if without:
        raise InputError(
            f"--backbone={config.backbone}: is frozen, and {' and '.join(without)} would adapt it; "
            f"expected --learners of {', '.join(ON_FEATURES)}"
        )
    if "paper" in config.protocol:
        raise InputError(
            f"--protocol={','.join(config.protocol)}: papers train their networks; "
            f"--backbone={config.backbone} is frozen"
        )


def _check_published(config: BenchmarkSettings) -> None:
    for name in config.learners:
        if conditions_of(config.source, name, config.ways, config.shots) is None:
            raise InputError(
                f"--protocol=paper: {name} has no published conditions on {config.source} with "
                f"--ways={config.ways} --shots={config.shots}"
            )

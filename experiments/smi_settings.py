"""What an SMI run depends on, and its presets."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.learner_settings import (
    LearnerSettings,
    check_learner,
    check_least,
    check_shots,
    with_trained_settings,
)
from experiments.settings import setting
from metabone.errors import InputError
from metabone.radiograph.stages import check_cuts, parse_merge


@dataclasses.dataclass(frozen=True)
class SmiSettings(LearnerSettings):
    """What the figures of a run depend on."""

    target: str = setting("simulated:smi", "Films to read: rsna:DIR or simulated:smi.")
    meta_source: str = setting(
        "simulated:bones", "Images to meta-train on: any source of labelled images."
    )
    meta_learner: str = setting(
        "", "Folder of a finished meta_dataset run: adapt its learners to the films."
    )
    evaluate: str = setting("", "Folder of a finished smi run: read the target with its learners.")
    channels: int = setting(1, "Of the images: 1 (grey) or 3 (RGB, films repeated).")
    shots: tuple[int, ...] = setting((5, 10, 20), "Support films a class, one table column each.")
    queries: int = setting(15, "Query films a class.")
    draws: int = setting(
        100,
        "Draws of films that a figure is the mean of; 0 for 100, but of the scratch arms with "
        "several regions 30 (meta) and 5 (base, which trains a network for each).",
    )
    merge: str = setting("1,2/3,4/5,6/7,8,9/10,11", "Maturity stages that make up each class.")
    cuts: tuple[float, ...] = setting(
        (84.0, 114.0, 138.0, 162.0), "Bone ages in months that part the classes of real films."
    )
    pooled: bool = setting(False, "One adaptation on all regions together, not one a region.")
    # Simulated meta-data.
    meta_classes: int = setting(300, "Classes of simulated meta-data.")
    meta_images: int = setting(40, "Images a class of simulated meta-data.")
    # Base learning.
    base_steps: int = setting(200, "Full-batch Adam steps on the support films.")
    base_rate: float = setting(1e-3, "Its rate.")
    base_decay: float = setting(1e-4, "Its weight decay.")


PRESETS: dict[str, dict[str, Any]] = {
    "demo": dict(
        filters=16,
        backbone="conv4",
        backbone_width=0.25,
        hidden=(256,),
        meta_images=32,
        meta_steps=1000,
        head_steps=1200,
        meta_shots=8,
        meta_queries=8,
        adapts="head",
        inner_rate=0.1,
        test_steps=20,
        meta_rate=3e-3,
        learn_rates=True,
        validation_tasks=50,
        pretrain_steps=700,
        pretrain_rate=3e-3,
        base_steps=40,
        base_rate=3e-3,
        draws=0,
    ),
    "cpu": dict(
        filters=32,
        backbone="conv4",
        backbone_width=0.5,
        meta_steps=5000,
        head_steps=5000,
        meta_shots=10,
        meta_queries=10,
        adapts="head",
        inner_rate=0.1,
        test_steps=20,
        learn_rates=True,
        pretrain_steps=3000,
        base_rate=3e-3,
        draws=0,
    ),
    "paper": {},
}


# What may differ between a run and the evaluation of its learners on another target.
_FILMS = ("target", "shots", "queries", "draws", "merge", "cuts", "pooled")
_BASE = ("base_steps", "base_rate", "base_decay")


def check(config: SmiSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_learner(config)
    check_least(config, {"queries": 1, "meta_images": 1, "base_steps": 0})
    check_shots(config.shots)
    if not config.base_rate > 0:
        raise InputError(f"--base_rate={config.base_rate}: expected a number above 0")
    if config.draws != 0 and config.draws < 2:
        raise InputError(f"--draws={config.draws}: expected at least 2, or 0 for what suits")
    parse_merge(config.merge)
    check_cuts(config.cuts)


def with_learners_of(config: SmiSettings, given: Sequence[str]) -> SmiSettings:
    """The settings of the run that `--evaluate` or `--meta_learner` names, if either does.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings; each number, network and seed of what was trained is that of the run.

    Raises:
      InputError: both are named, no finished run, damaged checkpoints, or a flag of what was
        trained.
    """
    if config.evaluate and config.meta_learner:
        raise InputError("--evaluate and --meta_learner: name one run, not two")
    if config.evaluate:
        return with_trained_settings(
            config,
            given,
            flag="evaluate",
            run=config.evaluate,
            experiments=["smi"],
            asked_now=("evaluate", *_FILMS),
        )
    if config.meta_learner:
        return with_trained_settings(
            config,
            given,
            flag="meta_learner",
            run=config.meta_learner,
            experiments=["meta_dataset"],
            asked_now=("meta_learner", *_FILMS, *_BASE),
        )
    return config

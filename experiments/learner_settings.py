"""What a trained learner depends on: the settings that every experiment with one shares."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from experiments.meta_training import check_mapping
from experiments.settings import setting
from metabone.errors import InputError
from metabone.training.checkpoints import load_checkpoint
from metabone.training.json_files import read_json

ADAPTS = ("all", "head")
BACKBONES = ("vgg16", "conv4")
PHASES = ("meta_scratch", "pretrain", "meta_pretrained")

Settings = TypeVar("Settings", bound="LearnerSettings")


@dataclasses.dataclass(frozen=True)
class LearnerSettings:
    """Images, networks and training; the defaults are the seed's own where it states them."""

    seed: int = setting(0, "Of everything that is drawn.")
    size: int = setting(64, "Height and width of the images, in pixels.")
    channels: int = setting(3, "Of the images: 3 (RGB) or 1 (grey).")
    # Networks.
    filters: int = setting(64, "Filters of the seven-block network.")
    halvings: int = setting(4, "How many of its blocks halve the image.")
    downsample: str = setting("stride", "How they do: stride or pool.")
    hidden: tuple[int, ...] = setting((256, 256), "Nodes of the fully connected layers.")
    backbone: str = setting("vgg16", "Frozen part of the pre-trained arms: vgg16 or conv4.")
    backbone_width: float = setting(1.0, "Multiplies its filters.")
    backbone_weights: str = setting(
        "", "Published weights of vgg16 (safetensors or Keras .h5) instead of training it."
    )
    pretrained: str = setting(
        "", "Folder of a finished pretrain run whose backbone is taken instead of training one."
    )
    # Meta-training.
    meta_steps: int = setting(10_000, "Outer steps of the scratch arm.")
    head_steps: int = setting(10_000, "Outer steps of the pre-trained arm, on stored features.")
    meta_batch: int = setting(2, "Tasks an outer step.")
    mapping: str = setting(
        "scan",
        "How the tasks of an outer step are taken: scan (one by one), overlap (two side by side on "
        "a CPU's cores), vmap (all at once, for accelerators), how many at once, or devices (dealt "
        "out to all accelerators, on a CPU to its cores).",
    )
    meta_shots: int = setting(20, "Support images a class while meta-training.")
    meta_queries: int = setting(15, "Query images a class while meta-training.")
    meta_flip: bool = setting(
        False, "Mirror images with probability one half while meta-training the scratch arm."
    )
    meta_rate: float = setting(1e-3, "Adam's rate in the outer loop, falling to a tenth.")
    clip: float = setting(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = setting(0.05, "Inner rate, of the mean loss (0.01 on summed losses).")
    inner_steps: int = setting(5, "Inner steps while meta-training.")
    test_steps: int = setting(10, "Inner steps when tested.")
    adapts: str = setting(
        "all", "What inner steps adapt in the scratch arm: all (MAML) or head (ANIL)."
    )
    order: int = setting(2, "Of the meta-gradient: 2 or 1.")
    learn_rates: bool = setting(False, "Also learn one inner rate a parameter (Meta-SGD).")
    norm: str = setting("inductive", "Batch statistics of queries while meta-training.")
    validate_every: int = setting(500, "Outer steps between validations on held-out classes.")
    validation_tasks: int = setting(100, "Tasks of a validation.")
    # Supervised pre-training of the backbone, shared by base and meta.
    pretrain_hidden: tuple[int, ...] = setting(
        (256,), "Nodes of the fully connected layers that it is trained with and then loses."
    )
    pretrain_steps: int = setting(10_000, "Minibatches of backbone pre-training.")
    pretrain_batch: int = setting(64, "Images of a minibatch.")
    pretrain_rate: float = setting(1e-3, "Adam's rate, falling to nothing.")
    pretrain_decay: float = setting(0.0, "Its weight decay.")
    pretrain_flip: bool = setting(False, "Mirror every other image while pre-training.")


_SMALLEST = {
    "seed": 0,
    "meta_batch": 1,
    "meta_shots": 1,
    "meta_queries": 1,
    "pretrain_batch": 1,
    "validate_every": 1,
    "validation_tasks": 2,
    "meta_steps": 1,
    "head_steps": 1,
    "pretrain_steps": 1,
}


def check_learner(config: LearnerSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_least(config, _SMALLEST)
    for name in ("meta_rate", "pretrain_rate", "clip"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name}={getattr(config, name)}: expected a number above 0")
    if not config.pretrain_decay >= 0:
        raise InputError(f"--pretrain_decay={config.pretrain_decay}: expected at least 0")
    for name, choices in (("adapts", ADAPTS), ("backbone", BACKBONES)):
        if getattr(config, name) not in choices:
            given = getattr(config, name)
            raise InputError(f"--{name}={given}: expected one of {', '.join(choices)}")
    check_mapping(config.mapping, config.meta_batch)
    for name in ("hidden", "pretrain_hidden"):
        if not getattr(config, name) or min(getattr(config, name)) < 1:
            given = ",".join(map(str, getattr(config, name)))
            raise InputError(f"--{name}={given}: expected numbers of at least 1")
    if config.seed >= 2**32:
        raise InputError(f"--seed={config.seed}: expected less than 2**32")
    if config.channels not in (1, 3):
        raise InputError(f"--channels={config.channels}: expected 1 or 3")
    if config.backbone_weights and config.backbone != "vgg16":
        raise InputError("--backbone_weights are read for --backbone=vgg16 alone")
    if config.backbone_weights and config.pretrained:
        raise InputError("--backbone_weights and --pretrained: name one backbone, not two")


def check_least(config: LearnerSettings, smallest: Mapping[str, int]) -> None:
    """Raises `InputError` for a setting below its least value."""
    for name, least in smallest.items():
        if getattr(config, name) < least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {least}")


def check_shots(shots: Sequence[int]) -> None:
    """Raises `InputError` for table columns that cannot be."""
    if not shots or min(shots) < 1 or len(set(shots)) < len(shots):
        given = ",".join(map(str, shots))
        raise InputError(f"--shots={given}: expected different numbers of at least 1")


def with_trained_settings(
    config: Settings,
    given: Sequence[str],
    *,
    flag: str,
    run: str | os.PathLike,
    experiments: Sequence[str],
    asked_now: Sequence[str],
    unless_given: Sequence[str] = (),
    phases: Sequence[str] | None = None,
) -> Settings:
    """The settings of a trained run, but for what is asked of its learners now.

    Args:
      config: of this command line.
      given: which settings its flags name.
      flag: the one that names the run.
      run: its folder.
      experiments: which experiments' runs will do.
      asked_now: settings that may differ from the run's.
      unless_given: those of them that stay the run's where no flag names them.
      phases: the trainings that are needed of it; by default all.

    Returns:
      The settings; every other one that the run has is the run's. Its checkpoints are read once
      here, so that damaged ones are told of before anything starts.

    Raises:
      InputError: no finished run, damaged checkpoints, or a flag of what was trained.
    """
    folder = Path(run)
    record = read_json(folder / "config.json")
    if not isinstance(record, dict) or record.get("experiment") not in experiments:
        raise InputError(
            f"--{flag}={folder}: not the folder of a run of {' or '.join(experiments)}"
        )
    result = read_json(folder / "result.json")
    if not isinstance(result, dict) or not result.get("complete"):
        raise InputError(f"--{flag}={folder}: this run is not complete")
    for name in given:
        if name not in asked_now:
            few = ", ".join(f"--{asked}" for asked in asked_now) if len(asked_now) < 12 else ""
            advice = f"with --{flag} choose among {few}" if few else "leave it out"
            raise InputError(f"--{name} is the trained run's own; {advice}")
    stored = stored_settings(record["config"], type(config))
    for phase in phases_of(stored) if phases is None else phases:
        load_checkpoint(folder / "checkpoints" / phase, best=True)
    asked = [name for name in asked_now if name in given or name not in unless_given]
    kept = {name: getattr(config, name) for name in asked}
    return dataclasses.replace(config, **(stored | kept))


_BACKBONES_OWN = (
    "size",
    "channels",
    "backbone",
    "backbone_width",
    "downsample",
    "pretrain_hidden",
    "pretrain_steps",
    "pretrain_batch",
    "pretrain_rate",
    "pretrain_decay",
    "pretrain_flip",
)


def with_backbone_of(config: Settings, given: Sequence[str]) -> Settings:
    """The settings, those of its backbone from the run that `--pretrained` names, if any.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings.

    Raises:
      InputError: as of `with_trained_settings`.
    """
    if not config.pretrained:
        return config
    names = [field.name for field in dataclasses.fields(config)]
    return with_trained_settings(
        config,
        given,
        flag="pretrained",
        run=config.pretrained,
        experiments=["pretrain"],
        asked_now=[name for name in names if name not in _BACKBONES_OWN],
        phases=["pretrain"],
    )


def stored_settings(record: Mapping[str, Any], settings: type) -> dict[str, Any]:
    """The fields of `settings` that a run's `config.json` holds, tuples again where they were."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    return {
        name: tuple(value) if isinstance(defaults[name], tuple) else value
        for name, value in record.items()
        if name in defaults
    }


def phases_of(stored: Mapping[str, Any]) -> tuple[str, ...]:
    """The trainings that a run's learners consist of."""
    if stored.get("backbone_weights") or stored.get("pretrained"):
        return tuple(phase for phase in PHASES if phase != "pretrain")
    return PHASES

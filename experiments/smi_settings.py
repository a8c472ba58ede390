"""What an SMI run depends on, and its presets."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.settings import setting
from metabone.errors import InputError
from metabone.radiograph.stages import check_cuts, parse_merge
from metabone.training.checkpoints import load_checkpoint
from metabone.training.json_files import read_json

ADAPTS = ("all", "head")
BACKBONES = ("vgg16", "conv4")


@dataclasses.dataclass(frozen=True)
class SmiSettings:
    """What the figures of a run depend on."""

    target: str = setting("simulated:smi", "Films to read: rsna:DIR or simulated:smi.")
    meta_source: str = setting(
        "simulated:bones", "Images to meta-train on: folder:PATH or simulated:bones."
    )
    evaluate: str = setting("", "Folder of a finished run: read the target with its learners.")
    seed: int = setting(0, "Of everything that is drawn.")
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
    # Networks.
    filters: int = setting(64, "Filters of the seven-block network.")
    halvings: int = setting(4, "How many of its blocks halve the image.")
    downsample: str = setting("stride", "How they do: stride or pool.")
    hidden: tuple[int, ...] = setting((256, 256), "Nodes of the fully connected layers.")
    backbone: str = setting("vgg16", "Frozen part of the pre-trained arms: vgg16 or conv4.")
    backbone_width: float = setting(1.0, "Multiplies its filters.")
    # Meta-data.
    meta_classes: int = setting(300, "Classes of simulated meta-data.")
    meta_images: int = setting(40, "Images a class of simulated meta-data.")
    # Meta-training.
    meta_steps: int = setting(10_000, "Outer steps of the scratch arm.")
    head_steps: int = setting(10_000, "Outer steps of the pre-trained arm, on stored features.")
    meta_batch: int = setting(2, "Tasks an outer step.")
    meta_shots: int = setting(20, "Support images a class while meta-training.")
    meta_queries: int = setting(15, "Query images a class while meta-training.")
    meta_rate: float = setting(1e-3, "Adam's rate in the outer loop, falling to a tenth.")
    clip: float = setting(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = setting(0.05, "Inner rate, of the mean loss (0.01 on summed losses).")
    inner_steps: int = setting(5, "Inner steps while meta-training.")
    test_steps: int = setting(10, "Inner steps on the films.")
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


# What may differ between a run and its evaluation on another target.
_ASKED_NOW = ("evaluate", "target", "shots", "queries", "draws", "merge", "cuts", "pooled")


def check(config: SmiSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    smallest = {"queries": 1, "meta_batch": 1, "meta_shots": 1, "meta_queries": 1}
    smallest |= {"pretrain_batch": 1, "validate_every": 1, "validation_tasks": 2, "meta_images": 1}
    smallest |= {"meta_steps": 1, "head_steps": 1, "pretrain_steps": 1, "base_steps": 0, "seed": 0}
    for name, least in smallest.items():
        if getattr(config, name) < least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {least}")
    for name in ("meta_rate", "pretrain_rate", "base_rate", "clip"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name}={getattr(config, name)}: expected a number above 0")
    for name, choices in (("adapts", ADAPTS), ("backbone", BACKBONES)):
        if getattr(config, name) not in choices:
            given = getattr(config, name)
            raise InputError(f"--{name}={given}: expected one of {', '.join(choices)}")
    if not config.shots or min(config.shots) < 1 or len(set(config.shots)) < len(config.shots):
        given = ",".join(map(str, config.shots))
        raise InputError(f"--shots={given}: expected different numbers of at least 1")
    for name in ("hidden", "pretrain_hidden"):
        if not getattr(config, name) or min(getattr(config, name)) < 1:
            given = ",".join(map(str, getattr(config, name)))
            raise InputError(f"--{name}={given}: expected numbers of at least 1")
    if config.seed >= 2**32:
        raise InputError(f"--seed={config.seed}: expected less than 2**32")
    if config.draws != 0 and config.draws < 2:
        raise InputError(f"--draws={config.draws}: expected at least 2, or 0 for what suits")
    parse_merge(config.merge)
    check_cuts(config.cuts)


def with_trained_settings(config: SmiSettings, given: Sequence[str]) -> SmiSettings:
    """The settings of the run to evaluate, but for what is asked of it now.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings; each number, network and seed is that of the run, whose checkpoints are read
      once here so that damaged ones are told of before anything starts.

    Raises:
      InputError: no finished run, damaged checkpoints, or a flag of what was trained.
    """
    folder = Path(config.evaluate)
    record = read_json(folder / "config.json")
    if not isinstance(record, dict) or record.get("experiment") != "smi":
        raise InputError(f"--evaluate={folder}: not the folder of an smi run")
    result = read_json(folder / "result.json")
    if not isinstance(result, dict) or not result.get("complete"):
        raise InputError(f"--evaluate={folder}: this run is not complete")
    for name in given:
        if name not in _ASKED_NOW:
            asked = ", ".join(f"--{asked}" for asked in _ASKED_NOW)
            raise InputError(
                f"--{name} is the trained run's own; with --evaluate choose among {asked}"
            )
    for phase in ("meta_scratch", "pretrain", "meta_pretrained"):
        load_checkpoint(folder / "checkpoints" / phase, best=True)
    kept = {name: getattr(config, name) for name in _ASKED_NOW}
    fields = {field.name: field.default for field in dataclasses.fields(SmiSettings)}
    stored = {
        name: tuple(value) if isinstance(fields[name], tuple) else value
        for name, value in record["config"].items()
        if name in fields
    }
    return SmiSettings(**(stored | kept))

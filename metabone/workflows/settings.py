"""What trained learners depend on: typed fields that say what they are. Imports nothing heavy."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from metabone.errors import InputError

ADAPTS = ("all", "head")
TRAINABLE = ("vgg16", "conv4")
"""Backbones that can be trained here; others come with their weights."""
MAPPINGS = ("scan", "overlap", "vmap", "devices")
NORMS = ("inductive", "transductive")
"""Names of the norm modes, the headline's first; see `learners.base.Norm`."""


def setting(default: Any, text: str, theme: str = "Settings") -> Any:
    """A field of a settings dataclass.

    Args:
      default: int, float, str, bool, or a tuple of ints, floats or strings; its type is the
        field's.
      text: what it is, in a sentence, as `--help` says it.
      theme: heading that it stands under there.

    Returns:
      The dataclass field.
    """
    return dataclasses.field(default=default, metadata={"help": text, "theme": theme})


_run = partial(setting, theme="Run")
_images = partial(setting, theme="Images")
_network = partial(setting, theme="Networks")
_meta = partial(setting, theme="Meta-training")
_pretrain = partial(setting, theme="Pre-training of the backbone")


@dataclasses.dataclass(frozen=True)
class SeedSettings:
    """Seeds, each of one thing that is drawn, see `workflows.seeds`; -1 is that of `seed`."""

    seed: int = _run(0, "Of everything that is drawn, where no other seed is named.")
    split_seed: int = _run(
        -1,
        "Of simulated images to learn from, and of which classes or hands are held out; -1 for "
        "--seed.",
    )
    train_seed: int = _run(
        -1, "Of first weights, and of the tasks and minibatches of training; -1 for --seed."
    )
    draw_seed: int = _run(
        -1, "Of the tasks, or draws of films, that learners are measured on; -1 for --seed."
    )
    trainings: int = _run(
        1,
        "How often everything is trained, by seeds from --train_seed on: rows are then means over "
        "trainings, and with two or more their intervals cover other trainings.",
    )


@dataclasses.dataclass(frozen=True)
class LearnerSettings(SeedSettings):
    """Images, networks and training; by default Min and Kang's (2018) own where they state them."""

    target_seed: int = _run(
        -1, "Of simulated films, or images, that are only measured on; -1 for --seed."
    )
    size: int = _images(64, "Height and width of the images, in pixels.")
    channels: int = _images(3, "Of the images: 3 (RGB) or 1 (grey).")
    filters: int = _network(64, "Filters of the seven-block network.")
    halvings: int = _network(4, "How many of its blocks halve the image.")
    downsample: str = _network("stride", "How they do: stride or pool.")
    hidden: tuple[int, ...] = _network((256, 256), "Nodes of the fully connected layers.")
    backbone: str = _network(
        "vgg16",
        "Frozen part of the pre-trained arms: vgg16 or conv4; or one that is published, with "
        "--backbone_weights: efficientnet_lite0, resnet18, resnet50, inception_v3, xception, "
        "dinov2_s14, dinov2_b14.",
    )
    backbone_width: float = _network(1.0, "Multiplies its filters.")
    backbone_weights: str = _network(
        "", "Its published weights, safetensors or Keras .h5, instead of training it."
    )
    backbone_crops: int = _network(
        1,
        "Crops of an image that the features of a published backbone are the mean of: 1 (the whole "
        "image), 5 (corners and middle) or 10 (mirrored too).",
    )
    pretrained: str = _network(
        "", "Folder of a finished pretrain run whose backbone is taken instead of training one."
    )
    meta_steps: int = _meta(10_000, "Outer steps of the scratch arm.")
    head_steps: int = _meta(10_000, "Outer steps of the pre-trained arm, on stored features.")
    meta_batch: int = _meta(2, "Tasks an outer step.")
    mapping: str = _meta(
        "scan",
        "How the tasks of an outer step are taken: scan (one by one), overlap (two side by side on "
        "a CPU's cores), vmap (all at once, for accelerators), how many at once, or devices (dealt "
        "out to all accelerators, on a CPU to its cores).",
    )
    meta_shots: int = _meta(20, "Support images a class while meta-training.")
    meta_queries: int = _meta(15, "Query images a class while meta-training.")
    meta_flip: bool = _meta(
        False, "Mirror images with probability one half while meta-training the scratch arm."
    )
    meta_rate: float = _meta(1e-3, "Adam's rate in the outer loop, falling to a tenth.")
    clip: float = _meta(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = _meta(0.05, "Inner rate, of the mean loss (0.01 on summed losses).")
    inner_steps: int = _meta(5, "Inner steps while meta-training.")
    test_steps: int = _meta(10, "Inner steps when tested.")
    adapts: str = _meta(
        "all", "What inner steps adapt in the scratch arm: all (MAML) or head (ANIL)."
    )
    order: int = _meta(2, "Of the meta-gradient: 2 or 1.")
    learn_rates: bool = _meta(False, "Also learn one inner rate a parameter (Meta-SGD).")
    norm: str = _meta("inductive", "Batch statistics of queries while meta-training.")
    validate_every: int = _meta(500, "Outer steps between validations on held-out classes.")
    validation_tasks: int = _meta(100, "Tasks of a validation.")
    pretrain_hidden: tuple[int, ...] = _pretrain(
        (256,), "Nodes of the fully connected layers that it is trained with and then loses."
    )
    pretrain_steps: int = _pretrain(10_000, "Minibatches of backbone pre-training.")
    pretrain_batch: int = _pretrain(64, "Images of a minibatch.")
    pretrain_rate: float = _pretrain(1e-3, "Adam's rate, falling to nothing.")
    pretrain_decay: float = _pretrain(0.0, "Its weight decay.")
    pretrain_flip: bool = _pretrain(False, "Mirror every other image while pre-training.")

    @property
    def published(self) -> tuple[str, ...]:
        """The published backbones whose features are learned on."""
        return (self.backbone,) if self.backbone_weights else ()


BACKBONES_OWN = (
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
"""Settings that a pre-trained backbone brings along."""

_LEAST = dict.fromkeys(
    (
        *("meta_batch", "meta_shots", "meta_queries", "meta_steps", "head_steps"),
        *("pretrain_batch", "pretrain_steps", "validate_every"),
    ),
    1,
) | {"validation_tasks": 2}


def check_learner(config: LearnerSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_seeds(config, "target_seed")
    check_least(config, _LEAST)
    check_positive(config, ("meta_rate", "pretrain_rate", "clip"))
    if not config.pretrain_decay >= 0:
        raise InputError(f"--pretrain_decay={config.pretrain_decay}: expected at least 0")
    for name, choices in (("adapts", ADAPTS), ("norm", NORMS)):
        check_choice(config, name, choices)
    _check_backbone(config)
    check_mapping(config.mapping, config.meta_batch)
    for name in ("hidden", "pretrain_hidden"):
        if not getattr(config, name) or min(getattr(config, name)) < 1:
            given = ",".join(map(str, getattr(config, name)))
            raise InputError(f"--{name}={given}: expected numbers of at least 1")
    check_images(config)


def _check_backbone(config: LearnerSettings) -> None:
    if config.backbone_weights and config.pretrained:
        raise InputError("--backbone_weights and --pretrained: name one backbone, not two")
    if config.backbone == "conv4" and config.backbone_weights:
        raise InputError("--backbone_weights: nobody publishes weights of --backbone=conv4")
    check_crops(config)
    if config.backbone in TRAINABLE:
        return
    # Networks are imported where one of them is named: no `--help` waits for them.
    from metabone.nets.published_backbones import BACKBONES

    check_choice(config, "backbone", tuple(dict.fromkeys((*TRAINABLE, *BACKBONES))))
    if not config.backbone_weights:
        raise InputError(
            f"--backbone={config.backbone}: is not trained here; --backbone_weights=FILE names "
            "its published weights"
        )


def check_crops(config: Any) -> None:
    """Raises `InputError` for a number of crops that cannot be, or of which no backbone is asked.

    Args:
      config: of `backbone_crops`, and the `published` backbones.
    """
    if config.backbone_crops == 1:
        return
    from metabone.nets.crops import CROPS

    check_choice(config, "backbone_crops", CROPS)
    given = f"--backbone_crops={config.backbone_crops}"
    if not config.published:
        raise InputError(f"{given}: is for published backbones, and none is named")
    if "vgg16" in config.published:
        raise InputError(f"{given}: vgg16 is read whole; leave it out")


def check_seeds(config: SeedSettings, *more: str) -> None:
    """Raises `InputError` for a seed, or a number of trainings, that cannot be.

    Args:
      config: of the run.
      *more: other settings that are seeds.
    """
    check_least(config, {"seed": 0, "trainings": 1})
    for name in ("seed", "split_seed", "train_seed", "draw_seed", *more):
        check_least(config, {name: -1})
        if getattr(config, name) >= 2**32:
            raise InputError(f"--{name}={getattr(config, name)}: expected less than 2**32")


def check_images(config: Any) -> None:
    """Raises `InputError` for a number of channels that cannot be."""
    if config.channels not in (1, 3):
        raise InputError(f"--channels={config.channels}: expected 1 or 3")


def check_least(config: Any, smallest: Mapping[str, int]) -> None:
    """Raises `InputError` for a setting below its least value."""
    for name, least in smallest.items():
        if getattr(config, name) < least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {least}")


def check_positive(config: Any, names: Sequence[str]) -> None:
    """Raises `InputError` for a setting that is not above zero."""
    for name in names:
        if not getattr(config, name) > 0:
            raise InputError(f"--{name}={getattr(config, name)}: expected a number above 0")


def check_choice(config: Any, name: str, choices: Sequence[str | int]) -> None:
    """Raises `InputError` for a setting that is none of its choices."""
    given = getattr(config, name)
    if given not in choices:
        raise InputError(f"--{name}={given}: expected one of {', '.join(map(str, choices))}")


def check_shots(shots: Sequence[int]) -> None:
    """Raises `InputError` for table columns that cannot be."""
    if not shots or min(shots) < 1 or len(set(shots)) < len(shots):
        given = ",".join(map(str, shots))
        raise InputError(f"--shots={given}: expected different numbers of at least 1")


def check_mapping(mapping: str, meta_batch: int) -> None:
    """Raises `InputError` for a mapping of tasks that `meta_step` does not take."""
    if mapping in MAPPINGS:
        return
    at_once = int(mapping) if mapping.isdecimal() else 0
    if at_once < 1 or meta_batch % at_once:
        raise InputError(
            f"--mapping={mapping}: expected {', '.join(MAPPINGS)} or a divisor of "
            f"--meta_batch={meta_batch}"
        )

"""What the learners of the family depend on, all of them under one training."""

import dataclasses
from functools import partial
from pathlib import Path

from metabone.errors import InputError
from metabone.workflows.settings import (
    NORMS,
    SeedSettings,
    check_choice,
    check_crops,
    check_images,
    check_least,
    check_mapping,
    check_positive,
    check_seeds,
    setting,
)

LEARNERS = (
    "maml",
    "first_order_maml",
    "meta_sgd",
    "anil",
    "boil",
    "maml_plus_plus",
    "imaml",
    "reptile",
    "protonet",
    "r2d2",
    "logistic_head",
    "probe",
)
WIDER = ("protonet", "r2d2")
"""Learners whose heads are solved for, of as many classes as there are."""
RULES = (*NORMS, "running")
"""What batch norms may normalise queries by, see `learners.base.Norm`, the headline's first."""
FITTED = ("logistic_head", "probe")
"""Heads on the features of a network that was trained to tell the training classes apart."""
RUNNING = ("maml_plus_plus", *WIDER, *FITTED)
"""Learners that keep statistics of training."""
ON_FEATURES = tuple(name for name in LEARNERS if name not in ("maml", "boil"))
"""Learners on features of a frozen network: what adapts all of it is anil there, and what adapts
its body alone has nothing to adapt."""

_images = partial(setting, theme="Images")
_tasks = partial(setting, theme="Tasks")
_network = partial(setting, theme="Network")
_meta = partial(setting, theme="Meta-training")
_own = partial(setting, theme="Single learners")


@dataclasses.dataclass(frozen=True)
class FamilySettings(SeedSettings):
    """Images, tasks, network and training of every learner of the family."""

    size: int = _images(28, "Height and width of the images, in pixels.")
    channels: int = _images(1, "Of the images: 3 (RGB) or 1 (grey).")
    ways: int = _tasks(5, "Classes a task.")
    shots: int = _tasks(1, "Support images a class.")
    meta_queries: int = _tasks(15, "Query images a class, while meta-training.")
    meta_shots: int = _tasks(0, "Support images a class, while meta-training; 0 for --shots.")
    meta_ways: int = _tasks(
        0, "Classes a task while meta-training, of protonet and r2d2 alone; 0 for --ways."
    )
    filters: int = _network(64, "Filters of each of its four blocks, MAML's own.")
    downsample: str = _network("stride", "How its blocks halve the image: stride or pool.")
    average: bool = _network(
        False,
        "Classify the mean of each last map, as MAML's published code does for Omniglot, not all "
        "of its pixels; learners without a trained head compare all pixels either way.",
    )
    norm_scale: bool = _network(
        True, "Batch norms have a scale, which MAML's published code leaves away."
    )
    backbone: str = _network(
        "",
        "A published network instead, such as efficientnet_lite0 or dinov2_s14: frozen, its "
        "features computed once an image and kept, all learners on these; images are best read at "
        "its --size with --channels=3.",
    )
    backbone_weights: str = _network("", "Its weights, safetensors or Keras .h5.")
    backbone_crops: int = _network(
        1,
        "Crops of an image that its features are the mean of: 1 (the whole image), 5 (corners and "
        "middle) or 10 (mirrored too).",
    )
    feature_hidden: tuple[int, ...] = _network(
        (256,), "Nodes of what is meta-learned on its features."
    )
    meta_steps: int = _meta(10_000, "Outer steps.")
    meta_batch: int = _meta(4, "Tasks an outer step.")
    meta_rate: float = _meta(1e-3, "Adam's rate in the outer loop.")
    schedule: str = _meta(
        "cosine", "How it falls: cosine (to --rate_end of it), halving or constant."
    )
    rate_end: float = _meta(0.1, "Share of the rate that a cosine ends at.")
    halve_every: int = _meta(2_000, "Outer steps after which halving halves the rate.")
    clip: float = _meta(10.0, "Largest norm, or value, of the meta-gradient.")
    clip_by: str = _meta("norm", "What it bounds: norm (of all), value (each element) or none.")
    inner_rate: float = _meta(0.05, "Inner rate, of the mean loss (published: of summed losses).")
    inner_steps: int = _meta(5, "Inner steps while meta-training.")
    test_steps: int = _meta(10, "Inner steps when tested.")
    adapt_norms: bool = _meta(
        True, "Inner steps of maml, first_order_maml and meta_sgd adapt batch norms too."
    )
    norm: str = _meta(
        "inductive",
        "Batch statistics of queries while meta-training: inductive, transductive, or for "
        "protonet, r2d2 and maml_plus_plus running, by which their authors test.",
    )
    mapping: str = _meta(
        "scan",
        "How the tasks of an outer step are taken: scan (one by one), overlap, vmap, how many at "
        "once, or devices (dealt out to all accelerators, on a CPU to its cores).",
    )
    validate_every: int = _meta(500, "Outer steps between validations on held-out classes.")
    validation_tasks: int = _meta(100, "Tasks of a validation.")
    reptile_batch: int = _own(10, "Images of Reptile's minibatches.")
    reptile_rate: float = _own(1e-3, "Rate of Reptile's inner Adam (beta1 = 0).")
    reptile_test_steps: int = _own(50, "Reptile's minibatches when tested.")
    reptile_test_batch: int = _own(0, "Images of these; 0 for one a class.")
    reptile_moments: str = _own(
        "kept",
        "Adam's moments go on from task to task and into tests, as in Reptile's published code: "
        "kept; or begin anew: fresh.",
    )
    reptile_sum: bool = _own(True, "Reptile's loss is the sum over a minibatch, as published.")
    first_order_until: float = _own(
        0.0, "Share of MAML++'s training that is of first order; its paper has 0.5, its code 0."
    )
    step_weights_until: float = _own(
        0.15, "Share of MAML++'s training in which the losses after early inner steps fade."
    )
    ridge: float = _own(1.0, "R2-D2's lambda, or where it starts.")
    ridge_scale: float = _own(1.0, "R2-D2's alpha, where it starts.")
    ridge_as_code: bool = _own(
        False,
        "R2-D2 by its published code: features and labels over the root of their number, a column "
        "of ones, lambda fixed; or else by its equations.",
    )
    proximity: float = _own(0.5, "iMAML's pull towards the initialisation.")
    imaml_rate: float = _own(
        0.1, "iMAML's inner rate; one that steps over its minimum has no use for that gradient."
    )
    imaml_steps: int = _own(
        16, "iMAML's inner steps, in tests too: its gradient is right at their end alone."
    )
    head_strength: float = _own(1e-2, "Weight penalty of the logistic head.")
    pretrain_steps: int = _own(5_000, "Minibatches that the features of fitted heads see.")
    pretrain_batch: int = _own(64, "Images of a minibatch.")

    @property
    def published(self) -> tuple[str, ...]:
        """The published backbones whose features are learned on."""
        return (self.backbone,) if self.backbone else ()


_CHOICES = {
    "norm": RULES,
    "schedule": ("cosine", "halving", "constant"),
    "clip_by": ("norm", "value", "none"),
    "reptile_moments": ("kept", "fresh"),
}


def check_family(config: FamilySettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_seeds(config)
    least = {"meta_shots": 0, "meta_ways": 0, "ways": 2, "validation_tasks": 2}
    names = ("shots", "meta_queries", "meta_steps", "meta_batch", "validate_every", "filters")
    more = ("imaml_steps", "reptile_batch", "pretrain_steps", "pretrain_batch", "size")
    least |= dict.fromkeys((*names, *more, "halve_every"), 1) | {"reptile_test_batch": 0}
    check_least(config, least)
    positive = ("meta_rate", "clip", "imaml_rate", "proximity", "reptile_rate", "ridge")
    check_positive(config, (*positive, "ridge_scale", "step_weights_until"))
    for name, choices in _CHOICES.items():
        check_choice(config, name, choices)
    for name in ("rate_end", "first_order_until"):
        if not 0 <= getattr(config, name) <= 1:
            raise InputError(f"--{name}={getattr(config, name)}: expected a share, 0 to 1")
    check_images(config)
    check_mapping(config.mapping, config.meta_batch)
    _check_backbone(config)
    if config.meta_ways == 1:
        raise InputError("--meta_ways=1: expected 0 or at least 2")


def _check_backbone(config: FamilySettings) -> None:
    check_crops(config)
    if not config.backbone and not config.backbone_weights:
        return
    # Networks are imported where one of them is named: no `--help` waits for them.
    from metabone.nets.published_backbones import BACKBONES

    check_choice(config, "backbone", BACKBONES)
    if not Path(config.backbone_weights).is_file():
        raise InputError(f"--backbone_weights={config.backbone_weights}: no such file")
    if config.norm != NORMS[0]:
        raise InputError(
            f"--norm={config.norm}: features of a frozen network meet no batch norm; leave it out"
        )
    if not config.feature_hidden or min(config.feature_hidden) < 1:
        raise InputError("--feature_hidden: expected numbers of at least 1")

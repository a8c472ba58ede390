"""What the learners of the family depend on, all of them under one training."""

import dataclasses
from functools import partial

from metabone.errors import InputError
from metabone.workflows.settings import (
    NORMS,
    check_choice,
    check_images,
    check_least,
    check_mapping,
    check_positive,
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
)
WIDER = ("protonet", "r2d2")
"""Learners whose heads are solved for, of as many classes as there are."""

_images = partial(setting, theme="Images")
_tasks = partial(setting, theme="Tasks")
_network = partial(setting, theme="Network")
_meta = partial(setting, theme="Meta-training")
_own = partial(setting, theme="Single learners")


@dataclasses.dataclass(frozen=True)
class FamilySettings:
    """Images, tasks, network and training of every learner of the family."""

    seed: int = setting(0, "Of everything that is drawn but the split.", "Run")
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
    meta_steps: int = _meta(10_000, "Outer steps.")
    meta_batch: int = _meta(4, "Tasks an outer step.")
    meta_rate: float = _meta(1e-3, "Adam's rate in the outer loop, falling along a cosine.")
    clip: float = _meta(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = _meta(0.05, "Inner rate, of the mean loss (published: of summed losses).")
    inner_steps: int = _meta(5, "Inner steps while meta-training.")
    test_steps: int = _meta(10, "Inner steps when tested.")
    norm: str = _meta("inductive", "Batch statistics of queries while meta-training.")
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
    proximity: float = _own(0.5, "iMAML's pull towards the initialisation.")
    imaml_rate: float = _own(
        0.1, "iMAML's inner rate; one that steps over its minimum has no use for that gradient."
    )
    imaml_steps: int = _own(
        16, "iMAML's inner steps, in tests too: its gradient is right at their end alone."
    )
    head_strength: float = _own(1e-2, "Weight penalty of the logistic head.")
    pretrain_steps: int = _own(5_000, "Minibatches that the logistic head's features see.")
    pretrain_batch: int = _own(64, "Images of a minibatch.")


def check_family(config: FamilySettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    least = {"seed": 0, "meta_shots": 0, "meta_ways": 0, "ways": 2, "validation_tasks": 2}
    names = ("shots", "meta_queries", "meta_steps", "meta_batch", "validate_every", "filters")
    more = ("imaml_steps", "reptile_batch", "pretrain_steps", "pretrain_batch", "size")
    check_least(config, least | dict.fromkeys((*names, *more), 1))
    check_positive(config, ("meta_rate", "clip", "imaml_rate", "proximity", "reptile_rate"))
    check_choice(config, "norm", NORMS)
    check_images(config)
    check_mapping(config.mapping, config.meta_batch)
    if config.meta_ways == 1:
        raise InputError("--meta_ways=1: expected 0 or at least 2")

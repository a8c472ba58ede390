"""What a comparison of learners depends on."""

import dataclasses

from experiments.settings import setting
from metabone.errors import InputError
from metabone.learners.base import check_norm

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
# Their heads are solved for, of as many classes as there are.
WIDER = ("protonet", "r2d2")
PROTOCOLS = ("ours", "paper")


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """What the figures of a run depend on."""

    seed: int = setting(0, "Of everything that is drawn but the split.")
    source: str = setting("simulated:bones", "Labelled images: any source.")
    size: int = setting(28, "Height and width of the images, in pixels.")
    channels: int = setting(1, "Of the images: 3 (RGB) or 1 (grey).")
    rotations: bool = setting(
        False,
        "Each class turned by 90, 180 and 270 degrees is a class too, as is usual of Omniglot.",
    )
    meta_classes: int = setting(300, "Classes of a simulated source.")
    meta_images: int = setting(40, "Images a class of a simulated source.")
    split: str = setting(
        "",
        "CSV file of class,part (train, val, test), such as a published split; classes of parts "
        "that it lacks are taken from train, and without a file from all, by hash.",
    )
    split_seed: int = setting(
        0, "Of the split by hash; not --seed, so that runs of other seeds test on the same classes."
    )
    validation_classes: int = setting(0, "Classes to choose checkpoints on; 0 for a tenth.")
    test_classes: int = setting(0, "Classes never trained on; 0 for a tenth.")
    learners: tuple[str, ...] = setting(LEARNERS, "Which are compared.")
    # Tasks.
    ways: int = setting(5, "Classes a task.")
    shots: int = setting(1, "Support images a class.")
    queries: int = setting(15, "Query images a class, in tests.")
    meta_queries: int = setting(15, "Query images a class, while meta-training.")
    meta_shots: int = setting(0, "Support images a class, while meta-training; 0 for --shots.")
    meta_ways: int = setting(
        0, "Classes a task while meta-training, of protonet and r2d2 alone; 0 for --ways."
    )
    tasks: int = setting(2000, "Tasks of unseen classes, the same for every learner.")
    protocol: tuple[str, ...] = setting(
        ("ours",),
        "ours (--tasks, --queries, inductive and transductive) and/or paper (600 tasks, "
        "transductive, --meta_queries a class).",
    )
    sweep: tuple[int, ...] = setting(
        (0,),
        "Also test MAML and its variants after these numbers of inner steps; 0 alone for none.",
    )
    # The network: MAML's own four blocks.
    filters: int = setting(64, "Filters of each of its four blocks.")
    downsample: str = setting("stride", "How its blocks halve the image: stride or pool.")
    average: bool = setting(
        False,
        "Classify the mean of each last map, as MAML's published code does for Omniglot, not all "
        "of its pixels; learners without a trained head compare all pixels either way.",
    )
    # Meta-training.
    meta_steps: int = setting(10_000, "Outer steps.")
    meta_batch: int = setting(4, "Tasks an outer step.")
    meta_rate: float = setting(1e-3, "Adam's rate in the outer loop, falling along a cosine.")
    clip: float = setting(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = setting(0.05, "Inner rate, of the mean loss (published: of summed losses).")
    inner_steps: int = setting(5, "Inner steps while meta-training.")
    test_steps: int = setting(10, "Inner steps when tested.")
    norm: str = setting("inductive", "Batch statistics of queries while meta-training.")
    mapping: str = setting("scan", "How the tasks of an outer step are taken, see experiments.smi.")
    validate_every: int = setting(500, "Outer steps between validations on held-out classes.")
    validation_tasks: int = setting(100, "Tasks of a validation.")
    # What differs by learner.
    reptile_batch: int = setting(10, "Images of Reptile's minibatches.")
    reptile_rate: float = setting(1e-3, "Rate of Reptile's inner Adam (beta1 = 0).")
    reptile_test_steps: int = setting(50, "Reptile's minibatches when tested.")
    proximity: float = setting(0.5, "iMAML's pull towards the initialisation.")
    imaml_rate: float = setting(
        0.1, "iMAML's inner rate; one that steps over its minimum has no use for that gradient."
    )
    imaml_steps: int = setting(
        16, "iMAML's inner steps, in tests too: its gradient is right at their end alone."
    )
    head_strength: float = setting(1e-2, "Weight penalty of the logistic head.")
    pretrain_steps: int = setting(5_000, "Minibatches that the logistic head's features see.")
    pretrain_batch: int = setting(64, "Images of a minibatch.")


def check(config: BenchmarkSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    least = {
        "seed": 0,
        "split_seed": 0,
        "validation_classes": 0,
        "test_classes": 0,
        "meta_shots": 0,
        "meta_ways": 0,
        "meta_classes": 1,
        "meta_images": 1,
        "tasks": 2,
        "ways": 2,
        "validation_tasks": 2,
    }
    names = ("shots", "queries", "meta_queries", "meta_steps", "meta_batch", "validate_every")
    more = ("imaml_steps", "reptile_batch", "pretrain_steps", "pretrain_batch", "filters", "size")
    for name, at_least in (least | dict.fromkeys((*names, *more), 1)).items():
        if getattr(config, name) < at_least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {at_least}")
    for name in ("meta_rate", "clip", "imaml_rate", "proximity", "reptile_rate"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name}={getattr(config, name)}: expected a number above 0")
    check_norm(config.norm)
    if config.seed >= 2**32:
        raise InputError(f"--seed={config.seed}: expected less than 2**32")
    if config.channels not in (1, 3):
        raise InputError(f"--channels={config.channels}: expected 1 or 3")
    if min(config.sweep, default=0) < 0:
        raise InputError(f"--sweep={','.join(map(str, config.sweep))}: expected at least 0")
    if config.meta_ways and not set(config.learners) <= set(WIDER):
        raise InputError(
            f"--meta_ways={config.meta_ways}: only {' and '.join(WIDER)} can be trained on more "
            "classes than they are tested on; see --learners"
        )
    if config.meta_ways == 1:
        raise InputError("--meta_ways=1: expected 0 or at least 2")
    for name, choices in (("learners", LEARNERS), ("protocol", PROTOCOLS)):
        given = getattr(config, name)
        if not given or not set(given) <= set(choices) or len(set(given)) < len(given):
            raise InputError(
                f"--{name}={','.join(given)}: expected different ones of {', '.join(choices)}"
            )

"""What a comparison of learners depends on, and its presets: the published settings among them."""

import dataclasses
from typing import Any

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

    seed: int = setting(0, "Of everything that is drawn.")
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
    proximity: float = setting(2.0, "iMAML's pull towards the initialisation.")
    head_strength: float = setting(1e-2, "Weight penalty of the logistic head.")
    pretrain_steps: int = setting(5_000, "Minibatches that the logistic head's features see.")
    pretrain_batch: int = setting(64, "Images of a minibatch.")


# Finn et al. 2017 and its published code; rates times the ways, since it sums over classes.
_OMNIGLOT = dict(
    rotations=True,
    protocol=("ours", "paper"),
    norm="transductive",
    meta_steps=60_000,
)
_OMNIGLOT_5 = _OMNIGLOT | dict(ways=5, meta_batch=32, inner_rate=2.0, inner_steps=1, test_steps=3)
_OMNIGLOT_20 = _OMNIGLOT | dict(ways=20, meta_batch=16, inner_rate=2.0, inner_steps=5, test_steps=5)
_MINI = dict(
    size=84,
    channels=3,
    filters=32,
    downsample="pool",
    protocol=("ours", "paper"),
    norm="transductive",
    meta_steps=60_000,
    inner_rate=0.05,
)
_MINI_1, _MINI_5 = _MINI | dict(shots=1, meta_batch=4), _MINI | dict(shots=5, meta_batch=2)
# Antoniou et al. 2019: its published code's settings; losses are means there.
_PLUS_PLUS = dict(
    learners=("maml_plus_plus",), meta_steps=50_000, downsample="pool", inner_steps=5, test_steps=5
)
_PLUS_PLUS_OMNIGLOT = (
    _OMNIGLOT | _PLUS_PLUS | dict(filters=64, meta_batch=8, inner_rate=0.1, meta_queries=1)
)
_PLUS_PLUS_MINI = _MINI | _PLUS_PLUS | dict(filters=48, meta_batch=2, inner_rate=0.01)
# Nichol et al. 2018, tables 4 and 5; tested transductively on Omniglot, not on mini-ImageNet. It
# learns from 10 or 15 images a class, support and queries together.
_REPTILE = dict(learners=("reptile",), meta_steps=100_000, meta_batch=5, reptile_batch=10)
_REPTILE_OMNIGLOT = _OMNIGLOT | _REPTILE | dict(inner_steps=5, meta_shots=9, meta_queries=1)
_REPTILE_MINI = (
    _MINI | _REPTILE | dict(inner_steps=8, meta_shots=14, meta_queries=1, norm="inductive")
)
# Snell et al. 2017; their learning rate halves every 2,000 episodes, as many as help.
_PROTONET_MINI = (
    _MINI
    | dict(learners=("protonet",), filters=64, meta_batch=1, meta_steps=20_000)
    | dict(norm="inductive")
)
# Oh et al. 2021: one inner step.
_BOIL_MINI = dict(
    learners=("boil",), filters=64, inner_rate=0.5, inner_steps=1, test_steps=1, meta_steps=30_000
)
# Bertinetto et al. 2019, with MAML's width; theirs is wider and draws its shots.
_R2D2_MINI = _PROTONET_MINI | dict(learners=("r2d2",), meta_ways=16, meta_rate=5e-3)

PRESETS: dict[str, dict[str, Any]] = {
    "demo": dict(
        meta_classes=60,
        meta_images=20,
        filters=16,
        queries=5,
        meta_queries=5,
        tasks=50,
        meta_steps=60,
        inner_rate=0.4,
        inner_steps=2,
        test_steps=3,
        validate_every=30,
        validation_tasks=20,
        pretrain_steps=60,
    ),
    "cpu": dict(
        rotations=True,
        meta_queries=5,
        meta_steps=2000,
        meta_batch=4,
        meta_rate=5e-3,
        inner_rate=0.8,
        inner_steps=3,
        test_steps=5,
        pretrain_steps=2000,
        mapping="devices",
    ),
    **{
        f"maml_omniglot_{ways}w{shots}s": own
        | dict(learners=("maml",), shots=shots, meta_queries=shots)
        for ways, own in ((5, _OMNIGLOT_5), (20, _OMNIGLOT_20))
        for shots in (1, 5)
    },
    **{
        f"{learner}_mini_5w{shots}s": own | dict(learners=(learner,))
        for learner in ("maml", "first_order_maml", "anil")
        for shots, own in ((1, _MINI_1), (5, _MINI_5))
    },
    **{
        f"maml_plus_plus_omniglot_{ways}w{shots}s": _PLUS_PLUS_OMNIGLOT
        | dict(ways=ways, shots=shots)
        for ways, shots in ((5, 1), (20, 1), (20, 5))
    },
    **{f"maml_plus_plus_mini_5w{shots}s": _PLUS_PLUS_MINI | dict(shots=shots) for shots in (1, 5)},
    **{f"reptile_omniglot_5w{shots}s": _REPTILE_OMNIGLOT | dict(shots=shots) for shots in (1, 5)},
    **{f"reptile_mini_5w{shots}s": _REPTILE_MINI | dict(shots=shots) for shots in (1, 5)},
    **{
        f"protonet_mini_5w{shots}s": _PROTONET_MINI | dict(shots=shots, meta_ways=ways)
        for shots, ways in ((1, 30), (5, 20))
    },
    **{f"r2d2_mini_5w{shots}s": _R2D2_MINI | dict(shots=shots) for shots in (1, 5)},
    "boil_mini_5w1s": _MINI_1 | _BOIL_MINI,
    "boil_mini_5w5s": _MINI_5 | _BOIL_MINI,
}


def check(config: BenchmarkSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    least = {
        "seed": 0,
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
    more = ("reptile_batch", "pretrain_steps", "pretrain_batch", "filters", "size")
    for name, at_least in (least | dict.fromkeys((*names, *more), 1)).items():
        if getattr(config, name) < at_least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {at_least}")
    for name in ("meta_rate", "clip", "reptile_rate"):
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

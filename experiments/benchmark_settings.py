"""What a comparison of learners depends on, and its presets: ours, and those of the papers."""

import dataclasses
from functools import partial
from typing import Any

from metabone.commands.command import Preset
from metabone.errors import InputError
from metabone.report.published import few_shot
from metabone.workflows.family_settings import LEARNERS, WIDER, FamilySettings, check_family
from metabone.workflows.settings import check_least, setting

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
        "that it lacks are taken from train, and without a file from all, by hash.",
    )
    split_seed: int = _classes(
        0, "Of the split by hash; not --seed, so that runs of other seeds test on the same classes."
    )
    validation_classes: int = _classes(0, "Classes to choose checkpoints on; 0 for a tenth.")
    test_classes: int = _classes(0, "Classes never trained on; 0 for a tenth.")
    learners: tuple[str, ...] = _tests(LEARNERS, "Which are compared.")
    queries: int = _tests(15, "Query images a class, in tests.")
    tasks: int = _tests(2000, "Tasks of unseen classes, the same for every learner.")
    protocol: tuple[str, ...] = _tests(
        ("ours",),
        "ours (--tasks, --queries, inductive and transductive) and/or paper (600 tasks, "
        "transductive, --meta_queries a class).",
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
    for name, choices in (("learners", LEARNERS), ("protocol", PROTOCOLS)):
        given = getattr(config, name)
        if not given or not set(given) <= set(choices) or len(set(given)) < len(given):
            raise InputError(
                f"--{name}={','.join(given)}: expected different ones of {', '.join(choices)}"
            )


# Finn et al. 2017 and its published code; rates times the ways, since it sums over classes.
_OMNIGLOT = dict(
    rotations=True,
    protocol=("ours", "paper"),
    norm="transductive",
    meta_steps=60_000,
)
_OMNIGLOT_5 = _OMNIGLOT | dict(
    average=True, ways=5, meta_batch=32, inner_rate=2.0, inner_steps=1, test_steps=3
)
_OMNIGLOT_20 = _OMNIGLOT | dict(
    average=True, ways=20, meta_batch=16, inner_rate=2.0, inner_steps=5, test_steps=5
)
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
# Oh et al. 2021: its published code's settings, 4 tasks whatever the shots.
_BOIL_MINI = _MINI | dict(
    learners=("boil",), filters=64, meta_batch=4, inner_rate=0.5, inner_steps=1, test_steps=1
)
# Bertinetto et al. 2019, with MAML's width; theirs is wider and draws its shots.
_R2D2_MINI = _PROTONET_MINI | dict(learners=("r2d2",), meta_ways=16, meta_rate=5e-3)
_SETTINGS: dict[str, dict[str, Any]] = {
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
        inner_rate=0.4,
        inner_steps=3,
        test_steps=5,
        validation_tasks=200,
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
    **{f"boil_mini_5w{shots}s": _BOIL_MINI | dict(shots=shots) for shots in (1, 5)},
}

_HOURS = {
    "maml_omniglot_5w1s": "5 hours",
    "maml_omniglot_20w1s": "33 hours",
    "maml_plus_plus_omniglot_5w1s": "6.5 hours",
    "maml_plus_plus_omniglot_20w1s": "20 hours",
    "maml_mini_5w1s": "36 hours",
    "maml_mini_5w5s": "50 hours",
}
_PROMISES = {
    "demo": ("2 to 3 minutes on two cores", "simulated images: shows that it works, and no more"),
    "cpu": (
        "25 to 60 minutes on two cores",
        "Omniglot: protonet 96, r2d2 95, imaml 94, anil, meta_sgd and maml 93, boil 91, "
        "maml_plus_plus 90, logistic_head and first_order_maml 89, reptile 61 %",
    ),
}


def _promise(name: str) -> tuple[str, str]:
    """What a preset of a paper takes, as far as it was timed, and what was published."""
    settings = _SETTINGS[name]
    source = "omniglot" if "omniglot" in name else "mini_imagenet"
    learner, shots = settings["learners"][0], settings["shots"]
    published = few_shot(source, learner, settings.get("ways", 5), shots)
    figure = f"published {100 * published.accuracy:.1f} %, " if published else ""
    hours = _HOURS.get(name)
    takes = f"{hours} on two cores, by its first steps" if hours else "not timed; hours to days"
    return takes, f"{figure}not run to its end here"


PRESETS = {
    name: Preset(values, *(_PROMISES.get(name) or _promise(name)))
    for name, values in _SETTINGS.items()
}

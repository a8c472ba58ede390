"""Presets of the comparison of learners: ours, and one for each setting of the papers' authors."""

from typing import Any

from metabone.commands.command import Preset
from metabone.report.conditions import Conditions
from metabone.report.few_shot_papers import LINES

# Where a paper trains until validation stops, the outer steps here: those that help.
_UNTIL_IT_STOPS = 20_000

_NETWORKS: dict[str, dict[str, Any]] = {
    "omniglot": dict(rotations=True),
    "mini_imagenet": dict(size=84, channels=3, downsample="pool"),
}
# Networks by learner, where they are not of 64 filters with a linear layer on all last pixels.
_OWN_NETWORKS: dict[tuple[str, str], dict[str, Any]] = {
    ("omniglot", "maml"): dict(average=True, norm_scale=False),
    ("omniglot", "maml_plus_plus"): dict(downsample="pool"),
    ("omniglot", "protonet"): dict(downsample="pool"),
    ("omniglot", "r2d2"): dict(downsample="pool"),
    **{
        ("mini_imagenet", name): dict(filters=32, norm_scale=False)
        for name in ("maml", "first_order_maml", "anil")
    },
    ("mini_imagenet", "reptile"): dict(filters=32),
}
_SHORT = {"omniglot": "omniglot", "mini_imagenet": "mini"}


def settings_of(line: Conditions) -> dict[str, Any]:
    """The benchmark's settings that do as a paper's authors did.

    Losses here are means: where theirs are sums over images, divided by shots, an inner rate is
    `ways` times theirs, and a bound on the meta-gradient `shots / (ways * queries)` of it.
    """
    values: dict[str, Any] = dict(
        learners=(line.learning,),
        ways=line.ways,
        shots=line.shots,
        meta_ways=line.train_ways,
        meta_shots=line.train_shots,
        meta_queries=line.train_queries,
        meta_batch=line.meta_batch,
        meta_steps=line.meta_steps or _UNTIL_IT_STOPS,
        norm="running" if line.norm == "running" else "transductive",
        clip_by="none" if line.clip is None else "value",
        protocol=("ours", "paper"),
    )
    if line.clip is not None:
        share = line.shots / (line.ways * line.train_queries) if line.summed else 1.0
        values["clip"] = line.clip * share
    own = _reptile if line.learning == "reptile" else _by_adam
    network = _NETWORKS[line.source] | _OWN_NETWORKS.get((line.source, line.learning), {})
    return network | values | own(line)


def _by_adam(line: Conditions) -> dict[str, Any]:
    values = dict(meta_rate=line.meta_rate, schedule=line.schedule, **line.more)
    if line.schedule == "cosine":
        values["rate_end"] = line.rate_end
    if line.learning == "imaml":
        return values | dict(imaml_rate=line.inner_rate, imaml_steps=line.inner_steps)
    if line.inner_rate is not None:
        values |= dict(
            inner_rate=line.inner_rate * (line.ways if line.summed else 1),
            inner_steps=line.inner_steps,
            test_steps=line.test_steps,
        )
    if line.learning in ("maml", "first_order_maml"):
        values["adapt_norms"] = False
    return values


def _reptile(line: Conditions) -> dict[str, Any]:
    """Support and queries are one in its training: the last image of a class is the query."""
    return dict(
        meta_shots=line.train_shots - 1,
        meta_queries=1,
        inner_steps=line.inner_steps,
        reptile_rate=line.inner_rate,
        reptile_batch=line.more["inner_batch"],
        reptile_test_batch=line.more["test_batch"],
        reptile_test_steps=line.test_steps,
        reptile_moments="kept",
        reptile_sum=line.summed,
    )


def _name(line: Conditions) -> str:
    version = "" if line.version == "code" else f"_{line.version}"
    return f"{line.learning}_{_SHORT[line.source]}_{line.ways}w{line.shots}s{version}"


_DEMO = dict(
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
)
_CPU = dict(
    rotations=True,
    meta_queries=5,
    tasks=1000,
    trainings=3,
    meta_steps=1000,
    meta_batch=4,
    meta_rate=5e-3,
    inner_rate=0.4,
    inner_steps=3,
    test_steps=5,
    pretrain_steps=2000,
    mapping="devices",
)

_HOURS = {
    "maml_omniglot_5w1s": "5 hours",
    "maml_omniglot_20w1s": "33 hours",
    "maml_plus_plus_omniglot_5w1s": "6.5 hours",
    "maml_plus_plus_omniglot_20w1s": "20 hours",
    "maml_mini_5w1s": "36 hours",
    "maml_mini_5w5s_paper": "50 hours",
}


def _preset(line: Conditions) -> Preset:
    """What a setting of a paper takes, as far as it was timed, and what was published."""
    figure = ""
    if line.figure is not None:
        said = "published" if line.figure.confirmed else "published, unconfirmed,"
        figure = f"{said} {100 * line.figure.accuracy:.1f} %, "
    hours = _HOURS.get(_name(line))
    takes = f"{hours} on two cores, by its first steps" if hours else "not timed; hours to days"
    return Preset(settings_of(line), takes, f"{figure}not run to its end here")


PRESETS = {
    "demo": Preset(
        _DEMO,
        "2 to 3 minutes on two cores",
        "simulated images: shows that it works, and no more",
    ),
    "cpu": Preset(
        _CPU,
        "three trainings of each: 41 minutes on two idle cores, by its processor time",
        "Omniglot, inductive: protonet 94, imaml and maml_plus_plus 93, r2d2 92, maml, meta_sgd, "
        "anil and logistic_head 90, boil 88, first_order_maml 87, reptile 65 %",
    ),
    **{_name(line): _preset(line) for line in LINES},
}

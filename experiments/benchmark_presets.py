"""Settings of the comparison of learners by name: ours, and those of the learners' papers."""

from typing import Any

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

"""How the authors of learners that adapt by inner steps train and test them, with the places."""

from typing import Any

from metabone.report.conditions import CITED, WITH_SUPPORT, Conditions, Figure, figures_in, five_way

_MAML = "cbfinn/maml@a7f45f1"
_PLUS = "AntreasAntoniou/HowToTrainYourMAMLPytorch@8696470"
_REPTILE = "openai/supervised-reptile@8f2b71c"
_BOIL = "HJ-Yoo/BOIL@cba95c1"
_IMAML = "aravindr93/imaml_dev@6a2a669"

# Finn et al. 2017. Its generator draws 2K images a class for tests, so K are queries; batch norm
# has no scale, always the batch's statistics, and biases that are no part of what adapts.
_FINN = "Finn et al. 2017, table 1"
_FINN_A1 = "Finn et al. 2017, appendix A.1"
_maml_omniglot = Conditions(
    "omniglot",
    "maml",
    meta_batch=32,
    inner_steps=1,
    inner_rate=0.4,
    test_steps=3,
    train_queries=1,
    test_queries=1,
    summed=True,
    places=(f"{_MAML} main.py:11,163,251; maml.py:145-146,185-208; utils.py:41,58", _FINN_A1),
)
_maml_twenty = _maml_omniglot._replace(
    ways=20,
    meta_batch=16,
    inner_steps=5,
    inner_rate=0.1,
    test_steps=5,
    places=(f"{_MAML} main.py:14,163,251; maml.py:145-146,185-208; utils.py:41,58", _FINN_A1),
)
_shots_5 = dict(shots=5, train_queries=5, test_queries=5)
_maml_mini = Conditions(
    "mini_imagenet",
    "maml",
    inner_steps=5,
    inner_rate=0.01,
    test_steps=10,
    train_queries=15,
    test_queries=1,
    clip=10.0,
    summed=True,
    places=(f"{_MAML} main.py:17,20,163,228,247-249; maml.py:145-149,185-208; utils.py:41,58",),
)
_finn = figures_in(_FINN, 0.987, 0.999, 0.958, 0.989)
MAML_LINES = [
    _maml_omniglot._replace(figure=_finn[0]),
    _maml_omniglot._replace(figure=_finn[1], **_shots_5),
    _maml_twenty._replace(figure=_finn[2]),
    _maml_twenty._replace(figure=_finn[3], **_shots_5),
    *five_way(_maml_mini, figures_in(_FINN, 0.487, 0.6311), test_queries=5),
    _maml_mini._replace(
        version="paper",
        **_shots_5 | dict(train_queries=15),
        meta_batch=2,
        figure=Figure(0.6311, _FINN),
        places=(*_maml_mini.places, _FINN_A1),
    ),
    *five_way(
        _maml_mini._replace(
            learning="first_order_maml", places=(f"{_MAML} main.py:60", *_maml_mini.places)
        ),
        figures_in(_FINN, 0.4807, 0.6315),
        test_queries=5,
    ),
    # Raghu et al. 2020 say that they follow MAML; a repository of theirs was not found.
    *five_way(
        _maml_mini._replace(learning="anil", places=()),
        figures_in(CITED, 0.467, 0.615, confirmed=False),
        test_queries=5,
    ),
]

# Antoniou et al. 2019. Its files of settings name a first inner rate (0.01 on mini-ImageNet) that
# its code does not read, and switch off the annealing of the order that the paper describes.
_PLUS_FILE = "few_shot_learning_system.py:46,69-72,83-103,238-244,303-305,332-335"
_PLUS_NORM = "meta_neural_network_architectures.py:246"
_plus_omniglot = Conditions(
    "omniglot",
    "maml_plus_plus",
    inner_steps=5,
    inner_rate=0.1,
    test_steps=5,
    train_queries=1,
    test_queries=1,
    meta_batch=8,
    meta_steps=50_000,
    schedule="cosine",
    rate_end=0.01,
    places=(
        f"{_PLUS} experiment_config/omniglot_maml++-omniglot_1_8_0.1_64_5_0.json (and 5_8, 20_0); "
        f"{_PLUS_FILE}; {_PLUS_NORM}; experiment_builder.py:371",
    ),
    differs="an ensemble of the five checkpoints that validate best",
    more=dict(filters=64, step_weights_until=0.10, first_order_until=0.0),
)
_plus_mini = _plus_omniglot._replace(
    source="mini_imagenet",
    train_queries=15,
    test_queries=15,
    meta_batch=2,
    rate_end=1.0,
    clip=10.0,
    places=(
        f"{_PLUS} experiment_config/mini-imagenet_maml++-mini-imagenet_1_2_0.01_48_5_0.json (and "
        f"5_2); {_PLUS_FILE}; utils/parser_utils.py:41; {_PLUS_NORM}; experiment_builder.py:371",
    ),
    more=dict(filters=48, step_weights_until=0.15, first_order_until=0.0),
)
_PLUS_READ = "paperswithcode.com/paper/how-to-train-your-maml, which cites it"
_plus = figures_in(_PLUS_READ, 0.9947, 0.9985, 0.9765, 0.9933, confirmed=False)
# A later version of the paper is cited with 52.15 and 68.32.
_plus_figures = figures_in(_PLUS_READ, 0.5240, 0.6715, confirmed=False)
PLUS_LINES = [
    _plus_omniglot._replace(ways=ways, shots=shots, figure=figure)
    for (ways, shots), figure in zip(((5, 1), (5, 5), (20, 1), (20, 5)), _plus, strict=True)
]
PLUS_LINES += five_way(_plus_mini, _plus_figures)
PLUS_LINES += five_way(
    _plus_mini._replace(
        version="paper", inner_rate=0.01, more={**_plus_mini.more, "first_order_until": 0.5}
    ),
    _plus_figures,
)

# Nichol et al. 2018: the commands of its README. One query a class; Adam's moments go on over tasks
# and into tests; with `--transductive` queries are a batch of their own.
_REPTILE_CODE = "supervised_reptile/reptile.py:62-74,112-134; models.py:18-27,38-48; args.py:35"
_REPTILE_READ = "Nichol et al. 2018, tables 1 and 2, by public copies that agree"
_reptile = Conditions(
    "omniglot",
    "reptile",
    inner_steps=5,
    inner_rate=1e-3,
    test_steps=50,
    train_shots=10,
    train_queries=0,
    test_queries=1,
    meta_batch=5,
    meta_steps=100_000,
    meta_rate=1.0,
    schedule="linear",
    summed=True,
    tasks=10_000,
    more=dict(inner_batch=10, test_batch=5),
)


def _of_reptile(line: str, accuracy: float, **own: Any) -> Conditions:
    figure = Figure(accuracy, _REPTILE_READ, confirmed=False)
    place = f"{_REPTILE} README.md:{line}; {_REPTILE_CODE}"
    return _reptile._replace(figure=figure, places=(place,), **own)


_twenty = dict(
    ways=20,
    inner_steps=10,
    inner_rate=5e-4,
    meta_steps=200_000,
    norm=WITH_SUPPORT,
    more=dict(inner_batch=20, test_batch=10),
)
_mini = dict(source="mini_imagenet", inner_steps=8, train_shots=15, norm=WITH_SUPPORT)
REPTILE_LINES = [
    _of_reptile("35", 0.9768),
    _of_reptile("47", 0.9890, shots=5, norm=WITH_SUPPORT),
    _of_reptile("53", 0.8814, **_twenty),
    _of_reptile("56", 0.9665, shots=5, **_twenty),
    _of_reptile("44", 0.4707, **_mini),
    _of_reptile("41", 0.6274, shots=5, **_mini, more=dict(inner_batch=10, test_batch=15)),
]

# Oh et al. 2021: defaults of main.py, since its script is of another data set. The table of its
# README (5 x 1,000 tasks); the paper is cited with 49.61 and 66.45.
_boil = Conditions(
    "mini_imagenet",
    "boil",
    inner_steps=1,
    inner_rate=0.5,
    test_steps=1,
    meta_steps=30_000,
    tasks=5_000,
    places=(
        f"{_BOIL} main.py:134-148; run_4conv.sh:16-27; maml/model.py:14-20; maml/utils.py:13,"
        "156-186; README.md:48",
    ),
)
BOIL_LINES = five_way(_boil, figures_in(f"{_BOIL} README.md, table 1", 0.4965, 0.6532))

# Rajeswaran et al. 2019. Its figures were not found in the paper's own words.
IMAML_LINES = [
    Conditions(
        "omniglot",
        "imaml",
        inner_steps=16,
        inner_rate=0.1,
        test_steps=16,
        train_queries=1,
        test_queries=1,
        meta_batch=32,
        meta_steps=20_000,
        places=(
            f"{_IMAML} examples/README.md:12-17; examples/omniglot_implicit_maml.py:103-145; "
            "examples/measure_accuracy.py:71-84; implicit_maml/learner_model.py:143-155",
        ),
        differs="its code damps the system and takes one step of the pull after all others",
        more=dict(proximity=2.0),
    )
]

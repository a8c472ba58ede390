"""Figures that others have published, to stand beside ours.

They were measured on other images. A table that shows them says so.
"""

from typing import NamedTuple


class Reference(NamedTuple):
    """A publication whose figures stand beside ours.

    Attributes:
      name: as cited in running text.
      citation: as cited in a list.
      caveat: why its figures and ours are not the same measurement.
      regions: its accuracy by region, in the order of our regions, or empty.
      regions_caveat: what is unstated about them.
    """

    name: str
    citation: str
    caveat: str
    regions: tuple[float, ...] = ()
    regions_caveat: str = ""


# Table 2: accuracy on unseen classes of the meta-data by (learning, model), then shots.
MIN_KANG_2018_TABLE_2 = {
    ("base", "pretrained"): {5: 0.519, 10: 0.586, 20: 0.693},
    ("base", "scratch"): {5: 0.273, 10: 0.312, 20: 0.359},
    ("meta", "pretrained"): {5: 0.733, 10: 0.760, 20: 0.819},
    ("meta", "scratch"): {5: 0.533, 10: 0.599, 20: 0.800},
}

# Table 3: accuracy on the SMI films by (learning, model), then shots.
MIN_KANG_2018_TABLE_3 = {
    ("base", "pretrained"): {5: 0.424, 10: 0.457, 20: 0.506},
    ("base", "scratch"): {5: 0.231, 10: 0.314, 20: 0.386},
    ("meta", "pretrained"): {5: 0.471, 10: 0.571, 20: 0.693},
    ("meta", "scratch"): {5: 0.533, 10: 0.566, 20: 0.659},
}

# Table 4: accuracy of regions 1 to 6, each alone.
MIN_KANG_2018_TABLE_4 = (0.630, 0.459, 0.500, 0.699, 0.599, 0.500)

MIN_KANG_2018 = Reference(
    name="Min and Kang 2018",
    citation=(
        "Min, J. W. and Kang, D. J. (2018). Deep Meta Learning Based Classification Problem "
        "Learning Method for Skeletal Maturity Indication. Journal of Korea Multimedia Society "
        "21(2). Tables 3 and 4."
    ),
    caveat=(
        "measured on another data set, 865 private hand-wrist films; mean of 5 runs of 75 films, "
        "with no interval stated"
    ),
    regions=MIN_KANG_2018_TABLE_4,
    regions_caveat="the paper does not state the learner, the films a class, or every joint",
)

MIN_KANG_2018_META_DATA = Reference(
    name="Min and Kang 2018",
    citation=MIN_KANG_2018.citation.replace("Tables 3 and 4", "Table 2"),
    caveat=(
        "measured on classes of Tiny ImageNet and CIFAR-100, its backbone downloaded; mean of 5 "
        "runs of 75 images, with no interval stated"
    ),
)


def min_kang_2018_table_2(learning: str, model: str, shots: int) -> float | None:
    """Accuracy that Min and Kang (2018, Table 2) report on meta-data, if they report it.

    Example:
      >>> min_kang_2018_table_2("meta", "scratch", 20)
      0.8
    """
    return MIN_KANG_2018_TABLE_2.get((learning, model), {}).get(shots)


def min_kang_2018(learning: str, model: str, shots: int) -> float | None:
    """Accuracy that Min and Kang (2018, Table 3) report for a cell, if they report it.

    Example:
      >>> min_kang_2018("meta", "scratch", 5)
      0.533
      >>> min_kang_2018("meta", "scratch", 1) is None
      True
    """
    return MIN_KANG_2018_TABLE_3.get((learning, model), {}).get(shots)


# Accuracy on unseen classes by source, (ways, shots), then learner: the papers' own figures, see
# the caveat of `FEW_SHOT`.
_FEW_SHOT = {
    "omniglot": {
        (5, 1): {"maml": 0.987, "maml_plus_plus": 0.9947, "reptile": 0.9768},
        (5, 5): {"maml": 0.999, "reptile": 0.9948},
        (20, 1): {"maml": 0.958, "maml_plus_plus": 0.9765},
        (20, 5): {"maml": 0.989, "maml_plus_plus": 0.9933},
    },
    "mini_imagenet": {
        (5, 1): {
            "maml": 0.487,
            "first_order_maml": 0.4807,
            "maml_plus_plus": 0.5240,
            "boil": 0.4961,
            "protonet": 0.494,
            "r2d2": 0.512,
            "reptile": 0.4707,
        },
        (5, 5): {
            "maml": 0.631,
            "first_order_maml": 0.6315,
            "maml_plus_plus": 0.6715,
            "anil": 0.615,
            "boil": 0.6645,
            "protonet": 0.682,
            "r2d2": 0.673,
            "reptile": 0.6274,
        },
    },
}

# What was measured how, by source and learner, as far as the papers and their published code say.
_FEW_SHOT_CONDITIONS = {
    "omniglot": {
        "maml": "transductive, as many queries as shots",
        "maml_plus_plus": "an ensemble of five checkpoints, batch statistics of the queries",
        "reptile": "transductive, trained on 10 shots",
    },
    "mini_imagenet": {
        "maml": "transductive, 600 tasks",
        "first_order_maml": "transductive, 600 tasks",
        "maml_plus_plus": "an ensemble of five checkpoints, batch statistics of the queries",
        "anil": "MAML's network, data and schedule",
        "boil": "64 filters",
        "protonet": "64 filters, trained on 30 (1 shot) or 20 ways (5 shots), 600 tasks",
        "r2d2": "blocks of 96 to 512 filters, 10,000 tasks",
        "reptile": "inductive, trained on 15 shots",
    },
}

FEW_SHOT = Reference(
    name="the learner's paper",
    citation=(
        "Finn et al. 2017; Antoniou et al. 2019; Raghu et al. 2020; Oh et al. 2021; Nichol et al. "
        "2018; Snell et al. 2017; Bertinetto et al. 2019."
    ),
    caveat=(
        "measured on the data sets' own test classes after training on all of their training "
        "images; ours saw less data and other test classes"
    ),
)


class Published(NamedTuple):
    """A published accuracy, and how it was measured."""

    accuracy: float
    conditions: str


def few_shot(source: str, learning: str, ways: int, shots: int) -> Published | None:
    """What a learner's paper reports on a source's data, if it does.

    Example:
      >>> few_shot("omniglot:FILE.npz", "maml", 5, 1)
      Published(accuracy=0.987, conditions='transductive, as many queries as shots')
      >>> few_shot("simulated:bones", "maml", 5, 1) is None
      True
    """
    kind = source.partition(":")[0]
    accuracy = _FEW_SHOT.get(kind, {}).get((ways, shots), {}).get(learning)
    return accuracy and Published(accuracy, _FEW_SHOT_CONDITIONS[kind][learning])

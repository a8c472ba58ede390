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


FEW_SHOT = Reference(
    name="the learner's paper",
    citation=(
        "Finn et al. 2017; Antoniou et al. 2019; Raghu et al. 2020; Oh et al. 2021; Nichol et al. "
        "2018; Snell et al. 2017; Bertinetto et al. 2019; Rajeswaran et al. 2019. Each figure has "
        "the place that it and its conditions were read in."
    ),
    caveat=(
        "measured on the data sets' own test classes after training on all of their training "
        "images; ours saw less data and other test classes"
    ),
)

"""Errors that others have published for bone age by transfer learning, beside ours."""

from typing import NamedTuple

from metabone.report.age_rows import (
    GROUPS,
    TOLD,
    age_rows,
    best_of,
    error_of,
    medians_of,
    name_of,
    of_most_films,
    title_of,
)
from metabone.report.published import Reference
from metabone.report.result import Result, select
from metabone.report.tables import ABSENT, Cell, Table

MEDIAN = 33.0
"""Mean absolute error of the median of the challenge's training ages, months."""

ZHAO_2018 = Reference(
    name="Zhao et al. 2018",
    citation=(
        "Zhao, C., Han, J., Jia, Y., Fan, L. and Gou, F. (2018). Versatile Framework for Medical "
        "Image Processing and Analysis with Application to Automatic Bone Age Assessment. Journal "
        "of Healthcare Engineering 2018."
    ),
    caveat=(
        "Xception at 299 pixels on the 12,611 films of the challenge. Their published code draws "
        "a new split for each stage and scores on films that earlier stages were trained on, so "
        "that these errors are smaller than those on new films"
    ),
)

NIKLAUS_ZBINDEN_2018 = Reference(
    name="Niklaus and Zbinden 2018",
    citation=(
        "Niklaus, J. and Zbinden, L. (2018). From chest to hand X-rays: transfer learning for "
        "skeletal age prediction. PyData Zurich, slides."
    ),
    caveat=(
        "Inception V3 at 299 pixels, one training each, measured on a fifth of the challenge's "
        "films; their published code changes validation films as it does training films and reads "
        "sex in another order than films"
    ),
)


class PacedErrors(NamedTuple):
    """Mean absolute errors of all, male and female, months.

    Attributes:
      name: what was trained.
      enhanced: on films that a network had enhanced.
      raw: on films as they are.
    """

    name: str
    enhanced: tuple[float, float, float]
    raw: tuple[float, float, float]


# By the name of our arm.
ZHAO_2018_PACED = {
    "head": PacedErrors("the head", (28.168, 28.271, 25.982), (28.731, 30.388, 26.180)),
    "block exit": PacedErrors("exit flow up", (12.695, 10.082, 11.242), (16.635, 14.702, 12.915)),
    "block middle": PacedErrors("middle flow up", (11.213, 8.339, 8.115), (11.511, 8.146, 11.835)),
    "block entry": PacedErrors("entry flow up", (9.796, 7.626, 8.337), (9.695, 9.175, 8.060)),
    "all": PacedErrors("all at once", (9.141, 6.923, 7.265), (8.305, 8.923, 7.666)),
    "paced": PacedErrors("paced", (7.664, 5.991, 6.263), (8.074, 7.495, 7.256)),
}


class ChestError(NamedTuple):
    """One line of the published comparison.

    Attributes:
      before: what the network had learned before.
      origins: what ours are called that begin likewise.
      trained: how much of it was trained on hands, and how long.
      error: mean absolute error, months.
    """

    before: str
    origins: tuple[str, ...]
    trained: str
    error: float


_NATURAL = ("images", "mini_imagenet", "published")
_CHEST = ("chest 0-20",)
NIKLAUS_ZBINDEN_2018_ERRORS = (
    ChestError("ImageNet", _NATURAL, "50 epochs", 76.8),
    ChestError("ImageNet", _NATURAL, "250 epochs", 8.8),
    ChestError("nothing", ("random",), "250 epochs", 10.8),
    ChestError("chests, 0-20 years", _CHEST, "30 layers, 50 epochs", 33.9),
    ChestError("chests, 0-20 years", _CHEST, "100 layers, 50 epochs", 37.0),
    ChestError("chests, 0-20 years", _CHEST, "100 layers, 250 epochs", 41.8),
    ChestError("chests, 0-20 years", _CHEST, "50 layers, 250 epochs", 34.5),
    ChestError("chests, 0-20 years", _CHEST, "20 layers, 250 epochs", 36.7),
    ChestError("chests, 0-20 years", _CHEST, "30 layers, 250 epochs", 35.8),
)


def paced_table(result: Result) -> Table | None:
    """Our arms beside the published ones that train the same; None where no arm is paced."""
    rows = of_most_films(age_rows(result))
    if not select(rows, arm="paced"):
        return None
    lines = [
        (Cell(str(row["arm"])), Cell(ABSENT), *(Cell(error_of(row, group)) for group in GROUPS))
        for row in medians_of(rows)
    ]
    for arm, paper in ZHAO_2018_PACED.items():
        ours = best_of(select(rows, arm=arm))
        cells = (
            Cell(error_of(ours, group) if ours else ABSENT, f"{enhanced:.1f}; {raw:.1f}")
            for group, enhanced, raw in zip(GROUPS, paper.enhanced, paper.raw, strict=True)
        )
        who = name_of({**ours, "arm": ""}) if ours else ABSENT
        lines.append((Cell(paper.name), Cell(who), *cells))
    return Table(
        title=title_of(result, rows, f"Paced transfer beside {ZHAO_2018.name}, months", *TOLD),
        columns=("trained", "ours", *GROUPS),
        labels=2,
        rows=tuple(lines),
        notes=(
            f"[In brackets] {ZHAO_2018.name}, on films that a network enhanced; on raw films: "
            f"{ZHAO_2018.caveat}. The median of the challenge's training ages scores "
            f"{MEDIAN:.1f}.",
            "Ours: of all that train the same, the one that other films choose.",
            ZHAO_2018.citation,
        ),
    )


def chest_table(result: Result) -> Table | None:
    """Our origins beside the published ones; None where nothing begins with chests."""
    rows = of_most_films(age_rows(result))
    if not any(str(row.get("origin")).startswith("chest") for row in rows):
        return None
    lines = []
    for row in medians_of(rows):
        published = f"{MEDIAN:.1f}" if row["arm"] == "median" else ABSENT
        texts = (f"the {row['arm']}", ABSENT, published, error_of(row))
        lines.append(tuple(map(Cell, texts)))
    before = None
    for paper in NIKLAUS_ZBINDEN_2018_ERRORS:
        ours = best_of([row for row in rows if row.get("origin") in paper.origins])
        told = Cell(error_of(ours), name_of(ours)) if ours else Cell(ABSENT)
        # Ours once, on the first of the lines that it stands beside.
        told = Cell("") if paper.before == before else told
        before = paper.before
        texts = (paper.before, paper.trained, f"{paper.error:.1f}")
        lines.append((*map(Cell, texts), told))
    return Table(
        title=title_of(
            result, rows, f"From chest to hand beside {NIKLAUS_ZBINDEN_2018.name}, months", *TOLD
        ),
        columns=("learned before", "then trained on hands", "published", "ours"),
        labels=2,
        rows=tuple(lines),
        notes=(
            f"Published: {NIKLAUS_ZBINDEN_2018.name}: {NIKLAUS_ZBINDEN_2018.caveat}. The median of "
            f"the challenge's training ages scores {MEDIAN:.1f}.",
            "Ours: of all that began likewise, the one that other films choose [which it is].",
            NIKLAUS_ZBINDEN_2018.citation,
        ),
    )

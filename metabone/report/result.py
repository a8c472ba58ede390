"""What a result.json says: its rows, the scale of its figures, the kind of its data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metabone.report.published import (
    FEW_SHOT,
    MIN_KANG_2018,
    MIN_KANG_2018_META_DATA,
    Reference,
)

Row = Mapping[str, Any]
Result = Mapping[str, Any]


class Presentation(NamedTuple):
    """What tables and reports say around the figures of an experiment.

    Attributes:
      title: of the report.
      question: what the experiment asked, one sentence.
      noun: what its images are called: films, images.
      reference: whose figures stand beside ours, if anyone's.
    """

    title: str
    question: str = ""
    noun: str = "images"
    reference: Reference | None = None


_PRESENTATIONS = {
    "smi": Presentation(
        title="Skeletal maturity from a few films a class",
        question=(
            "When only a few labelled hand-wrist films of each maturity class are at hand, does "
            "an initialisation meta-learned on other images read new films better than ordinary "
            "training?"
        ),
        noun="films",
        reference=MIN_KANG_2018,
    ),
    "meta_dataset": Presentation(
        title="Unseen classes from a few images each",
        question=(
            "After meta-training on many classes, how well are classes that were never seen "
            "learned from a few images each, against transfer learning and training from scratch?"
        ),
        reference=MIN_KANG_2018_META_DATA,
    ),
    "benchmark": Presentation(
        title="Few-shot learners under one protocol",
        question=(
            "Which learner tells classes that were never seen apart best from a few images each, "
            "on the same tasks?"
        ),
        reference=FEW_SHOT,
    ),
    "pretrain": Presentation(
        title="A pre-trained backbone",
        question=(
            "How well do new layers on its frozen features learn validation classes, which it was "
            "not trained on, from a few images each?"
        ),
    ),
    "medical": Presentation(
        title="Few images of small medical sets",
        question=(
            "With a few labelled images a class, does anything that is meta-learned read more than "
            "a probe on the same frozen features?"
        ),
    ),
    "key_points": Presentation(
        title="The key points of hands",
        question="How far from their place are the 21 points of a hand that the network finds?",
        noun="films",
    ),
    "bone_age": Presentation(
        title="Bone age in months",
        question=(
            "How far is bone age off when a network reads it from films of hands, and what does "
            "it help to have learned from other images, block by block, from regions, with sex?"
        ),
        noun="films",
    ),
}


def presentation_of(result: Result) -> Presentation:
    """The presentation of a known experiment, or a plain one under its name."""
    name = str(result.get("experiment", "experiment"))
    return _PRESENTATIONS.get(name, Presentation(title=name.replace("_", " ")))


class Scale(NamedTuple):
    """How a metric is written: its name, unit, factor, decimals, and which way is better."""

    name: str
    unit: str = ""
    factor: float = 1.0
    decimals: int = 3
    higher_is_better: bool = True

    def figure(self, value: float) -> str:
        """The bare number, as 71.0 for an accuracy of 0.71."""
        return f"{value * self.factor:.{self.decimals}f}"

    def signed(self, value: float) -> str:
        """The number with its sign, for differences."""
        return f"{value * self.factor:+.{self.decimals}f}"

    def estimate(self, mean: float, ci95: float | None) -> str:
        """Mean and interval, as 71.0 ± 2.0; the mean alone if there is no interval."""
        return self.figure(mean) + ("" if ci95 is None else f" ± {self.figure(ci95)}")

    @property
    def heading(self) -> str:
        """Name and unit, as `Accuracy, %`."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


_SCALES = {
    "accuracy": Scale("Accuracy", "%", 100.0, 1),
    "mae": Scale("Mean absolute error", "months", 1.0, 1, higher_is_better=False),
    "mae_stages": Scale("Mean absolute error", "stages", 1.0, 2, higher_is_better=False),
    "kappa": Scale("Quadratic weighted kappa", decimals=2),
    "auroc": Scale("Area under the ROC curve", decimals=3),
    "point_error": Scale("Median error", "% of hand length", 100.0, 2, higher_is_better=False),
    "points_beyond": Scale("Points off by over 5 %", "%", 100.0, 2, higher_is_better=False),
    "joints_within": Scale("Hands with six joints within 5 %", "%", 100.0, 1),
    "ece": Scale("Expected calibration error", "%", 100.0, 1, higher_is_better=False),
}


POINT_METRICS = ("point_error", "points_beyond", "joints_within")
"""Of key points; their rows know no shots."""


def scale_of(metric: str) -> Scale:
    """How to write a metric; an unknown one keeps its name and three decimals."""
    return _SCALES.get(metric, Scale(metric.replace("_", " ").capitalize()))


def select(rows: Iterable[Row], **fields: Any) -> list[Row]:
    """Rows whose fields all have the values given; an absent field counts as None.

    Example:
      >>> select([{"shots": 5}, {"shots": 10}], shots=5)
      [{'shots': 5}]
    """
    return [r for r in rows if all(r.get(name) == value for name, value in fields.items())]


def main_rows(result: Result, norm: str | None) -> list[Row]:
    """Rows of the experiment's first metric that answer for the whole film, not one region."""
    rows = [r for r in result.get("rows", ()) if norm is None or r.get("norm") == norm]
    rows = [r for r in rows if "metric" in r and r["metric"] not in POINT_METRICS]
    whole = [r for r in rows if r.get("region") in (None, "vote")]
    if not whole and len({r["region"] for r in rows}) == 1:
        whole = rows
    return select(whole, metric=whole[0].get("metric")) if whole else []


def region_rows(result: Result, norm: str | None) -> list[Row]:
    """Rows of what reads single regions, those of all together too; none of but one region."""
    rows = [r for r in result.get("rows", ()) if r.get("norm") == norm and r.get("region")]
    single = [r for r in rows if isinstance(r["region"], int)]
    if len(distinct(single, "region")) < 2:
        return []
    voting = set(distinct(single, "learning", "model"))
    return [r for r in rows if (r.get("learning"), r.get("model")) in voting]


def distinct(rows: Iterable[Row], *fields: str) -> list[Any]:
    """Values of a field, or tuples of several, in order of first appearance."""
    values = [tuple(r.get(f) for f in fields) for r in rows]
    unique = list(dict.fromkeys(values))
    return [v[0] for v in unique] if len(fields) == 1 else unique


def shots_of(rows: Iterable[Row]) -> list[int]:
    """Numbers of support images a class, ascending."""
    return sorted({r["shots"] for r in rows if r.get("shots") is not None})


def kinds_of(result: Result, role: str = "target") -> tuple[str, ...]:
    """Kinds of the data in a role (simulated, real), sorted; of all data if none has the role."""
    data = [d for d in result.get("data", ()) if isinstance(d, Mapping)]
    of_role = [d for d in data if d.get("role") == role] or data
    return tuple(sorted({str(d.get("kind") or "unstated") for d in of_role}))


def data_label(result: Result, noun: str = "images", role: str = "target") -> str:
    """What a figure was measured on, as `simulated films` or `real films`.

    Example:
      >>> data_label({"data": [{"role": "target", "kind": "real"}]}, "films")
      'real films'
    """
    kinds = kinds_of(result, role)
    if not kinds or kinds == ("unstated",):
        return f"{noun} of unstated kind"
    return f"{' and '.join(kinds)} {noun}"


def chance_of(result: Result, row: Row) -> float | None:
    """Accuracy of guessing among balanced classes, 1 / ways; None where no number is known.

    Example:
      >>> chance_of({"ways": 5}, {"metric": "accuracy"})
      0.2
      >>> chance_of({"ways": 5}, {"metric": "mae"}) is None
      True
    """
    classes = row.get("ways") or result.get("ways") or len(result.get("class_names", ()))
    return 1 / classes if row.get("metric") == "accuracy" and classes else None


def near_chance(mean: float, chance: float) -> bool:
    """Whether an accuracy goes less than a tenth of the way from guessing to perfect.

    That share of the way is Cohen's kappa on balanced classes, where a tenth is the middle of what
    Landis and Koch (1977) call slight agreement.

    Example:
      >>> near_chance(0.27, 0.2), near_chance(0.29, 0.2)
      (True, False)
    """
    return mean - chance < 0.1 * (1 - chance)


class Gain(NamedTuple):
    """How far meta-learning is above base learning in one cell, positive is better.

    Attributes:
      model: network of both.
      shots: support images a class of both.
      difference: of the two means, in the metric's own scale.
      together: half width of the difference where it is paired, else the sum of the two half
        widths, or None if an interval is missing.
      metric: what was measured.
      paired: whether the interval is of differences on the same tasks, or films.
      unit: what is drawn, tasks or draws of films.
      trainings: how often either was trained, the fewer; 0 where neither was.
    """

    model: str
    shots: int
    difference: float
    together: float | None
    metric: str
    paired: bool = False
    unit: str = "tasks"
    trainings: int = 1

    @property
    def beyond(self) -> bool:
        """Whether meta is above by more than the interval, or intervals, allow."""
        return self.together is not None and self.difference > self.together


def gains(rows: Sequence[Row]) -> list[Gain]:
    """Compare meta with base learning of one model and number of shots, wherever there are both."""
    found = []
    for model in distinct(rows, "model"):
        for shots in shots_of(rows):
            cell = {
                r.get("learning"): r
                for r in select(rows, model=model, shots=shots)
                if r.get("mean") is not None
            }
            if "meta" not in cell or "base" not in cell:
                continue
            meta, base = cell["meta"], cell["base"]
            sign = 1.0 if scale_of(meta["metric"]).higher_is_better else -1.0
            paired = base.get("to_meta_ci95")
            widths = [meta.get("ci95"), base.get("ci95")] if paired is None else [paired]
            found.append(
                Gain(
                    model=model,
                    shots=shots,
                    difference=sign * (meta["mean"] - base["mean"]),
                    together=None if None in widths else sum(widths),
                    metric=meta["metric"],
                    paired=paired is not None,
                    unit=str(meta.get("unit", "draws")),
                    trainings=min(
                        {row.get("trainings", 1) for row in (meta, base)} - {0}, default=0
                    ),
                )
            )
    return found


def paired_by(found: Sequence[Gain]) -> str:
    """What pairs the two learners of gains, in a word."""
    return "film" if found[0].unit == "draws" else "task"


def beyond_means(found: Sequence[Gain]) -> str:
    """In a phrase what a difference beyond its interval is; other trainings may undo it of one."""
    if all(gain.trainings > 1 for gain in found):
        return "a difference beyond it is clear"
    noun = paired_by(found)
    return (
        f"a difference beyond it is more than other {noun}s explain; of one training each, others "
        "may undo it"
    )


def norms_of(result: Result) -> list[str | None]:
    """Batch-norm modes that the result has, the headline's (inductive) first."""
    found = distinct(result.get("rows", ()), "norm")
    return sorted(found, key=lambda norm: (norm != "inductive", str(norm)))

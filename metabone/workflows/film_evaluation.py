"""How well a model reads films that it had not learned from, in figures and in words."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabone.evaluation.calibration import expected_calibration_error
from metabone.evaluation.metrics import mean_absolute_error, quadratic_weighted_kappa
from metabone.workflows.confidence import (
    LEVEL,
    SIGNIFICANCE,
    Share,
    chance_of,
    conformal_limit,
    conformal_sets,
    fit_temperature,
    independent_films,
    log_loss,
    probabilities_of,
    wilson,
)

FEW = 100
"""Below so many films what is said of calibration is itself uncertain."""

_BINS = 10


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model by cross-validation on its labelled films.

    Attributes:
      films: how many.
      units: those that are independent: copies and films of one patient count as one. Intervals and
        the test are of so many, or of fewer where some have more films, see
        `confidence.independent_films`.
      folds: parts that were read by what was adapted to the others.
      accuracy: share read rightly, with Wilson's 95 % interval.
      by_class: the same of each class.
      commonest: share of the commonest class, which answering it always gets right.
      p_value: how likely that guess is to be right at least as often, see `confidence.chance_of`.
      baselines: accuracy of much simpler readings, by name.
      temperature: by which logits are divided.
      loss: log loss in nats without and with a temperature, each film's fitted on the other folds.
      calibration: expected calibration error likewise.
      set_limit: least probability of a class in a conformal set.
      set_coverage: share of films whose set holds their class, its limit from the other folds.
      set_size: mean number of classes in these sets.
      stage_error: of ordered classes the mean distance between answer and truth; else None.
      kappa: of ordered classes quadratic weighted kappa (Cohen 1968), None also where there is
        one answer alone.
    """

    films: int
    units: int
    folds: int
    accuracy: Share
    by_class: tuple[Share, ...]
    commonest: float
    p_value: float
    baselines: Mapping[str, Share]
    temperature: float
    loss: tuple[float, float]
    calibration: tuple[float, float]
    set_limit: float
    set_coverage: float
    set_size: float
    stage_error: float | None = None
    kappa: float | None = None

    @property
    def better(self) -> bool:
        """Whether the model has been shown to be better than guessing."""
        return self.p_value < SIGNIFICANCE and self.accuracy.value > self.commonest

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Evaluation":
        """The evaluation whose `dataclasses.asdict` went through JSON."""
        given = dict(record)
        for name in ("loss", "calibration"):
            given[name] = tuple(map(float, given[name]))
        for name in ("stage_error", "kappa"):
            given[name] = None if given.get(name) is None else float(given[name])
        given["accuracy"] = Share(*given["accuracy"])
        given["by_class"] = tuple(Share(*each) for each in given["by_class"])
        given["baselines"] = {name: Share(*each) for name, each in given["baselines"].items()}
        return cls(**given)


def evaluate(
    logits: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    units: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    *,
    ordered: bool = False,
) -> Evaluation:
    """Judges answers on films that had not been learned from.

    Args:
      logits: `[n, K]`.
      labels: `[n]` int.
      folds: `[n]` int.
      units: `[n]` int, see `folds.units_of`.
      baselines: answers `[n]` int of simpler readings under the same folds, by name.
      ordered: whether classes are stages.
    """
    count = len(labels)
    independent = independent_films(units)
    answers = logits.argmax(-1)
    right = answers == labels
    commonest = float(np.bincount(labels).max() / count)
    plain, calibrated = probabilities_of(logits, 1.0), np.empty(logits.shape)
    sets, loss = np.zeros(logits.shape, bool), 0.0
    for fold in range(folds.max() + 1):
        asked, others = folds == fold, folds != fold
        temperature = fit_temperature(logits[others], labels[others])
        calibrated[asked] = probabilities_of(logits[asked], temperature)
        loss += log_loss(logits[asked], labels[asked], temperature) * asked.sum() / count
        seen = probabilities_of(logits[others], temperature)
        sets[asked] = conformal_sets(calibrated[asked], conformal_limit(seen, labels[others]))
    temperature = fit_temperature(logits, labels)
    return Evaluation(
        films=count,
        units=len(np.unique(units)),
        folds=int(folds.max()) + 1,
        accuracy=wilson(right.mean(), independent),
        by_class=tuple(
            wilson(right[labels == k].mean(), independent_films(units[labels == k]))
            for k in range(logits.shape[1])
        ),
        commonest=commonest,
        p_value=chance_of(right.mean(), independent, commonest),
        baselines={
            name: wilson((simpler == labels).mean(), independent)
            for name, simpler in baselines.items()
        },
        temperature=temperature,
        loss=(log_loss(logits, labels), loss),
        calibration=tuple(
            expected_calibration_error(each, labels, bins=_BINS) for each in (plain, calibrated)
        ),
        set_limit=conformal_limit(probabilities_of(logits, temperature), labels),
        set_coverage=float(sets[np.arange(count), labels].mean()),
        set_size=float(sets.sum(-1).mean()),
        stage_error=mean_absolute_error(labels, answers) if ordered else None,
        kappa=_kappa(labels, answers, logits.shape[1]) if ordered else None,
    )


def _kappa(labels: np.ndarray, answers: np.ndarray, classes: int) -> float | None:
    found = quadratic_weighted_kappa(labels, answers, classes)
    return None if np.isnan(found) else found


def percent(share: float) -> str:
    """A share in percent, to a tenth."""
    return f"{100 * share:.1f} %"


def told(share: Share) -> str:
    """A share with its interval in words."""
    return f"{percent(share.value)} (95 % interval {100 * share.low:.1f} to {percent(share.high)})"


def verdict(found: Evaluation) -> str:
    """One plain sentence: whether the model is better than guessing."""
    figures = (
        f"{told(found.accuracy)} of {found.films} films that it had not learned from are read "
        f"rightly, where always answering the commonest class gets {percent(found.commonest)}"
    )
    if found.better:
        return f"Better than guessing: {figures} (p {_p(found.p_value)})."
    return (
        f"Not better than guessing, as far as {found.films} films can tell: {figures} "
        f"(p {_p(found.p_value)}; below {SIGNIFICANCE} was asked for). Do not use it."
    )


def in_words(found: Evaluation, classes: Sequence[Any]) -> dict[str, str]:
    """Everything that was found, heading to sentence, the verdict last."""
    best = max(found.baselines, key=lambda name: found.baselines[name].value)
    as_good = found.baselines[best].value >= found.accuracy.value
    told_units = (
        ""
        if found.units == found.films
        else (f"; copies, and films of one patient, count as one: {found.units} in all")
    )
    few = (
        f" With {found.films} films these figures are themselves uncertain."
        if found.films < FEW
        else ""
    )
    sets = (
        f"the true class is in the set of {percent(found.set_coverage)} of films, with "
        f"{found.set_size:.1f} of {len(classes)} classes in the mean set."
    )
    if found.set_limit == 0:
        sets += f" Films are too few for {100 * LEVEL:.0f} %: each set holds all classes."
    return {
        "Accuracy": f"{told(found.accuracy)}, by {found.folds}-fold cross-validation. Wilson's "
        f"interval: what other films drawn as these were would give, not films from elsewhere"
        f"{told_units}.",
        "By class": "; ".join(
            f"{name} {told(share)}" for name, share in zip(classes, found.by_class, strict=True)
        ),
        **_stages_in_words(found),
        "Chance": f"{percent(found.commonest)} by always answering the commonest class, "
        f"{percent(1 / len(classes))} by tossing.",
        "Baselines": "; ".join(f"{name} {told(each)}" for name, each in found.baselines.items())
        + (f". {best[:1].upper()}{best[1:]} is as good." if as_good else "."),
        "Calibration": f"log loss {found.loss[0]:.2f} before and {found.loss[1]:.2f} after a "
        f"temperature of {found.temperature:.3g}, mean gap between probability and accuracy "
        f"{percent(found.calibration[0])} before and {percent(found.calibration[1])} after.{few}",
        f"Sets at {100 * LEVEL:.0f} %": sets,
        "Verdict": verdict(found),
    }


def _stages_in_words(found: Evaluation) -> dict[str, str]:
    if found.stage_error is None:
        return {}
    kappa = "undefined" if found.kappa is None else f"{found.kappa:.2f}"
    return {
        "Stages": f"answers are off by {found.stage_error:.2f} stages on the average; quadratic "
        f"weighted kappa {kappa}, where 0 is chance and 1 full agreement."
    }


def verdict_first(told: Mapping[str, str]) -> dict[str, str]:
    """The same with the verdict before the rest, where nobody reads to the end."""
    return {"Verdict": told["Verdict"]} | dict(told)


def _p(value: float) -> str:
    return "below 0.0001" if value < 1e-4 else f"= {value:.4f}"

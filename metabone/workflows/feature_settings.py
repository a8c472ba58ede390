"""Settings of few-shot learners on the features of frozen backbones. Imports nothing heavy."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from metabone.datasets.source import are_embeddings
from metabone.errors import InputError
from metabone.workflows.settings import LearnerSettings, check_least, check_shots, setting

FITTED = ("probe", "ordinal_probe", "nearest_mean", "logistic")
"""Learners of features that learn nothing before they see a task."""

META_LEARNED = ("anil", "protonet", "r2d2", "meta_probe")
"""Learners of features that are meta-trained on those of the meta-classes."""

FEATURE_LEARNERS = (*FITTED, *META_LEARNED)

OWN_BACKBONES = ("conv4", "random")
"""A backbone trained here on the meta-classes, and the same with its first weights."""

EMBEDDINGS = "embeddings"
"""The only backbone where sources are features already, see `workflows.given_features`."""

_targets = partial(setting, theme="Targets")
_features = partial(setting, theme="Features")
_table = partial(setting, theme="Table")


@dataclasses.dataclass(frozen=True)
class FeatureSettings(LearnerSettings):
    """Backbones, what learns on their features, and where that is measured."""

    targets: tuple[str, ...] = _targets(
        ("simulated:hands",),
        "Sources to learn from a few images of each class: hands, whole and in classes of bone "
        "age, any source of labelled images, or embeddings:FILE.npz if the meta-sources are too.",
    )
    cuts: tuple[float, ...] = _targets(
        (84.0, 114.0, 138.0, 162.0), "Bone ages in months that part the classes of hands."
    )
    target_hands: int = _targets(300, "Films of simulated:hands.")
    target_size: int = _targets(
        224, "Height and width at which targets are read for published backbones."
    )
    backbones: tuple[str, ...] = _features(
        OWN_BACKBONES,
        "Frozen networks: conv4, trained on the meta-classes; random, the same untrained; "
        "published ones as NAME:FILE.",
    )
    feature_learners: tuple[str, ...] = _table(
        FEATURE_LEARNERS, "On features, some of: " + ", ".join(FEATURE_LEARNERS) + "."
    )
    feature_hidden: tuple[int, ...] = _features((256,), "Nodes of what is meta-learned on them.")
    feature_steps: int = _features(1000, "Outer steps of learners on features.")
    ways: int = _features(5, "Classes of a task that is meta-trained on.")
    maml_draws: int = _table(
        50, "Draws of MAML from scratch, which trains a whole network in each; 0 to leave it out."
    )
    shots: tuple[int, ...] = _table((5, 10, 20), "Support images a class, one column each.")
    queries: int = _table(15, "Query images a class.")
    draws: int = _table(600, "Draws of images that a figure is the mean of.")

    @property
    def published(self) -> tuple[str, ...]:
        """The published backbones whose features are learned on."""
        return tuple(entry.partition(":")[0] for entry in self.backbones if ":" in entry)


def check_features(config: FeatureSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    _check_some("feature_learners", config.feature_learners, FEATURE_LEARNERS)
    for entry in config.backbones:
        name, _, file = entry.partition(":")
        if name in OWN_BACKBONES and not file:
            continue
        if entry == EMBEDDINGS and all(map(are_embeddings, config.targets)):
            continue
        if not file or not Path(file).is_file():
            raise InputError(
                f"--backbones={entry}: expected {', '.join(OWN_BACKBONES)}, or a published one as "
                "NAME:FILE with a file that is there"
            )
    _check_some("backbones", config.backbones)
    _check_some("targets", config.targets)
    check_shots(config.shots)
    least = dict.fromkeys(("queries", "feature_steps", "target_size", "target_hands"), 1)
    check_least(config, least | {"draws": 2, "maml_draws": 0, "ways": 2})
    if config.maml_draws == 1:
        raise InputError("--maml_draws=1: expected 0 or at least 2")
    if not config.feature_hidden or min(config.feature_hidden) < 1:
        raise InputError("--feature_hidden: expected numbers of at least 1")


def _check_some(name: str, given: Sequence[str], choices: Sequence[str] | None = None) -> None:
    known = given if choices is None else choices
    if not given or not set(given) <= set(known) or len(set(given)) < len(given):
        some = "names" if choices is None else f"ones of {', '.join(choices)}"
        raise InputError(f"--{name}={','.join(given)}: expected different {some}")

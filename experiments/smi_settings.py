"""What an SMI run depends on, and its presets."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from metabone.commands.command import Preset
from metabone.datasets.source import are_hands
from metabone.errors import InputError
from metabone.radiograph.stages import check_cuts, parse_merge
from metabone.workflows.film_settings import FILM_LEARNERS, FilmNetSettings, check_film_nets
from metabone.workflows.settings import (
    check_learner,
    check_least,
    check_positive,
    check_shots,
    setting,
)
from metabone.workflows.variants import HEADS, MODELS, PAPER_MODELS, SEX, check_variants

_films = partial(setting, theme="Films")
_meta = partial(setting, theme="Meta-training")
_table = partial(setting, theme="Table")
_base = partial(setting, theme="Base learning")


@dataclasses.dataclass(frozen=True)
class SmiSettings(FilmNetSettings):
    """What the figures of a run depend on."""

    target: str = _films(
        "simulated:smi", "Films to read: rsna:DIR, hands:DIR, simulated:smi or simulated:hands."
    )
    regions: str = _films(
        "min_kang_6",
        "Regions of real films: min_kang_6, hand_11, fishman_6, rus_13, wrist, carpals; or hand, "
        "the whole hand as one.",
    )
    key_points: str = _films(
        "", "What finds them: folder of a key-points run, or its file; by default metabone's own."
    )
    models: tuple[str, ...] = _table(
        PAPER_MODELS, "Models, some of: " + ", ".join(MODELS) + " (features of both)."
    )
    heads: tuple[str, ...] = _table(("softmax",), "Their heads: softmax, ordinal.")
    sex: tuple[str, ...] = _table(("without",), "Whether they are told the sex: without, with.")
    meta_source: str = _meta(
        "simulated:bones",
        "What to meta-train on: any source of labelled images; or hands, from whose ages tasks of "
        "ordered classes are cut anew: simulated:hands, hands:DIR or rsna:DIR.",
    )
    meta_hands: int = _meta(1000, "Films of simulated:hands.")
    meta_share: float = _meta(
        0.8,
        "Share of patients, by hash, to meta-train on where --meta_source names the target's own "
        "films; the others are the target.",
    )
    meta_learner: str = _meta(
        "", "Folder of a finished meta_dataset run: adapt its learners to the films."
    )
    evaluate: str = _films("", "Folder of a finished smi run: read the target with its learners.")
    channels: int = setting(1, "Of the images: 1 (grey) or 3 (RGB, films repeated).", "Images")
    shots: tuple[int, ...] = _table((5, 10, 20), "Support films a class, one table column each.")
    queries: int = _table(15, "Query films a class.")
    draws: int = _table(
        100,
        "Draws of films that a figure is the mean of; 0 for 100, but of the scratch arms with "
        "several regions 30 (meta) and 5 (base, which trains a network for each).",
    )
    merge: str = _films("1,2/3,4/5,6/7,8,9/10,11", "Maturity stages that make up each class.")
    cuts: tuple[float, ...] = _films(
        (84.0, 114.0, 138.0, 162.0), "Bone ages in months that part the classes of real films."
    )
    pooled: bool = _table(False, "One adaptation on all regions together, not one a region.")
    region_weights: bool = _table(
        False,
        "Also read by weights of regions, learned on hands with bone ages that are kept from "
        "meta-training; --meta_source then names hands.",
    )
    meta_classes: int = _meta(300, "Classes of simulated meta-data.")
    meta_images: int = _meta(40, "Images a class of simulated meta-data.")
    base_steps: int = _base(200, "Full-batch Adam steps on the support films.")
    base_rate: float = _base(1e-3, "Its rate.")
    base_decay: float = _base(1e-4, "Its weight decay.")


_REAL = ("rsna:", "hands:")
# The small sizes that learn in minutes; docs/reproduction.md has what they rest on.
_SMALL = dict(
    filters=16,
    backbone="conv4",
    backbone_width=0.25,
    meta_shots=8,
    meta_queries=8,
    adapts="head",
    inner_rate=0.1,
    test_steps=20,
    meta_rate=3e-3,
    learn_rates=True,
    validation_tasks=50,
    pretrain_steps=700,
    pretrain_rate=3e-3,
    base_rate=3e-3,
    draws=0,
)
_REAL_VALUES = _SMALL | dict(
    hidden=(64,),
    meta_source="simulated:hands",
    models=MODELS,
    heads=HEADS,
    sex=SEX,
    meta_steps=800,
    head_steps=600,
    validate_every=200,
    base_steps=100,
)

PRESETS = {
    "demo": Preset(
        _SMALL
        | dict(hidden=(256,), meta_images=32)
        | dict(meta_steps=1000, head_steps=1200, base_steps=40),
        takes="3 to 7 minutes on two cores",
        expect="simulated films, 5 / 10 / 20 a class, by vote: meta 67 / 70 / 72 % from scratch "
        "and 57 / 63 / 66 % pre-trained, base 61 / 70 / 73 % and 58 / 66 / 72 %, a point or two "
        "more or less by the machine's rounding",
    ),
    "cpu": Preset(
        dict(
            filters=32,
            backbone="conv4",
            backbone_width=0.5,
            meta_steps=5000,
            head_steps=5000,
            meta_shots=10,
            meta_queries=10,
            adapts="head",
            inner_rate=0.1,
            test_steps=20,
            learn_rates=True,
            pretrain_steps=3000,
            base_rate=3e-3,
            draws=0,
        ),
        takes="hours on two cores",
        expect="not measured to its end",
    ),
    "real": Preset(
        _REAL_VALUES,
        takes="an hour on two cores, 42 minutes of processor time",
        expect="980 films of the RSNA challenge, 5 / 10 / 20 a stage, chance 20: a linear ordinal "
        "head on hog + pretrained with sex 57 / 62 / 66 %, the paper's arms 38 to 58 %",
    ),
    "hands": Preset(
        _REAL_VALUES
        | dict(
            models=("hog + pretrained",),
            heads=("ordinal",),
            sex=("with",),
            film_learners=tuple(name for name in FILM_LEARNERS if name != "anil"),
            queries=10,
        ),
        takes="an hour on two cores",
        expect="966 such films, 193 of them read: learned by tasks, a score whose cut points alone "
        "are fitted 73 / 74 / 76 %, supervised bone age so cut 71 / 73 / 74 %",
    ),
    "paper": Preset({}, takes="days on two cores, so for a GPU", expect="not measured to its end"),
}

# What an evaluation of a run's learners may ask otherwise.
_KEPT = ("regions", "key_points", "target_seed", "draw_seed")
_FILMS = ("target", "shots", "queries", "draws", "merge", "cuts", "pooled", *_KEPT)
_BASE = ("base_steps", "base_rate", "base_decay")


def check(config: SmiSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_learner(config)
    check_film_nets(config)
    check_variants(config.models, config.heads, config.sex)
    if not 0 < config.meta_share < 1:
        raise InputError(f"--meta_share={config.meta_share}: expected a number between 0 and 1")
    check_least(config, {"queries": 1, "meta_images": 1, "meta_hands": 1, "base_steps": 0})
    check_shots(config.shots)
    check_positive(config, ("base_rate",))
    if config.draws != 0 and config.draws < 2:
        raise InputError(f"--draws={config.draws}: expected at least 2, or 0 for what suits")
    if not config.evaluate and not are_hands(config.meta_source):
        for name in ("film_learners", "region_weights"):
            if getattr(config, name):
                raise InputError(
                    f"--{name}: learned from hands; --meta_source={config.meta_source} has none"
                )
    parse_merge(config.merge)
    check_cuts(config.cuts)


def preset_of(flags: Mapping[str, Any]) -> str:
    """The preset that suits the sources that flags name."""
    elsewhere = flags.get("evaluate") or flags.get("meta_learner") or flags.get("regions") == "hand"
    if elsewhere or not str(flags.get("target", "")).startswith(_REAL):
        return "demo"
    return "hands" if str(flags.get("meta_source", "")).startswith(_REAL) else "real"


def with_learners_of(config: SmiSettings, given: Sequence[str]) -> SmiSettings:
    """The settings of the run that `--evaluate` or `--meta_learner` names, if either does.

    Args:
      config: of this command line.
      given: which settings its flags name.

    Returns:
      The settings; each number, network and seed of what was trained is that of the run.

    Raises:
      InputError: both are named, no finished run, damaged checkpoints, or a flag of what was
        trained.
    """
    # Imported where a run is named: no `--help` waits for it.
    from metabone.workflows.earlier_runs import with_trained_settings

    if config.evaluate and config.meta_learner:
        raise InputError("--evaluate and --meta_learner: name one run, not two")
    if config.evaluate:
        return with_trained_settings(
            config,
            given,
            flag="evaluate",
            run=config.evaluate,
            experiments=["smi"],
            asked_now=("evaluate", *_FILMS),
            unless_given=_KEPT,
        )
    if config.meta_learner:
        return with_trained_settings(
            config,
            given,
            flag="meta_learner",
            run=config.meta_learner,
            experiments=["meta_dataset"],
            asked_now=("meta_learner", *_FILMS, *_BASE),
        )
    return config

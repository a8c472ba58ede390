"""Settings of learners that read all regions of a film at once. Imports nothing heavy."""

import dataclasses
from functools import partial

from metabone.errors import InputError
from metabone.workflows.settings import LearnerSettings, check_least, check_positive, setting

FILM_LEARNERS = (
    *("supervised_cuts", "supervised_linear", "score_and_cuts", "protonet", "r2d2", "anil"),
    *("anil_ordinal", "maml"),
)
"""The last three adapt by gradient steps; of the first two no more than ages is learned before."""

_films = partial(setting, theme="Learners of whole films")


@dataclasses.dataclass(frozen=True)
class FilmNetSettings(LearnerSettings):
    """One network over all regions, meta-trained on films of other hands."""

    film_learners: tuple[str, ...] = _films(
        (),
        "Also learners that read all regions of a film, and its sex, at once: "
        + ", ".join(FILM_LEARNERS)
        + ". --meta_source then names films of hands.",
    )
    film_filters: int = _films(32, "Filters of the four blocks that read each region.")
    film_hidden: tuple[int, ...] = _films((64,), "Nodes over all regions.")
    film_sex_weight: float = _films(1.0, "What sex, -1 or 1, is multiplied by beside the maps.")
    film_steps: int = _films(400, "Minibatches where training is supervised.")
    film_tasks: int = _films(250, "Outer steps where it is by tasks: about as many films seen.")
    film_rate: float = _films(3e-3, "Adam's rate, falling to a twentieth.")
    film_batch: int = _films(1, "Tasks an outer step.")
    film_minibatch: int = _films(32, "Films of a minibatch.")
    film_shots: int = _films(5, "Support films a class while meta-training.")
    film_queries: int = _films(5, "Query films a class while meta-training.")
    film_inner_rate: float = _films(0.1, "Inner rate of MAML and ANIL.")
    film_inner_steps: int = _films(2, "Inner steps while meta-training.")
    film_test_steps: int = _films(20, "Inner steps when tested.")
    film_validate_every: int = _films(50, "Outer steps between validations.")


def check_film_nets(config: FilmNetSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    unknown = [name for name in config.film_learners if name not in FILM_LEARNERS]
    if unknown:
        raise InputError(
            f"--film_learners={unknown[0]}: expected some of {', '.join(FILM_LEARNERS)}"
        )
    counts = (
        "filters",
        "steps",
        "tasks",
        "batch",
        "minibatch",
        "shots",
        "queries",
        "validate_every",
    )
    check_least(config, {f"film_{name}": 1 for name in counts})
    check_least(config, {"film_inner_steps": 1, "film_test_steps": 0})
    check_positive(config, ("film_rate", "film_inner_rate", "film_sex_weight"))
    if min(config.film_hidden, default=1) < 1:
        given = ",".join(map(str, config.film_hidden))
        raise InputError(f"--film_hidden={given}: expected numbers of at least 1")


def films_a_task(config: FilmNetSettings, ways: int) -> int:
    """How many hands the largest of the tasks that are meta-trained on takes."""
    regions = config.meta_shots + config.meta_queries
    whole = config.film_shots + config.film_queries if config.film_learners else 0
    return ways * max(regions, whole)

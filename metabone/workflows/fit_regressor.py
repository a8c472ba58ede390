"""A network that tells age, trained in stages of which each goes on from the one before."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.errors import InputError
from metabone.nets.network import Network
from metabone.nets.trainable_blocks import split_params
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.sex import with_sex_row
from metabone.training.age_scale import AgeScale
from metabone.training.loop import train
from metabone.training.regression import AgeData, Loss, age_step, equal_chances, read_months
from metabone.training.run import Run
from metabone.training.supervised import SupervisedState
from metabone.workflows.age_parts import AgeParts, check_stage

OPTIMIZERS: Mapping[str, Callable[[Any], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": partial(optax.adamw, weight_decay=1e-3),
    "sgd": partial(optax.sgd, momentum=0.9),
    "rmsprop": optax.rmsprop,
}
"""By name; what the papers do not state of them is Optax's default, and a momentum of 0.9."""

SCHEDULES = ("cosine", "plateau", "constant")

_FALLS_BY, _FALLS_AFTER = 0.5, 5
_NO_LOSS_YET = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How stages are trained, whichever blocks they train.

    Attributes:
      batch: films a step.
      loss: `mae` or `mse`, of outputs.
      schedule: of the rate: `cosine` to a fiftieth over a stage's steps; `plateau`: halved when the
        mean loss of an epoch has not fallen for five epochs; `constant`.
      validate_every: steps between validations; 0 for a twentieth of a stage's.
      patience: validations without a lower error after which a stage has settled and ends; 0 for
        all of its steps.
      choose: which state of a stage is kept: `best`, of the lowest error on the validation part, or
        `last`, where that part is too small to choose by.
      equal_ages: whether each band of ages is drawn as often as any other.
      augment: `(key, scaled images with the row of sex) -> images`; None for none.
    """

    batch: int = 32
    loss: Loss = "mae"
    schedule: str = "cosine"
    validate_every: int = 0
    patience: int = 0
    choose: Literal["best", "last"] = "best"
    equal_ages: bool = False
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None


class Stage(NamedTuple):
    """One stage of training.

    Attributes:
      name: in messages, checkpoints and metrics.
      mask: like the parameters, True where they are trained.
      optimizer: of `OPTIMIZERS`.
      rate: its rate at first.
      steps: minibatches, at most.
    """

    name: str
    mask: Any
    optimizer: str
    rate: float
    steps: int


class FittedRegressor(NamedTuple):
    """A network that tells age.

    Attributes:
      network: outputs `[n, 1]`, of scaled images with the row of sex.
      params: its parameters.
      norm_stats: its smoothed statistics.
      scale: what its outputs are measured in.
      validation_mae: months on the films that steps were chosen on, of the last stage.
      seconds: spent on all stages.
    """

    network: Network
    params: Any
    norm_stats: Any
    scale: AgeScale
    validation_mae: float
    seconds: float

    def read(self, films: AgedFilms) -> np.ndarray:
        """Months `[N]` of films, each read by itself."""
        read = read_months(self.network, self.scale)
        return read(self.params, self.norm_stats, with_sex_row(films.images, films.sex))


def fit_regressor(
    network: Network,
    start: tuple[Any, Any],
    parts: AgeParts,
    stages: Sequence[Stage],
    recipe: Recipe,
    scale: AgeScale,
    *,
    seed: int,
    run: Run | None = None,
    given: Sequence[tuple[AgedFilms, AgedFilms]] | None = None,
    progress: bool = True,
) -> FittedRegressor:
    """Trains a network to tell age.

    Of each stage one state is kept, see `Recipe.choose`, and the next goes on from it.

    Args:
      network: `nets.age_net.age_net`, or alike.
      start: its parameters and statistics at first.
      parts: of the films, the one split of all stages.
      stages: in order.
      recipe: how all of them are trained.
      scale: of the training ages, or `age_scale.OF_240`.
      seed: of the order of films and of what changes them.
      run: keeps checkpoints and metrics; None for nothing.
      given: what each stage learns from and chooses on; by default the parts. Anything else than
        films of these parts is refused.
      progress: whether to report on stderr.

    Returns:
      The network after the last stage.

    Raises:
      InputError: no stages, an unknown optimiser or schedule, too few films for a minibatch, or
        films that `age_parts.check_stage` refuses; before anything is compiled.
    """
    _check(stages, recipe, parts)
    of_stages = given or [(parts.train, parts.validation)] * len(stages)
    for stage, (learned, chosen) in zip(stages, of_stages, strict=True):
        check_stage(parts, learned, chosen, scale, stage.name)
    params, norm_stats = start
    read = read_months(network, scale)
    seconds, best = 0.0, float("nan")
    data: Any = None
    for index, (stage, (learned, chosen)) in enumerate(zip(stages, of_stages, strict=True)):
        if data is None or of_stages[index - 1][0] is not learned:
            data = jax.device_put(_data(learned, recipe.equal_ages))
        images = with_sex_row(chosen.images, chosen.sex)

        def error(state, images=images, months=chosen.months):
            found = read(state.params, state.norm_stats, images)
            return {"mae": float(np.abs(found - months).mean())}

        optimizer = _optimizer(stage, recipe, len(learned))
        trainable, _ = split_params(params, stage.mask)
        result = train(
            age_step(
                network,
                optimizer,
                scale,
                stage.mask,
                batch_size=recipe.batch,
                loss=recipe.loss,
                augment=recipe.augment,
            ),
            SupervisedState(params, norm_stats, optimizer.init(trainable)),
            data,
            steps=stage.steps,
            seed=seed,
            validate=error,
            validate_every=recipe.validate_every or max(1, stage.steps // 20),
            best_metric="mae",
            best_mode="min",
            settled=partial(has_settled, patience=recipe.patience) if recipe.patience else None,
            checkpoints=None if run is None else run.checkpoints(stage.name),
            metrics=None if run is None else run.metrics,
            phase=stage.name,
            progress=progress,
        )
        kept = result.best_state if recipe.choose == "best" else result.state
        params, norm_stats = kept.params, kept.norm_stats
        seconds += result.seconds
        best = result.best_value if recipe.choose == "best" else result.history[-1]["mae"]
    host = jax.tree.map(np.asarray, (params, norm_stats))
    return FittedRegressor(network, *host, scale, best, seconds)


def has_settled(history: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """Whether a stage's error on the validation part has stopped falling.

    Args:
      history: a mapping with `mae` a validation.
      patience: validations that may pass without a lower one.

    Returns:
      Whether the lowest of them is `patience` or more validations ago.
    """
    errors = [found["mae"] for found in history]
    return len(errors) - 1 - int(np.argmin(errors)) >= patience


def _check(stages: Sequence[Stage], recipe: Recipe, parts: AgeParts) -> None:
    if not stages:
        raise InputError("no stages to train")
    for stage in stages:
        if stage.optimizer not in OPTIMIZERS:
            raise InputError(
                f"stage '{stage.name}': optimiser {stage.optimizer!r}: expected one of "
                f"{', '.join(OPTIMIZERS)}"
            )
    if recipe.schedule not in SCHEDULES:
        raise InputError(f"schedule {recipe.schedule!r}: expected one of {', '.join(SCHEDULES)}")
    if not 1 <= recipe.batch <= len(parts.train):
        raise InputError(
            f"batch (={recipe.batch}): expected 1 to the {len(parts.train)} films to learn from"
        )


def _data(films: AgedFilms, equal_ages: bool) -> AgeData:
    months = np.asarray(films.months, np.float32)
    chances = jnp.asarray(equal_chances(months)) if equal_ages else None
    images = jnp.asarray(with_sex_row(films.images, films.sex))
    return AgeData(images, jnp.asarray(months), chances)


def _optimizer(stage: Stage, recipe: Recipe, films: int) -> optax.GradientTransformation:
    make = OPTIMIZERS[stage.optimizer]
    if recipe.schedule == "cosine":
        return make(optax.cosine_decay_schedule(stage.rate, stage.steps, 0.02))
    if recipe.schedule == "constant":
        return make(stage.rate)
    falling = optax.contrib.reduce_on_plateau(
        factor=_FALLS_BY, patience=_FALLS_AFTER, accumulation_size=max(1, films // recipe.batch)
    )

    def init(params):
        state = falling.init(params)
        # No loss yet is infinity in Optax, and training stops where its state is not finite.
        return state._replace(best_value=jnp.full_like(state.best_value, _NO_LOSS_YET))

    return optax.chain(make(stage.rate), falling._replace(init=init))

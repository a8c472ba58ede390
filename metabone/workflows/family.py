"""Each learner of the family by its name: how it is made, trained and asked."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from metabone.learners import roles, variants
from metabone.learners.base import MetaLearner, Norm
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.imaml import imaml
from metabone.learners.logistic import logistic_head
from metabone.learners.maml import maml
from metabone.learners.maml_plus_plus import annealed_step_weights, maml_plus_plus
from metabone.learners.probe import ProbeParams, probe
from metabone.learners.reptile import reptile
from metabone.learners.transfer import TrainedParams
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.stored_features import stored_features
from metabone.report.conditions import WITH_SUPPORT
from metabone.workflows.family_settings import FITTED, RULES, RUNNING, WIDER, FamilySettings
from metabone.workflows.settings import NORMS


class Entry(NamedTuple):
    """A learner as it is trained and asked.

    Attributes:
      trained: what `meta_step` takes; None if it is trained as a classifier.
      asked: by the rule of its batch norms, what adapts and answers: `inductive` (statistics of
        the labelled images alone) and `transductive` of every learner, `running` (of training) of
        those that keep them, and Reptile's `WITH_SUPPORT`. On features of a frozen network, where
        all say the same, `inductive` alone.
      optimizer: of the outer loop; None likewise.
      clip: largest norm of the meta-gradient, or None.
    """

    trained: MetaLearner | None
    asked: dict[str, MetaLearner]
    optimizer: optax.GradientTransformation | None
    clip: float | None


def network_of(config: FamilySettings, classes: int) -> Network:
    """MAML's own network, or what is learned on features; without classes an embedding."""
    if config.backbone:
        return with_head(stored_features(), classes, config.feature_hidden)
    return conv_net(
        classes,
        filters=config.filters,
        downsample=config.downsample,
        average=config.average,
        norm_scale=config.norm_scale,
    )


def entry_of(name: str, config: FamilySettings, test_steps: int | None = None) -> Entry:
    """A learner of the family by its name.

    Args:
      name: in `family_settings.LEARNERS`.
      config: of all of them.
      test_steps: inner steps when tested, if not the settings'.

    Returns:
      The entry.
    """
    steps = config.test_steps if test_steps is None else test_steps
    make = _MAKERS[name]
    rules = RULES if name in RUNNING else NORMS
    if config.backbone:
        rules = NORMS[:1]
    asked = {rule: make(config, rule, steps) for rule in rules}
    if name in FITTED:
        return Entry(None, asked, None, None)
    if name == "reptile":
        if not config.backbone:
            asked[WITH_SUPPORT] = _reptile(config, "inductive", steps, query_with_support=True)
        # The paper's outer step falls from 1 to nothing.
        descent = optax.sgd(optax.linear_schedule(1.0, 0.0, config.meta_steps))
        return Entry(asked[config.norm], asked, descent, None)
    wider = dataclasses.replace(config, ways=config.meta_ways or config.ways)
    by_norm = config.clip if config.clip_by == "norm" else None
    return Entry(make(wider, config.norm, steps), asked, _outer(config), by_norm)


def fitted_params(name: str, weights: Any, norm_stats: Any) -> TrainedParams | ProbeParams:
    """A trained network without its head, in the type of one of `family_settings.FITTED`."""
    if name == "probe":
        # Its features have been batch-normalised: whitening by their source is worth nothing more.
        return ProbeParams(weights, norm_stats, None)
    return TrainedParams(weights, norm_stats)


def takes_inner_steps(name: str) -> bool:
    """Whether a learner adapts by the inner steps that `test_steps` numbers."""
    return name not in ("imaml", "reptile", *WIDER, *FITTED)


def test_steps_of(name: str, config: FamilySettings) -> int | None:
    """Steps by which a learner adapts in tests; None where it solves for its head."""
    own = {"imaml": config.imaml_steps, "reptile": config.reptile_test_steps}
    if name in own:
        return own[name]
    return config.test_steps if takes_inner_steps(name) else None


def _outer(config: FamilySettings) -> optax.GradientTransformation:
    """Adam, its rate falling as is asked, each element of the gradient bounded if that is."""
    rate = {
        "constant": config.meta_rate,
        "cosine": optax.cosine_decay_schedule(config.meta_rate, config.meta_steps, config.rate_end),
        "halving": optax.exponential_decay(
            config.meta_rate, config.halve_every, 0.5, staircase=True
        ),
    }[config.schedule]
    adam = optax.adam(rate)
    return optax.chain(optax.clip(config.clip), adam) if config.clip_by == "value" else adam


def _inner(config: FamilySettings, norm: Norm, steps: int) -> dict[str, Any]:
    return dict(
        inner_rate=config.inner_rate,
        inner_steps=config.inner_steps,
        test_steps=steps,
        norm=norm,
    )


def _of_maml(variant: Callable[..., MetaLearner], **own: Any) -> Callable[..., MetaLearner]:
    def make(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
        return variant(network_of(config, config.ways), **_inner(config, norm, steps), **own)

    return make


def _of_all(variant: Callable[..., MetaLearner]) -> Callable[..., MetaLearner]:
    """A variant whose inner steps adapt all, or all but batch norms."""

    def make(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
        adapts = roles.everything if config.adapt_norms else roles.norms_stay
        return _of_maml(variant, roles=adapts)(config, norm, steps)

    return make


def _imaml(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    network = network_of(config, config.ways)
    config = dataclasses.replace(
        config, inner_rate=config.imaml_rate, inner_steps=config.imaml_steps
    )
    return imaml(network, strength=config.proximity, **_inner(config, norm, config.imaml_steps))


def _reptile(config: FamilySettings, norm: Norm, steps: int, **asked: Any) -> MetaLearner:
    del steps
    return reptile(
        network_of(config, config.ways),
        optax.adam(config.reptile_rate, b1=0.0),
        inner_steps=config.inner_steps,
        inner_batch=config.reptile_batch,
        test_steps=config.reptile_test_steps,
        test_batch=config.reptile_test_batch or config.ways,
        moments=config.reptile_moments,
        sum_loss=config.reptile_sum,
        norm=norm,
        **asked,
    )


def _plus_plus(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    def progress(step):
        return step / config.meta_steps

    return maml_plus_plus(
        network_of(config, config.ways),
        **_inner(config, norm, steps),
        order=(lambda step: jnp.where(progress(step) < config.first_order_until, 1, 2))
        if config.first_order_until
        else 2,
        step_weights=lambda step: annealed_step_weights(
            config.inner_steps,
            progress(step) / config.step_weights_until,
            # Of 100 epochs, as the published code counts them.
            epochs=max(1, round(100 * config.step_weights_until)),
        ),
    )


def _protonet(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    return protonet(network_of(config, 0), config.ways, keep_stats=True, norm=norm)


def _r2d2(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    return r2d2(
        network_of(config, 0),
        config.ways,
        strength=config.ridge,
        learn_strength=not config.ridge_as_code,
        scale=config.ridge_scale,
        averaged=config.ridge_as_code,
        intercept=config.ridge_as_code,
        keep_stats=True,
        norm=norm,
    )


def _fitted_to(config: FamilySettings) -> Network:
    return stored_features() if config.backbone else network_of(config, 0)


def _logistic(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    network = _fitted_to(config)
    return logistic_head(network, config.ways, strength=config.head_strength, norm=norm)


def _probe(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    return probe(_fitted_to(config), config.ways, norm=norm)


_MAKERS: dict[str, Callable[..., MetaLearner]] = {
    "maml": _of_all(maml),
    "first_order_maml": _of_all(variants.first_order_maml),
    "meta_sgd": _of_all(variants.meta_sgd),
    "anil": _of_maml(variants.anil),
    "boil": _of_maml(variants.boil),
    "maml_plus_plus": _plus_plus,
    "imaml": _imaml,
    "reptile": _reptile,
    "protonet": _protonet,
    "r2d2": _r2d2,
    "logistic_head": _logistic,
    "probe": _probe,
}

"""Each learner of the family by its name: how it is made, trained and asked."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from metabone.learners import variants
from metabone.learners.base import MetaLearner, Norm
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.imaml import imaml
from metabone.learners.logistic import logistic_head
from metabone.learners.maml import maml
from metabone.learners.maml_plus_plus import (
    annealed_step_weights,
    maml_plus_plus,
    with_running_stats,
)
from metabone.learners.reptile import reptile
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.workflows.family_settings import FamilySettings
from metabone.workflows.networks import cosine_adam
from metabone.workflows.settings import NORMS

# MAML++'s annealing of step weights, and of the order, as shares of training (of 100 epochs).
_STEP_WEIGHTS_UNTIL, _FIRST_ORDER_UNTIL = 0.15, 0.5


class Entry(NamedTuple):
    """A learner as it is trained and asked.

    Attributes:
      trained: what `meta_step` takes; None if it is trained as a classifier.
      asked: by norm mode, what answers; all adapt alike.
      optimizer: of the outer loop; None likewise.
      clip: largest norm of the meta-gradient, or None.
    """

    trained: MetaLearner | None
    asked: dict[str, MetaLearner]
    optimizer: optax.GradientTransformation | None
    clip: float | None


def network_of(config: FamilySettings, classes: int) -> Network:
    """MAML's own network; without classes an embedding."""
    return conv_net(
        classes, filters=config.filters, downsample=config.downsample, average=config.average
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
    adam = cosine_adam(config.meta_rate, config.meta_steps, 0.1)
    if name == "logistic_head":
        head = logistic_head(network_of(config, 0), config.ways, strength=config.head_strength)
        return Entry(None, dict.fromkeys(NORMS, head), None, None)
    if name == "maml_plus_plus":
        asked = {norm: _plus_plus(config, norm, steps) for norm in NORMS}
        trained = _plus_plus(
            config,
            config.norm,
            steps,
            order=lambda step: jnp.where(step / config.meta_steps < _FIRST_ORDER_UNTIL, 1, 2),
            step_weights=lambda step: annealed_step_weights(
                config.inner_steps, step / config.meta_steps / _STEP_WEIGHTS_UNTIL
            ),
        )
        clipped = optax.chain(optax.clip_by_global_norm(config.clip), adam)
        return Entry(trained, asked, with_running_stats(clipped), None)
    if name == "reptile":
        # The paper's outer step falls from 1 to nothing.
        descent = optax.sgd(optax.linear_schedule(1.0, 0.0, config.meta_steps))
        makes = {norm: _reptile(config, norm) for norm in NORMS}
        return Entry(makes[config.norm], makes, descent, None)
    make = _MAKERS[name]
    makes = {norm: make(config, norm, steps) for norm in NORMS}
    wider = dataclasses.replace(config, ways=config.meta_ways or config.ways)
    return Entry(make(wider, config.norm, steps), makes, adam, config.clip)


def takes_inner_steps(name: str) -> bool:
    """Whether a learner adapts by the inner steps that `test_steps` numbers."""
    return name not in ("imaml", "reptile", "protonet", "r2d2", "logistic_head")


def test_steps_of(name: str, config: FamilySettings) -> int | None:
    """Steps by which a learner adapts in tests; None where it solves for its head."""
    own = {"imaml": config.imaml_steps, "reptile": config.reptile_test_steps}
    if name in own:
        return own[name]
    return config.test_steps if takes_inner_steps(name) else None


def _inner(config: FamilySettings, norm: Norm, steps: int) -> dict[str, Any]:
    return dict(
        inner_rate=config.inner_rate,
        inner_steps=config.inner_steps,
        test_steps=steps,
        norm=norm,
    )


def _of_maml(variant: Callable[..., MetaLearner]) -> Callable[..., MetaLearner]:
    def make(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
        return variant(network_of(config, config.ways), **_inner(config, norm, steps))

    return make


def _of_embedding(variant: Callable[..., MetaLearner]) -> Callable[..., MetaLearner]:
    def make(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
        del steps
        return variant(network_of(config, 0), config.ways, norm=norm)

    return make


def _imaml(config: FamilySettings, norm: Norm, steps: int) -> MetaLearner:
    del steps
    network = network_of(config, config.ways)
    config = dataclasses.replace(
        config, inner_rate=config.imaml_rate, inner_steps=config.imaml_steps
    )
    return imaml(network, strength=config.proximity, **_inner(config, norm, config.imaml_steps))


def _reptile(config: FamilySettings, norm: Norm) -> MetaLearner:
    return reptile(
        network_of(config, config.ways),
        optax.adam(config.reptile_rate, b1=0.0),
        inner_steps=config.inner_steps,
        inner_batch=config.reptile_batch,
        test_steps=config.reptile_test_steps,
        test_batch=config.ways,
        norm=norm,
    )


def _plus_plus(config: FamilySettings, norm: Norm, steps: int, **scheduled: Any) -> MetaLearner:
    network = network_of(config, config.ways)
    return maml_plus_plus(network, **_inner(config, norm, steps), **scheduled)


_MAKERS = {
    "maml": _of_maml(maml),
    "first_order_maml": _of_maml(variants.first_order_maml),
    "meta_sgd": _of_maml(variants.meta_sgd),
    "anil": _of_maml(variants.anil),
    "boil": _of_maml(variants.boil),
    "imaml": _imaml,
    "protonet": _of_embedding(protonet),
    "r2d2": _of_embedding(r2d2),
}

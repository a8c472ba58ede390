"""Every learner of the library, and what each is asked to keep: one row a learner."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.episodes.types import Episode, Examples
from metabone.learners.base import MetaLearner
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.imaml import imaml
from metabone.learners.logistic import logistic_head
from metabone.learners.maml import maml
from metabone.learners.maml_plus_plus import maml_plus_plus
from metabone.learners.ordinal import ordinal_head, score_and_cuts
from metabone.learners.ordinal_probe import ordinal_probe
from metabone.learners.probe import meta_probe, probe
from metabone.learners.reptile import reptile
from metabone.learners.transfer import fine_tune, scratch
from metabone.learners.variants import anil, boil, first_order_maml, meta_sgd
from metabone.nets.network import Network

WAYS, SHOTS, SHAPE = 3, 2, (2, 2, 1)
KEY = jax.random.key(7)


class Row(NamedTuple):
    """A learner, and where it differs from the others.

    Attributes:
      make: `(network, **settings) -> learner`.
      settings: small ones.
      embeds: whether it takes a network without a classifier.
      no_steps: settings of no inner steps; None for what takes none.
      draws: whether it draws the head, or order, by class or place: classes that are numbered
        otherwise are then other classes to it.
      ordered: whether classes are in order to it: they cannot be numbered otherwise.
    """

    make: Callable[..., MetaLearner]
    settings: Mapping[str, Any]
    embeds: bool = False
    no_steps: dict[str, int] | None = None
    draws: bool = False
    ordered: bool = False


def _on_first_output(network: Network, **settings: Any) -> MetaLearner:
    def apply(*given):
        outputs, stats = network.apply(*given)
        return outputs.reshape(len(outputs), -1)[:, :1], stats

    return score_and_cuts(Network(network.init, apply), **settings)


_STEPS = {"inner_steps": 2, "test_steps": 3}
_NONE = {"inner_steps": 0, "test_steps": 0}

LEARNERS = {
    "maml": Row(maml, _STEPS, no_steps=_NONE),
    "first_order_maml": Row(first_order_maml, _STEPS, no_steps=_NONE),
    "meta_sgd": Row(meta_sgd, _STEPS, no_steps=_NONE),
    "anil": Row(anil, _STEPS, no_steps=_NONE),
    "boil": Row(boil, _STEPS, no_steps=_NONE),
    "maml_plus_plus": Row(
        maml_plus_plus,
        _STEPS | {"step_weights": lambda step: jnp.array([0.25, 0.75])},
        no_steps={"test_steps": 0},
    ),
    "imaml": Row(imaml, {"inner_steps": 3, "test_steps": 3, "solver_steps": 2}, no_steps=_NONE),
    "reptile": Row(
        reptile,
        {
            "optimizer": optax.adam(0.05, b1=0.0),
            "inner_batch": 6,
            "test_steps": 3,
            "query_with_support": True,
        },
        no_steps={"test_steps": 0},
    ),
    "protonet": Row(protonet, {"ways": WAYS}, embeds=True),
    "r2d2": Row(r2d2, {"ways": WAYS, "norm": "running"}, embeds=True),
    "logistic_head": Row(
        logistic_head, {"ways": WAYS, "steps": 20}, embeds=True, no_steps={"steps": 0}
    ),
    "probe": Row(probe, {"ways": WAYS}, embeds=True),
    "meta_probe": Row(meta_probe, {"ways": WAYS}, embeds=True),
    # Classes of these three are in order, and cannot be numbered otherwise.
    "ordinal_probe": Row(ordinal_probe, {"ways": WAYS}, embeds=True, ordered=True),
    "ordinal_head": Row(
        ordinal_head,
        {"ways": WAYS, "steps": 20},
        embeds=True,
        no_steps={"steps": 0},
        ordered=True,
    ),
    "score_and_cuts": Row(_on_first_output, {"ways": WAYS}, embeds=True, ordered=True),
    "fine_tune": Row(
        fine_tune, {"optimizer": optax.adam(0.05), "steps": 3}, no_steps={"steps": 0}, draws=True
    ),
    "scratch": Row(
        scratch, {"optimizer": optax.adam(0.05), "steps": 3}, no_steps={"steps": 0}, draws=True
    ),
}


def learner_of(name: str, network: Callable[[int], Network] | None = None, **settings: Any):
    """A learner of the table, on a network of so many outputs (0 for an embedding)."""
    row = LEARNERS[name]
    outputs = 0 if row.embeds else WAYS
    return row.make((network or plain_network)(outputs), **row.settings | settings)


def plain_network(outputs: int) -> Network:
    """A layer, a batch norm and a head, in plain JAX; small enough to compile in no time."""

    def init(key, shape):
        keys = jax.random.split(key)
        weights = {
            "layer": {"kernel": jax.random.normal(keys[0], (int(np.prod(shape)), 4))},
            "norm_0": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
            "head": {"kernel": jax.random.normal(keys[1], (4, outputs or 5))},
        }
        stats = {"norm_0": {"mean": jnp.zeros(4), "var": jnp.ones(4)}}
        dtype = weights["layer"]["kernel"].dtype
        return jax.tree.map(lambda leaf: leaf.astype(dtype), (weights, stats))

    def apply(weights, stats, images, use_batch_stats):
        hidden = images.reshape(len(images), -1) @ weights["layer"]["kernel"]
        if use_batch_stats:
            stats = {"norm_0": {"mean": hidden.mean(0), "var": hidden.var(0)}}
        mean, var = stats["norm_0"]["mean"], stats["norm_0"]["var"]
        normed = (hidden - mean) * jax.lax.rsqrt(var + 1e-3)
        hidden = jnp.tanh(normed * weights["norm_0"]["scale"] + weights["norm_0"]["bias"])
        return hidden @ weights["head"]["kernel"], stats

    return Network(init, apply)


def task(seed: int = 0, shape: tuple[int, ...] = SHAPE, dtype: Any = np.float32) -> Episode:
    """Images of three classes, each about a place of its own; labels in no order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(WAYS, *shape))

    def examples(each):
        labels = rng.permutation(np.repeat(np.arange(WAYS, dtype=np.int32), each))
        images = centres[labels] + 0.5 * rng.normal(size=(WAYS * each, *shape))
        return Examples(jnp.asarray(images, dtype), jnp.asarray(labels))

    return Episode(examples(SHOTS), examples(3))


def start_of(learner: MetaLearner, shape: tuple[int, ...] = SHAPE, dtype: Any = np.float32):
    """Its meta-parameters."""
    params = learner.init(jax.random.key(0), shape)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def everything(learner: MetaLearner, params: Any, episode: Episode, key: jax.Array = KEY):
    """All that a learner says of a task: gradient and metrics, what it adapts to, its logits."""
    learnt = () if learner.meta_gradient is None else learner.meta_gradient(params, episode, key)
    adapted = learner.adapt(params, episode.support, key)
    return learnt, adapted, learner.predict(adapted, episode.query.images)

"""Learners on the features of a frozen network, by name: fitted to a task, or meta-learned."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from metabone.learners.base import MetaLearner
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.logistic import logistic_head
from metabone.learners.maml import maml
from metabone.learners.ordinal_probe import ordinal_probe
from metabone.learners.probe import meta_probe, probe, unit_length
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.networks import fully_connected
from metabone.nets.stored_features import stored_features
from metabone.workflows.feature_settings import FeatureSettings


def feature_learner(name: str, config: FeatureSettings, ways: int) -> MetaLearner:
    """A learner on features that are standardised where their network was trained.

    Args:
      name: in `feature_settings.FEATURE_LEARNERS`.
      config: of what is meta-learned.
      ways: classes of a task.

    Returns:
      The learner; its images are features `[n, D]`.
    """
    if name == "anil":
        # Head of a network whose body is the frozen one: all that is on the features adapts.
        return maml(
            fully_connected(ways, config.feature_hidden),
            inner_rate=config.inner_rate,
            inner_steps=config.inner_steps,
            test_steps=config.test_steps,
            learn_rates=config.learn_rates,
        )
    make = {
        "probe": partial(probe, stored_features()),
        "ordinal_probe": partial(ordinal_probe, stored_features()),
        # Of features of length one, as SimpleShot is (Wang et al. 2019).
        "nearest_mean": partial(protonet, _unit_features()),
        "logistic": partial(logistic_head, stored_features()),
        "protonet": partial(protonet, _embedding(config)),
        "r2d2": partial(r2d2, _embedding(config)),
        "meta_probe": partial(meta_probe, _embedding(config)),
    }[name]
    return make(ways)


def needs_as_many_ways(name: str) -> bool:
    """Whether a learner's head has the classes that it was meta-trained with."""
    return name == "anil"


def _embedding(config: FeatureSettings) -> Network:
    return with_head(stored_features(), 0, config.feature_hidden)


def _unit_features() -> Network:
    def apply(
        params: Any, norm_stats: Any, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, Any]:
        del params, use_batch_stats
        return unit_length(jnp.reshape(images, (len(images), -1))), norm_stats

    return stored_features()._replace(apply=apply)

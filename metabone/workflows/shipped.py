"""The learner that metabone ships: small, and trained on simulated images alone."""

import json
from functools import partial
from importlib import resources
from typing import Any

import jax
import jax.numpy as jnp
from safetensors.numpy import load as load_tensors

from metabone.episodes.sampling import scale
from metabone.learners.base import MetaLearner
from metabone.learners.embedding import r2d2
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.workflows.learned_runs import features_of
from metabone.workflows.trained import Trained

SIMULATED = "simulated"
"""What it is called where a learner is named."""

SIZE = 64
FILTERS = 32
WEIGHTS, CARD = "simulated.safetensors", "simulated.json"


def shipped_network() -> Network:
    """Its network: MAML's own four blocks, without a head."""
    return conv_net(0, filters=FILTERS, downsample="stride")


def shipped_learner(ways: int) -> MetaLearner:
    """The learner for a number of classes; it solves for its head."""
    return r2d2(shipped_network(), ways)


def load_simulated() -> Trained:
    """Loads the shipped learner; its card, `simulated.md`, says what it was trained on."""
    folder = resources.files(__package__)
    about: dict[str, Any] = json.loads(folder.joinpath(CARD).read_text("utf-8"))
    named = load_tensors(folder.joinpath(WEIGHTS).read_bytes())
    shape = (SIZE, SIZE, 1)
    template = jax.eval_shape(
        partial(shipped_learner(2).init, image_shape=shape), jax.random.key(0)
    )
    places = jax.tree_util.tree_leaves_with_path(template)
    leaves = [jnp.asarray(named[leaf_name(path)]) for path, _ in places]
    params = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return Trained(shipped_learner, params, shape, scale, features_of(shipped_network()), about)


def leaf_name(path: Any) -> str:
    """A leaf's place in its tree, as it names a tensor in a file."""
    return jax.tree_util.keystr(path, simple=True, separator="/")

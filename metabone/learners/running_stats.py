"""Batch statistics that are kept while meta-training, to normalise by in tests."""

import jax
import jax.numpy as jnp

from metabone.errors import InputError
from metabone.learners.carried import Carried
from metabone.nets.network import NormStats

MOMENTUM = 0.1
"""How far kept statistics move towards those of a batch: PyTorch's default."""


def moved(running: Carried, found: NormStats, counted: bool | jax.Array = True) -> Carried:
    """Kept statistics after one more batch.

    Args:
      running: as they were, or `Carried(None)` where none are kept.
      found: statistics of the batch, in the form of what is kept. PyTorch divides a variance by
        n - 1 before it is kept, and these are divided by n.
      counted: whether the batch counts; `[k]` for leaves `[k, ...]` that were found apart.

    Returns:
      The statistics to carry on.
    """
    if running.value is None:
        return running

    def move(kept, new):
        share = MOMENTUM * jnp.asarray(counted, kept.dtype)
        share = share.reshape(share.shape + (1,) * (kept.ndim - share.ndim))
        return kept + share * (new - kept)

    return Carried(jax.tree.map(move, running.value, found))


def kept_stats(running: Carried) -> NormStats:
    """What was kept.

    Args:
      running: of meta-parameters.

    Returns:
      The statistics.

    Raises:
      InputError: none were.
    """
    if running.value is None:
        raise InputError(
            "norm 'running': these meta-parameters hold no running statistics; expected a learner "
            "that kept them while it was meta-trained"
        )
    return running.value

"""How a network reaches a learner: two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

Params = Any
NormStats = Any


class Apply(Protocol):
    """`apply(params, norm_stats, images, use_batch_stats)` to `(outputs, batch_stats)`.

    `use_batch_stats=True` normalises by the statistics of `images` and returns these in the form of
    `norm_stats`, unsmoothed; `False` normalises by `norm_stats` and returns them unchanged, so that
    an image's output does not depend on the others.
    """

    def __call__(
        self, params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        """Applies the network; see the class."""
        ...


class Network(NamedTuple):
    """A network as pure functions; Flax Linen provides it by `from_linen`, so can anything else.

    Attributes:
      init: `(key, image_shape [H, W, C]) -> (params, norm_stats)`, both float32 pytrees;
        `norm_stats` is `{}` for a network without batch normalisation.
      apply: see `Apply`.
    """

    init: Callable[[jax.Array, tuple[int, ...]], tuple[Params, NormStats]]
    apply: Apply


def from_linen(module: nn.Module) -> Network:
    """Wraps a Linen module whose `__call__` takes `(images, use_batch_stats)`.

    Args:
      module: keeps its batch statistics, if any, in the collection `batch_stats`, and replaces them
        by those of the batch at hand (a momentum of zero); smoothing is the caller's.

    Returns:
      The module as a `Network`.
    """

    def init(key, image_shape):
        variables = module.init(key, jnp.zeros((1, *image_shape), jnp.float32), False)
        return variables["params"], variables.get("batch_stats", {})

    def apply(params, norm_stats, images, use_batch_stats):
        variables = {"params": params, "batch_stats": norm_stats}
        if not norm_stats or not use_batch_stats:
            return module.apply(variables, images, use_batch_stats), norm_stats
        outputs, changed = module.apply(variables, images, True, mutable=["batch_stats"])
        return outputs, changed["batch_stats"]

    return Network(init, apply)

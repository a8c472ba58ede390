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
      body: like `apply`, but up to the head: `(features [n, ...], batch_stats)`. None, as is
        `head`, for a network that cannot be cut there.
      head: `(params, features) -> outputs`, from `params["head"]` alone and without batch
        statistics. `head` of `body` is `apply`: a learner that adapts the head alone looks at the
        images once.
    """

    init: Callable[[jax.Array, tuple[int, ...]], tuple[Params, NormStats]]
    apply: Apply
    body: Apply | None = None
    head: Callable[[Params, jax.Array], jax.Array] | None = None


def from_linen(
    module: nn.Module, body: nn.Module | None = None, head: nn.Module | None = None
) -> Network:
    """Wraps a Linen module whose `__call__` takes `(images, use_batch_stats)`.

    Args:
      module: keeps its batch statistics, if any, in the collection `batch_stats`, and replaces them
        by those of the batch at hand (a momentum of zero); smoothing is the caller's.
      body: the same module without what its parameters name `head`; given with `head` or not at
        all.
      head: what is called `head` in it, without batch statistics.

    Returns:
      The module as a `Network`.
    """

    def init(key, image_shape):
        variables = module.init(key, jnp.zeros((1, *image_shape), jnp.float32), False)
        return variables["params"], variables.get("batch_stats", {})

    if body is None or head is None:
        return Network(init, _apply_of(module))
    return Network(
        init,
        _apply_of(module),
        _apply_of(body),
        lambda params, features: head.apply({"params": params["head"]}, features),
    )


def _apply_of(module: nn.Module) -> Apply:
    def apply(params, norm_stats, images, use_batch_stats):
        variables = {"params": params, "batch_stats": norm_stats}
        if not norm_stats or not use_batch_stats:
            return module.apply(variables, images, use_batch_stats), norm_stats
        outputs, changed = module.apply(variables, images, True, mutable=["batch_stats"])
        return outputs, changed["batch_stats"]

    return apply

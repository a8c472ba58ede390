"""How a network reaches a learner: two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.errors import InputError

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


def network(
    source: Any, image_shape: tuple[int, ...] | None = None, *, outputs: int | None = None
) -> Network:
    """Makes a network of whatever you have, and says at once what does not fit.

    An NNX or Equinox module brings its parameters along, which `init` then gives whatever its key:
    give the function that makes it, `lambda image_shape, key: ...`, where learners are to draw
    their own, as `scratch` and `fine_tune` do. An Equinox module is given one image `[H, W, C]`.

    Args:
      source: a `Network`; a pair of functions `(init, apply)` as a `Network` has them; a Flax
        Linen, NNX or Equinox module; or a function `(image_shape, key)` to one of the latter two.
      image_shape: `[H, W, C]`; if given, the network is looked at once on an image of zeros.
      outputs: what the last axis of its outputs must be, such as the number of classes.

    Returns:
      The network.

    Raises:
      InputError: it is none of these, asks for more than images, needs random numbers, keeps a
        smoothed batch statistic, or has outputs of another width; at once if `image_shape` is
        given, else when the network is first initialised.
    """
    made = _pair_of(source)

    def init(key, image_shape):
        params, norm_stats = made.init(key, image_shape)
        _check_outputs(made, params, norm_stats, image_shape, outputs)
        return params, norm_stats

    if image_shape is not None:
        jax.eval_shape(lambda key: init(key, image_shape), jax.random.key(0))
    return made._replace(init=init)


def _pair_of(source: Any) -> Network:
    from metabone.nets import foreign  # here, since NNX takes its time to import

    if isinstance(source, Network):
        return source
    if isinstance(source, tuple) and len(source) == 2 and all(map(callable, source)):
        return Network(*source)
    if isinstance(source, nn.Module):
        return Network(*foreign.of_linen(source))
    if foreign.is_made(source):
        return Network(*foreign.of_made(lambda image_shape, key: source))
    if callable(source) and not isinstance(source, type):
        return Network(*foreign.of_made(source))
    raise InputError(
        f"{source!r:.80}: expected a Network, a pair of functions (init, apply), a Linen, NNX or "
        "Equinox module, or a function (image_shape, key) to one of the latter two"
    )


def _check_outputs(
    made: Network, params: Params, stats: NormStats, shape: tuple[int, ...], outputs: int | None
) -> None:
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    for use_batch_stats in (False, True):
        found, changed = jax.eval_shape(
            lambda params, stats, images, use=use_batch_stats: made.apply(
                params, stats, images, use
            ),
            *(params, stats, images),
        )
        if jax.tree.structure(changed) != jax.tree.structure(stats):
            raise InputError("apply returns batch statistics of another form than init's")
        if not isinstance(found, jax.ShapeDtypeStruct):
            raise InputError(f"outputs are a {type(found).__name__}: expected one array of logits")
        if found.ndim < 2 or found.shape[0] != 2:
            raise InputError(f"outputs of 2 images have shape {found.shape}: expected [2, n]")
        if outputs is not None and found.shape[1:] != (outputs,):
            raise InputError(f"outputs of shape {found.shape[1:]}: expected ({outputs},)")


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

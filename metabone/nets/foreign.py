"""Modules of other libraries as a `Network`, by small adapters that say what does not fit."""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.errors import InvalidRngError, ModifyScopeVariableError

from metabone.errors import InputError

_WHICH_STATISTICS = ("use_batch_stats", "train", "training")


def of_linen(module: nn.Module) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init` and `apply` of a Linen module that takes images, and how to normalise if it asks.

    Args:
      module: its `__call__` takes images and, if it has batch norms, one of `use_batch_stats`,
        `train` and `training`.

    Raises:
      InputError: it asks for something else; in use, a batch norm that smooths, random numbers.
    """
    asked = list(inspect.signature(type(module).__call__).parameters.values())[2:]
    needed = [each.name for each in asked if each.default is each.empty]
    how = next((each.name for each in asked if each.name in _WHICH_STATISTICS), None)
    if set(needed) - {how}:
        raise InputError(
            f"{type(module).__name__}.__call__ needs {', '.join(needed)}: expected images and "
            f"at most one of {', '.join(_WHICH_STATISTICS)}"
        )

    def check(following, args, kwargs, context):
        if isinstance(context.module, nn.BatchNorm):
            _check_momentum(context.module.momentum, context.module.name)
        return following(*args, **kwargs)

    def call(variables, images, use_batch_stats, **options):
        given = {} if how is None else {how: use_batch_stats}
        try:
            with nn.intercept_methods(check):
                return module.apply(variables, images, **given, **options)
        except InvalidRngError as error:
            raise _needs_random_numbers(module) from error
        except ModifyScopeVariableError as error:
            raise InputError(
                f"{type(module).__name__} takes the statistics of the batch even when it should "
                f"not: expected `use_running_average=not train`, by one of "
                f"{', '.join(_WHICH_STATISTICS)} of its __call__"
            ) from error

    def init(key, image_shape):
        given = {} if how is None else {how: False}
        images = jnp.zeros((1, *image_shape), jnp.float32)
        with nn.intercept_methods(check):
            variables = module.init(key, images, **given)
        rest = set(variables) - {"params", "batch_stats"}
        if rest:
            raise InputError(f"{type(module).__name__} keeps {', '.join(rest)}: expected none")
        return variables.get("params", {}), variables.get("batch_stats", {})

    def apply(params, norm_stats, images, use_batch_stats):
        variables = {"params": params, "batch_stats": norm_stats}
        if not norm_stats or not use_batch_stats:
            return call(variables, images, use_batch_stats), norm_stats
        outputs, changed = call(variables, images, True, mutable=["batch_stats"])
        return outputs, changed["batch_stats"]

    return init, apply


def is_made(source: Any) -> bool:
    """Whether it is an NNX or Equinox module, with its parameters."""
    return isinstance(source, nnx.Module) or _is_equinox(source)


def of_made(make: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init` and `apply` of what `make(image_shape, key)` makes.

    Raises:
      InputError: in use, what it makes is no NNX or Equinox module, or does not fit.
    """

    def pair(image_shape):
        found = []
        jax.eval_shape(lambda key: found.append(make(image_shape, key)), jax.random.key(0))
        if isinstance(found[0], nnx.Module):
            return of_nnx(make)
        if _is_equinox(found[0]):
            return of_equinox(make)
        raise InputError(
            f"the function makes a {type(found[0]).__name__}: expected an NNX or Equinox module"
        )

    def init(key, image_shape):
        return pair(image_shape)[0](key, image_shape)

    def apply(params, norm_stats, images, use_batch_stats):
        return pair(images.shape[1:])[1](params, norm_stats, images, use_batch_stats)

    return init, apply


def _is_equinox(source: Any) -> bool:
    return any(
        each.__module__.split(".")[0] == "equinox" and each.__name__ == "Module"
        for each in type(source).__mro__
    )


def of_nnx(make: Callable[..., nnx.Module]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init` and `apply` of `make(image_shape, key)`, an NNX module that takes images.

    Raises:
      InputError: in use, a batch norm that smooths, or random numbers that it needs.
    """

    def parts(image_shape, key):
        module = make(image_shape, key)
        for _, part in nnx.iter_modules(module):
            if isinstance(part, nnx.BatchNorm):
                _check_momentum(part.momentum, type(part).__name__)
        graph, params, norm_stats, rest = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
        if jax.tree.leaves(rest):
            raise _needs_random_numbers(module)
        return graph, params, norm_stats

    def init(key, image_shape):
        return parts(image_shape, key)[1:]

    def apply(params, norm_stats, images, use_batch_stats):
        found = []
        jax.eval_shape(lambda key: found.append(parts(images.shape[1:], key)[0]), jax.random.key(0))
        model = nnx.merge(found[0], params, norm_stats, copy=True)  # not to write to our arguments
        model.set_attributes(use_running_average=not use_batch_stats, raise_if_not_found=False)
        return model(images), nnx.state(model, nnx.BatchStat)

    return init, apply


def of_equinox(make: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init` and `apply` of `make(image_shape, key)`, an Equinox module that takes one image.

    Raises:
      InputError: in use, a module with a state, such as batch norm, or random numbers it needs.
    """
    import equinox as eqx  # no dependency: whoever has such a module has it

    def parts(image_shape, key):
        module = make(image_shape, key)
        nodes = jax.tree.leaves(module, is_leaf=lambda leaf: isinstance(leaf, eqx.nn.StateIndex))
        if any(isinstance(node, eqx.nn.StateIndex) for node in nodes):
            raise InputError(
                f"{type(module).__name__} has a state, as Equinox's batch norm, which smooths its "
                "statistics: expected none, such as group or layer norm"
            )
        return eqx.partition(module, eqx.is_inexact_array)

    def init(key, image_shape):
        return parts(image_shape, key)[0], {}

    def apply(params, norm_stats, images, use_batch_stats):
        del use_batch_stats
        found = []

        def look(key):
            found.append(parts(images.shape[1:], key)[1])

        jax.eval_shape(look, jax.random.key(0))
        module = eqx.combine(params, found[0])
        try:
            return jax.vmap(module)(images), norm_stats
        except RuntimeError as error:  # Dropout without a key
            raise _needs_random_numbers(module) from error

    return init, apply


def _check_momentum(momentum: float, name: str | None) -> None:
    if momentum != 0:
        raise InputError(
            f"{name or 'BatchNorm'} smooths its statistics (momentum={momentum}): expected "
            "momentum=0.0, the statistics of the batch at hand"
        )


def _needs_random_numbers(module: Any) -> InputError:
    return InputError(
        f"{type(module).__name__} needs random numbers, as dropout does: expected a module without"
    )

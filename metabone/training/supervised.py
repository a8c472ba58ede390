"""One step of supervised training of a classifier, for the pre-trained arms and base learning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.episodes.streams import TrainingStream, stream_key
from metabone.errors import InputError
from metabone.training.meta import clip_gradient
from metabone.training.randomness import base_key


class SupervisedState(NamedTuple):
    """What supervised training carries from step to step.

    Attributes:
      params: the network's parameters, any pytree of arrays.
      norm_stats: running statistics of its normalisation layers; `{}` if it has none.
      opt_state: the optimiser's state for `params`.
    """

    params: Any
    norm_stats: Any
    opt_state: optax.OptState


def supervised_state(
    params: Any, norm_stats: Any, optimizer: optax.GradientTransformation
) -> SupervisedState:
    """The state before the first step.

    Args:
      params: the network's parameters.
      norm_stats: its initial normalisation statistics; `{}` if it has none.
      optimizer: the optimiser that `supervised_step` is given.

    Returns:
      The state.
    """
    return SupervisedState(params, norm_stats, optimizer.init(params))


def epoch_batch(seed: jax.Array | int, index: jax.Array | int, count: int, size: int) -> jax.Array:
    """Which examples step `index` takes when every epoch is shuffled anew.

    The epochs' permutations follow one another without a gap, and a batch may hold the end of one
    and the beginning of the next, so each example is seen exactly once an epoch whatever `size`.

    Args:
      seed: an integer scalar or a typed key.
      index: the step from 0, int32 scalar; `index * size` must stay below 2**31.
      count: how many examples there are.
      size: how many are taken.

    Returns:
      `[size]` int32 positions in `0 .. count - 1`.

    Raises:
      InputError: if `size` is not within `1 .. count`.
    """
    _check_batch(count, size)
    first = jnp.asarray(index, jnp.int32) * jnp.int32(size)
    epoch, offset = first // jnp.int32(count), first % jnp.int32(count)

    def order(epoch):
        return _epoch_order(seed, epoch, count)

    here = order(epoch)
    if count % size == 0:
        return jax.lax.dynamic_slice(here, (offset,), (size,))
    crosses = offset > jnp.int32(count - size)
    following = jax.lax.cond(crosses, lambda: order(epoch + jnp.int32(1)), lambda: here)
    return jax.lax.dynamic_slice(jnp.concatenate([here, following[:size]]), (offset,), (size,))


def batch_plan(seed: jax.Array | int, steps: int, count: int, size: int) -> np.ndarray:
    """Which examples each step takes: `epoch_batch` of all steps, with one shuffle an epoch.

    Args:
      seed: as `train` is given it: an integer in 0 .. 2**32 - 1, an integer scalar or a typed key.
      steps: steps from 0.
      count: how many examples there are.
      size: how many a step takes.

    Returns:
      `[steps, size]` int32 positions in `0 .. count - 1`.

    Raises:
      InputError: if `size` is not within `1 .. count`.
    """
    _check_batch(count, size)
    seed = seed if hasattr(seed, "dtype") else np.uint32(seed)
    order = jax.jit(lambda seed, epoch: _epoch_order(seed, epoch, count))
    plan = np.empty(-(-steps * size // count) * count, np.int32)
    for epoch, here in enumerate(plan.reshape(-1, count)):
        here[:] = order(seed, np.int32(epoch))
    return plan[: steps * size].reshape(steps, size)


def _check_batch(count: int, size: int) -> None:
    if not 1 <= size <= count:
        raise InputError(f"batch size (={size}) must lie between 1 and the {count} images given")


def _epoch_order(seed: jax.Array | int, epoch: jax.Array, count: int) -> jax.Array:
    key = jax.random.fold_in(stream_key(base_key(seed), TrainingStream.ORDER), epoch)
    return jax.random.permutation(key, count).astype(jnp.int32)


def supervised_step(
    apply: Callable[[Any, Any, jax.Array, bool], tuple[jax.Array, Any]],
    optimizer: optax.GradientTransformation,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    prepare: Callable[[jax.Array], jax.Array],
    *,
    batch_size: int,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    norm_momentum: float = 0.9,
    clip: float | None = None,
    take: Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, jax.Array]] | None = None,
) -> Callable[
    [SupervisedState, Any, jax.Array, jax.Array],
    tuple[SupervisedState, dict[str, jax.Array]],
]:
    """Builds the step that trains a network on shuffled minibatches.

    Its `data` is `(images, labels)`: `[N, H, W, C]` uint8 (or whatever `prepare` takes) and `[N]`
    int32; or what `take` takes.

    Args:
      apply: `(params, norm_stats, images, use_batch_stats) -> (logits [n, classes], batch_stats)`;
        `batch_stats` is a tree like `norm_stats`.
      optimizer: the optimiser.
      loss: `(logits [n, classes], labels [n]) -> scalar`, the mean over examples.
      prepare: from stored images to the network's input, e.g. uint8 to float32 in 0 .. 1.
      batch_size: examples a step.
      augment: `(key, prepared images [n, H, W, C]) -> images`; None for none.
      norm_momentum: what the running statistics keep of themselves at each step.
      clip: largest global norm of the gradient; None for no clipping.
      take: `(data, seed, index) -> (images [n, H, W, C], labels [n])`, the step's minibatch, such
        as `windows.streamed_batch`; None for `epoch_batch` of data that are all there.

    Returns:
      A step for `train` with metrics `loss`, `accuracy` (of this batch) and `gradient_norm`.
    """

    def from_all(data, seed, index):
        images, labels = data
        batch = epoch_batch(seed, index, labels.shape[0], batch_size)
        return images[batch], labels[batch]

    def step(state, data, seed, index):
        images, labels = (take or from_all)(data, seed, index)
        images = prepare(images)
        if augment is not None:
            key = stream_key(base_key(seed), TrainingStream.AUGMENTATION)
            images = augment(jax.random.fold_in(key, index), images)

        def objective(params):
            logits, batch_stats = apply(params, state.norm_stats, images, True)
            return loss(logits, labels), (logits, batch_stats)

        (value, (logits, batch_stats)), gradient = jax.value_and_grad(objective, has_aux=True)(
            state.params
        )
        metrics = {
            "loss": value,
            "accuracy": jnp.mean((jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)),
            "gradient_norm": optax.tree.norm(gradient),
        }
        gradient = clip_gradient(gradient, clip)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        norm_stats = jax.tree.map(
            lambda kept, seen: norm_momentum * kept + (1.0 - norm_momentum) * seen,
            state.norm_stats,
            batch_stats,
        )
        params = optax.apply_updates(state.params, updates)
        return SupervisedState(params, norm_stats, opt_state), metrics

    return step

"""One outer step of meta-training: the mean gradient over a meta-batch of tasks."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.sampling import learner_key, task_key
from metabone.episodes.types import Episode

Sample = Callable[[Any, jax.Array, jax.Array, jax.Array], Episode]


class HasMetaGradient(Protocol):
    """What is asked of a learner here; `metabone.learners` provides it."""

    meta_gradient: Callable[[Any, Episode, jax.Array], tuple[Any, dict[str, jax.Array]]]


class MetaState(NamedTuple):
    """What meta-training carries from step to step.

    Attributes:
      meta_params: the learner's meta-parameters, any pytree of arrays.
      opt_state: the outer optimiser's state for them.
    """

    meta_params: Any
    opt_state: optax.OptState


def meta_state(meta_params: Any, optimizer: optax.GradientTransformation) -> MetaState:
    """The state before the first step.

    Args:
      meta_params: the learner's meta-parameters, any pytree of arrays.
      optimizer: the outer optimiser that `meta_step` is given.

    Returns:
      The state. Clipping adds nothing to it.
    """
    return MetaState(meta_params, optimizer.init(meta_params))


def meta_step(
    learner: HasMetaGradient,
    optimizer: optax.GradientTransformation,
    sample: Sample,
    *,
    meta_batch: int,
    clip: float | None = None,
    mapping: str | int = "scan",
) -> Callable[[MetaState, Any, jax.Array, jax.Array], tuple[MetaState, dict[str, jax.Array]]]:
    """Builds the step that moves the meta-parameters against the mean task gradient.

    Task `t` of step `i` is `sample(data, seed, i, t)` and its learner draws from a key folded out
    of the three, so a step depends on nothing but its arguments.

    Args:
      learner: has `meta_gradient(meta_params, episode, key) -> (gradient, metrics)` for one task.
      optimizer: the outer optimiser.
      sample: `(data, seed, step, task) -> Episode`, pure.
      meta_batch: tasks a step.
      clip: largest global norm of the mean gradient; None for no clipping.
      mapping: how the per-task gradients are mapped. `"scan"` takes task by task into a running
        sum, so memory does not grow with `meta_batch` and no convolution meets weights that differ
        by task (which is tens of times slower on CPU). An int takes that many tasks at once inside
        the scan, and `"vmap"` all of them: for accelerators that one task leaves idle.

    Returns:
      A step for `train`. Its metrics are the learner's, averaged over tasks, and `gradient_norm`,
      the global norm of the mean gradient before clipping.

    Raises:
      ValueError: if `meta_batch` is not positive, `mapping` is unknown or does not divide
        `meta_batch`, or the learner has no meta-gradient.
    """
    if meta_batch < 1:
        raise ValueError(f"meta_batch (={meta_batch}) must be at least 1")
    if learner.meta_gradient is None:
        raise ValueError("this learner has no meta_gradient: it is not meta-trained")
    chunk = _chunk(mapping, meta_batch)

    def step(state, data, seed, index):
        def task_gradient(task):
            episode = sample(data, seed, index, task)
            key = learner_key(task_key(seed, index, task))
            return learner.meta_gradient(state.meta_params, episode, key)

        gradient, metrics = _mean_over_tasks(task_gradient, state.meta_params, meta_batch, chunk)
        metrics["gradient_norm"] = optax.tree.norm(gradient)
        gradient = clip_gradient(gradient, clip)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.meta_params)
        return MetaState(optax.apply_updates(state.meta_params, updates), opt_state), metrics

    return step


def clip_gradient(gradient: Any, clip: float | None) -> Any:
    """Scales a gradient down to a global norm, outside the optimiser so its state stays its own.

    Args:
      gradient: any pytree of arrays.
      clip: the largest global norm; None leaves the gradient as it is.

    Returns:
      A tree like `gradient`.
    """
    if clip is None:
        return gradient
    return optax.clip_by_global_norm(clip).update(gradient, optax.EmptyState())[0]


def _chunk(mapping: str | int, meta_batch: int) -> int:
    if mapping == "scan":
        return 1
    if mapping == "vmap":
        return meta_batch
    if isinstance(mapping, bool) or not isinstance(mapping, int) or mapping < 1:
        raise ValueError(f"mapping (={mapping!r}) must be 'scan', 'vmap' or a positive int")
    if meta_batch % mapping:
        raise ValueError(f"mapping (={mapping}) must divide meta_batch (={meta_batch})")
    return mapping


def _mean_over_tasks(task_gradient, like, meta_batch, chunk):
    tasks = jnp.arange(meta_batch, dtype=jnp.int32)
    if chunk == meta_batch and chunk > 1:
        gradients, metrics = jax.vmap(task_gradient)(tasks)
        total = jax.tree.map(lambda g: g.sum(axis=0), gradients)
    else:

        def add(total, tasks):
            if chunk == 1:
                gradient, metrics = task_gradient(tasks[0])
            else:
                gradients, metrics = jax.vmap(task_gradient)(tasks)
                gradient = jax.tree.map(lambda g: g.sum(axis=0), gradients)
            return jax.tree.map(jnp.add, total, gradient), metrics

        zero = jax.tree.map(jnp.zeros_like, like)
        total, metrics = jax.lax.scan(add, zero, tasks.reshape(-1, chunk))
    gradient = jax.tree.map(lambda g: g / meta_batch, total)
    return gradient, jax.tree.map(jnp.mean, dict(metrics))

"""One outer step of meta-training: the mean gradient over a meta-batch of tasks."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.sampling import learner_key, task_key
from metabone.episodes.types import Episode
from metabone.learners.carried import (
    carried_parts,
    mean_over_devices,
    mean_over_tasks,
    with_carried,
    without_carried,
)
from metabone.nets.device_axes import vary_together

Sample = Callable[[Any, jax.Array, jax.Array, jax.Array], Episode]


class HasMetaGradient(Protocol):
    """What is asked of a learner here; `metabone.learners` provides it.

    Attributes:
      meta_gradient: `(meta_params, episode, key) -> (gradient, metrics)`, with or without a keyword
        `step`, the index of the outer step.
      learned: `meta_params -> bool` for each leaf, whether the optimiser may move it; a learner
        without it, or whose `learned` is None, learns all.
    """

    meta_gradient: Callable[..., tuple[Any, dict[str, jax.Array]]]


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
      The state. Clipping adds nothing to it, nor does what is `Carried`.
    """
    return MetaState(meta_params, optimizer.init(without_carried(meta_params)))


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
        If that takes an argument `step` it is given this step's index, an int32 scalar that is
        traced, for what follows a schedule, such as MAML++'s weights of inner steps.
      optimizer: the outer optimiser, any of optax's; what the learner says is not learned stays,
        whatever its updates are.
      sample: `(data, seed, step, task) -> Episode`, pure.
      meta_batch: tasks a step.
      clip: largest global norm of the mean gradient; None for no clipping.
      mapping: how the per-task gradients are mapped. `"scan"` takes task by task into a running
        sum, so memory does not grow with `meta_batch` and no convolution meets weights that differ
        by task (which is tens of times slower on CPU). `"overlap"` does so with two tasks at a time
        as independent operations: on a CPU one's run on cores that the other's leave idle. An int
        takes that many tasks at once inside the scan, vmapped, and `"vmap"` all of them: for
        accelerators that one task leaves idle. `"devices"` deals the tasks out to all devices of
        this host, each of which scans its own; state and data come from `on_all_devices`. A CPU's
        cores can be devices, see `jax_num_cpu_devices`: networks that one operation at a time
        leaves cores idle with are then faster. What is `Carried` goes from task to task in their
        order; of tasks taken at once, or on several devices, each begins with the same, and what
        they end with goes on as its mean. `"overlap"` keeps the order, so that such learners gain
        nothing from it.

    Returns:
      A step for `train`. Its metrics are the learner's, averaged over tasks, and `gradient_norm`,
      the global norm of the mean gradient before clipping.

    Raises:
      ValueError: if `meta_batch` is not positive, `mapping` is unknown or does not divide
        `meta_batch`, as the number of devices must, or the learner has no meta-gradient.
    """
    if meta_batch < 1:
        raise ValueError(f"meta_batch (={meta_batch}) must be at least 1")
    if learner.meta_gradient is None:
        raise ValueError("this learner has no meta_gradient: it is not meta-trained")
    takes_step = _takes_step(learner.meta_gradient)
    chunk = _chunk(mapping, meta_batch)

    def mean_over(tasks, meta_params, data, seed, index):
        def task_gradient(given, task):
            episode = sample(data, seed, index, task)
            key = learner_key(task_key(seed, index, task))
            scheduled = {"step": index} if takes_step else {}
            return learner.meta_gradient(given, episode, key, **scheduled)

        unroll = 2 if mapping == "overlap" else 1
        return _mean_over_tasks(task_gradient, meta_params, tasks, chunk, unroll)

    if mapping == "devices":
        mean_over = _over_devices(mean_over)

    def step(state, data, seed, index):
        tasks = jnp.arange(meta_batch, dtype=jnp.int32)
        (gradient, carried), metrics = mean_over(tasks, state.meta_params, data, seed, index)
        metrics["gradient_norm"] = optax.tree.norm(gradient)
        gradient = clip_gradient(gradient, clip)
        stepped = without_carried(state.meta_params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, stepped)
        moved = only_learned(learner, stepped, optax.apply_updates(stepped, updates))
        return MetaState(with_carried(moved, carried), opt_state), metrics

    return step


def only_learned(learner: HasMetaGradient, meta_params: Any, moved: Any) -> Any:
    """Takes back what an optimiser has moved though the learner does not learn it.

    A gradient of zero does not keep a weight where it is: weight decay moves it all the same.

    Args:
      learner: says by `learned` what it learns.
      meta_params: as they were.
      moved: as `optax.apply_updates` has left them.

    Returns:
      `moved`, but for what is not learned.
    """
    learned = getattr(learner, "learned", None)
    if learned is None:
        return moved
    learns = learned(meta_params)
    return jax.tree.map(lambda moves, new, old: new if moves else old, learns, moved, meta_params)


def _takes_step(meta_gradient: Callable[..., Any]) -> bool:
    parameters = inspect.signature(meta_gradient).parameters.values()
    return any(each.name == "step" or each.kind is each.VAR_KEYWORD for each in parameters)


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
    """How many tasks are vmapped."""
    chunks = {"scan": 1, "overlap": 1, "devices": 1, "vmap": meta_batch}
    if mapping == "devices":
        _must_divide("the number of devices", jax.local_device_count(), meta_batch)
    if isinstance(mapping, str) and mapping in chunks:
        return chunks[mapping]
    if isinstance(mapping, bool) or not isinstance(mapping, int) or mapping < 1:
        names = ", ".join(map(repr, chunks))
        raise ValueError(f"mapping (={mapping!r}) must be one of {names} or a positive int")
    _must_divide("mapping", mapping, meta_batch)
    return mapping


def _must_divide(name: str, divisor: int, meta_batch: int) -> None:
    if meta_batch % divisor:
        raise ValueError(f"{name} (={divisor}) must divide meta_batch (={meta_batch})")


def on_all_devices(tree: Any) -> Any:
    """Copies a tree to every device of this host, as the mapping `"devices"` needs it.

    Args:
      tree: a pytree of arrays.

    Returns:
      The same, each leaf whole on each device.
    """
    return jax.device_put(tree, jax.sharding.NamedSharding(_mesh(), jax.P()))


def on_one_device(tree: Any) -> Any:
    """The first device's copies of a tree from `on_all_devices`; any other tree as it is."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def _mesh():
    devices = jax.local_devices()
    automatic = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(devices),), ("tasks",), automatic, devices=devices)


def _over_devices(mean_over):
    """Gives each device of this host an equal share of the tasks, and averages over devices."""
    mesh = _mesh()

    def shared_out(tasks, *shared):
        def own(tasks, *shared):
            # What differs by device, so that each learns from its own tasks alone.
            meta_params, *others = shared
            meta_params = vary_together(meta_params, tasks)
            means = mean_over(tasks, meta_params, *others)
            return mean_over_devices(vary_together(means, tasks), "tasks")

        everywhere = jax.P()
        specs = (jax.P("tasks"), *(everywhere for _ in shared))
        return jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=everywhere)(tasks, *shared)

    return shared_out


def _mean_over_tasks(task_gradient, meta_params, tasks, chunk, unroll):
    """The mean gradient with what is carried after all tasks, and the mean metrics."""
    count = len(tasks)

    def of_chunk(carried, tasks):
        given = with_carried(meta_params, carried)
        if chunk == 1:
            found, metrics = task_gradient(given, tasks[0])
            return without_carried(found), carried_parts(found), metrics
        found, metrics = jax.vmap(task_gradient, in_axes=(None, 0))(given, tasks)
        gradient = jax.tree.map(lambda g: g.sum(axis=0), without_carried(found))
        return gradient, mean_over_tasks(carried_parts(found)), metrics

    carried = carried_parts(meta_params)
    if chunk == count and chunk > 1:
        total, carried, metrics = of_chunk(carried, tasks)
    else:

        def add(so_far, tasks):
            total, carried = so_far
            gradient, carried, metrics = of_chunk(carried, tasks)
            return (jax.tree.map(jnp.add, total, gradient), carried), metrics

        zero = jax.tree.map(jnp.zeros_like, without_carried(meta_params))
        (total, carried), metrics = jax.lax.scan(
            add, (zero, carried), tasks.reshape(-1, chunk), unroll=unroll
        )
    gradient = jax.tree.map(lambda g: g / count, total)
    return (gradient, carried), jax.tree.map(jnp.mean, dict(metrics))

"""MAML's meta-step in JAX: by this library, and as people write it themselves."""

from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import flax
import jax
import jax.numpy as jnp
import jaxlib
import optax

from benchmarks.contenders import Running
from benchmarks.settings import Episodes, Setting, draw_episodes, draw_weights
from metabone.episodes.types import Episode, Examples
from metabone.learners.maml import maml
from metabone.nets.networks import conv_net
from metabone.training.meta import meta_state, meta_step, on_all_devices

_OUTER_RATE = 1e-3
_EPSILON = 1e-3


def metabone(
    setting: Setting, seed: int, *, form: str | None = None, remat: bool | None = None, **how: Any
) -> Running:
    """This library.

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      form: of the convolutions; None, here and below, for the library's default.
      remat: of `maml`.
      **how: `mapping` of `meta_step`, if not its default.

    Returns:
      The contender, nothing compiled yet.
    """
    network = conv_net(
        setting.ways,
        blocks=setting.blocks,
        filters=setting.filters,
        halvings=setting.halvings,
        downsample=setting.downsample,
        widths=setting.widths,
        **({} if form is None else {"form": form}),
    )
    learner = maml(
        network,
        inner_rate=setting.inner_rate,
        inner_steps=setting.inner_steps,
        order=2,
        norm="transductive",
        **({} if remat is None else {"remat": remat}),
    )
    optimizer = optax.adam(_OUTER_RATE)
    image_shape = (setting.side, setting.side, setting.channels)
    # Nothing of the library's own draw is needed but the structure.
    shapes = jax.eval_shape(lambda key: learner.init(key, image_shape), jax.random.key(0))
    meta_params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    weights = jax.tree.map(jnp.asarray, draw_weights(setting, seed))
    chex.assert_trees_all_equal_shapes_and_dtypes(meta_params.weights, weights)
    state = meta_state(meta_params._replace(weights=weights), optimizer)
    step = meta_step(learner, optimizer, _sample, meta_batch=setting.tasks, **how)
    data = jax.tree.map(jnp.asarray, draw_episodes(setting, seed))
    counter = jnp.zeros((), jnp.int32)
    arguments = (data, counter, counter)
    if how.get("mapping") == "devices":
        state, *arguments = on_all_devices((state, *arguments))
    return _running(step, state, *arguments)


def plain_jax(setting: Setting, seed: int, *, tasks: str) -> Running:
    """A functional network in a few lines and `jax.grad` twice.

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      tasks: `vmap`, the gradient of the mean loss of a vmap over tasks; or `map`, the mean of each
        task's gradient, one after the other.

    Returns:
      The contender, nothing compiled yet.
    """
    optimizer = optax.adam(_OUTER_RATE)
    task_loss = partial(plain_task_loss, setting)

    def mean_loss(weights, episodes):
        return jax.vmap(task_loss, (None, 0))(weights, episodes).mean()

    def step(state, episodes):
        weights, opt_state = state
        if tasks == "vmap":
            loss, gradient = jax.value_and_grad(mean_loss)(weights, episodes)
        else:
            each = partial(jax.value_and_grad(task_loss), weights)
            loss, gradient = jax.tree.map(lambda x: x.mean(0), jax.lax.map(each, episodes))
        updates, opt_state = optimizer.update(gradient, opt_state, weights)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradient)}
        return (optax.apply_updates(weights, updates), opt_state), metrics

    weights = jax.tree.map(jnp.asarray, draw_weights(setting, seed))
    episodes = jax.tree.map(jnp.asarray, draw_episodes(setting, seed))
    return _running(step, (weights, optimizer.init(weights)), episodes)


def plain_task_loss(setting: Setting, weights: Any, episode: Episodes) -> jax.Array:
    """Query loss of one task after its inner steps.

    Args:
      setting: as the weights.
      weights: as drawn.
      episode: of one task, without the leading axis.

    Returns:
      Scalar, the mean over query images.
    """

    def loss(weights, images, labels):
        chances = jax.nn.log_softmax(_plain_logits(setting, weights, images))
        return -jnp.take_along_axis(chances, labels[:, None], axis=1).mean()

    adapted = weights
    for _ in range(setting.inner_steps):
        gradient = jax.grad(loss)(adapted, episode.support_images, episode.support_labels)
        adapted = jax.tree.map(lambda w, g: w - setting.inner_rate * g, adapted, gradient)
    return loss(adapted, episode.query_images, episode.query_labels)


def _plain_logits(setting: Setting, weights: Any, images: jax.Array) -> jax.Array:
    hidden = images
    for index in range(setting.blocks):
        halve = index < setting.halvings
        stride = 2 if halve and setting.downsample == "stride" else 1
        hidden = jax.lax.conv_general_dilated(
            hidden,
            weights[f"conv_{index}"]["kernel"],
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        norm = weights[f"norm_{index}"]
        mean, variance = hidden.mean((0, 1, 2)), hidden.var((0, 1, 2))
        hidden = (hidden - mean) / jnp.sqrt(variance + _EPSILON) * norm["scale"] + norm["bias"]
        hidden = jax.nn.relu(hidden)
        if halve and setting.downsample == "pool":
            window = (1, 2, 2, 1)
            hidden = jax.lax.reduce_window(
                hidden, -jnp.inf, jax.lax.max, window, window, padding="VALID"
            )
    hidden = hidden.reshape(len(hidden), -1)
    for index in range(len(setting.widths)):
        layer = weights["head"][f"hidden_{index}"]
        hidden = jax.nn.relu(hidden @ layer["kernel"] + layer["bias"])
    layer = weights["head"]["classes"]
    return hidden @ layer["kernel"] + layer["bias"]


def _sample(data: Episodes, seed: jax.Array, step: jax.Array, task: jax.Array) -> Episode:
    del seed, step
    support = Examples(data.support_images[task], data.support_labels[task])
    return Episode(support, Examples(data.query_images[task], data.query_labels[task]))


def _running(step: Callable[..., tuple[Any, dict[str, jax.Array]]], state: Any, *data) -> Running:
    program: Any = None
    last: dict[str, float] = {}

    def once() -> float:
        nonlocal program, state
        if program is None:
            program = jax.jit(step, donate_argnums=0).lower(state, *data).compile()
        state, metrics = jax.block_until_ready(program(state, *data))
        last.update({name: float(value) for name, value in metrics.items()})
        return last["loss"]

    modules = {"jax": jax, "jaxlib": jaxlib, "flax": flax, "optax": optax}
    versions = {name: module.__version__ for name, module in modules.items()}
    return Running(
        once,
        lambda: last["gradient_norm"],
        versions,
        lambda: program.memory_analysis().temp_size_in_bytes,
    )

"""Tasks whose images do not lie on the device: which they are, and how they are sampled there.

Rows are drawn beforehand, by the same `draw` on the same keys, and images then arrive a few steps
at a time. So a task is the same bits whether its images were streamed or all in memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.sampling import draw, scale, task_key
from metabone.episodes.store import ImageStore
from metabone.episodes.types import Episode, Examples

_BLOCK = 256  # steps drawn at once: bounds the memory, and one compilation serves all blocks


class ImageWindow(NamedTuple):
    """The images of some consecutive steps; a pytree of constant shapes.

    Attributes:
      start: int32 scalar, the first step.
      images: `[longest, ..., H, W, C]` uint8, step by step; zeros after the last.
      labels: `[longest, ...]` int32, the source's labels of these images; zeros after the last.
    """

    start: np.ndarray | jax.Array
    images: np.ndarray | jax.Array
    labels: np.ndarray | jax.Array


def episode_plan(
    store: ImageStore,
    seed: int | jax.Array,
    steps: int,
    *,
    meta_batch: int,
    ways: int,
    shots: int,
    queries: int,
) -> np.ndarray:
    """Draws all tasks of a training: a shuffle that needs no pass over the data.

    Ten thousand steps of two tasks of 175 images are 14 MB.

    Args:
      store: satisfies `store.check_enough`; its `images` are not looked at, so it may be built on
        anything that has as many, such as prepared records.
      seed: as `train` is given it: an integer in 0 .. 2**32 - 1, or an integer scalar.
      steps: steps from 0.
      meta_batch: tasks a step.
      ways: classes a task.
      shots: support images a class.
      queries: query images a class.

    Returns:
      `[steps, meta_batch, ways * (shots + queries)]` int32 rows: a task's support class by class,
      then its queries class by class, in the order of `sampling.gather`.
    """
    index = jax.tree.map(jnp.asarray, store._replace(images=None))
    seed = seed if hasattr(seed, "dtype") else np.uint32(seed)

    @jax.jit
    def block(index, seed, first):
        def task_rows(step, task):
            drawn = draw(task_key(seed, step, task), index, ways, shots, queries)
            return jnp.concatenate([drawn.support.reshape(-1), drawn.query.reshape(-1)])

        tasks = jnp.arange(meta_batch, dtype=jnp.int32)
        some = first + jnp.arange(_BLOCK, dtype=jnp.int32)
        return jax.vmap(lambda step: jax.vmap(lambda task: task_rows(step, task))(tasks))(some)

    plan = np.empty((steps, meta_batch, ways * (shots + queries)), np.int32)
    for first in range(0, steps, _BLOCK):
        plan[first : first + _BLOCK] = block(index, seed, np.int32(first))[: steps - first]
    return plan


def streamed_episode(
    window: ImageWindow,
    seed: int | jax.Array,
    step: jax.Array,
    task: jax.Array,
    *,
    ways: int,
    shots: int,
    queries: int,
) -> Episode:
    """The episode that `sampling.sample` gives, from images that came by an `episode_plan`.

    Args:
      window: its images are `[longest, meta_batch, ways * (shots + queries), H, W, C]`.
      seed: not looked at; the plan has followed it.
      step: int32 scalar, within the window.
      task: int32 scalar, within the meta-batch.
      ways: classes a task, as in the plan.
      shots: support images a class, as in the plan.
      queries: query images a class, as in the plan.

    Returns:
      The episode, images scaled, labels `0 .. ways - 1`.

    Raises:
      ValueError: the window's tasks have another number of images.
    """
    del seed
    expected, found = ways * (shots + queries), window.labels.shape[-1]
    if found != expected:
        raise ValueError(f"{ways} ways of {shots} + {queries} images, but a task has {found}")
    images = jnp.asarray(window.images)[step - window.start, task]

    def examples(images: jax.Array, each: int) -> Examples:
        labels = jnp.repeat(jnp.arange(ways, dtype=jnp.int32), each)
        return Examples(scale(images), labels)

    cut = ways * shots
    return Episode(examples(images[:cut], shots), examples(images[cut:], queries))


def streamed_batch(
    window: ImageWindow, seed: jax.Array, step: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The minibatch of one step, from images that came by a plan `[steps, size]`.

    Args:
      window: its images are `[longest, size, H, W, C]`.
      seed: not looked at; the plan has followed it.
      step: int32 scalar, within the window.

    Returns:
      `[size, H, W, C]` uint8 images and their `[size]` int32 labels.
    """
    del seed
    return window.images[step - window.start], window.labels[step - window.start]

"""Drawing a task as a pure function of (seed, step, task), on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metabone.episodes.store import ImageStore, check_enough
from metabone.episodes.streams import Stream, seed_key, stream_key
from metabone.episodes.types import Episode, Examples


class Draw(NamedTuple):
    """Which images make a task, before any image is touched.

    Attributes:
      classes: `[ways]` int32 rows of the store's index; task label i is class `classes[i]`.
      support: `[ways, shots]` int32 rows of `images`.
      query: `[ways, queries]` int32 rows of `images`.
    """

    classes: jax.Array
    support: jax.Array
    query: jax.Array


def task_key(seed: int | jax.Array, step: int | jax.Array, task: int | jax.Array) -> jax.Array:
    """The random key of one task: nothing to save, the same on any host.

    Args:
      seed: of the run.
      step: meta-step, or the draw's number in an evaluation.
      task: within the meta-batch.

    Returns:
      A typed key.
    """
    return jax.random.fold_in(jax.random.fold_in(seed_key(seed), step), task)


def learner_key(key: jax.Array) -> jax.Array:
    """What a learner draws from on a task, apart from all that the sampler draws.

    Args:
      key: the task's, see `task_key`.

    Returns:
      A typed key.
    """
    return stream_key(key, Stream.LEARNER)


def draw(key: jax.Array, store: ImageStore, ways: int, shots: int, queries: int) -> Draw:
    """Draws classes, in a new order each time, and distinct images of each.

    Where the store has groups no group serves twice in a task, across classes included: support
    and query share no patient.

    Args:
      key: see `task_key`.
      store: its `images` are not read.
      ways: classes.
      shots: support images a class.
      queries: query images a class.

    Returns:
      The draw.

    Raises:
      InputError: sizes below 1, more classes or images than there are, see `store.check_enough`.
    """
    check_enough(store, ways, shots, queries)
    members = jnp.asarray(store.members)  # a store may still be on the host
    class_key = stream_key(key, Stream.CLASSES)
    image_key = stream_key(key, Stream.IMAGES)
    classes = jax.random.permutation(class_key, len(members))[:ways]
    keys = jax.random.split(image_key, ways)
    if store.groups is None:
        rows = jax.vmap(lambda k, c: _some(k, members[c], shots + queries))(keys, classes)
    else:
        groups = jnp.asarray(store.groups)

        def one_class(used, key_and_class):
            key, label = key_and_class
            rows = _some_of_new_groups(key, members[label], groups, used, shots + queries)
            return used.at[groups[rows]].set(True), rows

        rows = jax.lax.scan(one_class, jnp.asarray(store.group_marks), (keys, classes))[1]
    return Draw(classes.astype(jnp.int32), rows[:, :shots], rows[:, shots:])


def _some(key: jax.Array, members: jax.Array, count: int) -> jax.Array:
    scores = jnp.where(members >= 0, jax.random.uniform(key, members.shape), -1.0)
    return members[jax.lax.top_k(scores, count)[1]]


def _some_of_new_groups(
    key: jax.Array, members: jax.Array, groups: jax.Array, used: jax.Array, count: int
) -> jax.Array:
    own = groups[members]
    scores = jnp.where((members >= 0) & ~used[own], jax.random.uniform(key, members.shape), -1.0)
    best = jax.ops.segment_max(scores, own, len(used))
    one_a_group = jnp.where(scores == best[own], scores, -1.0)
    return members[jax.lax.top_k(one_a_group, count)[1]]


def gather(drawn: Draw, images: jax.Array) -> Episode:
    """Turns a draw into an episode.

    Args:
      drawn: rows into `images`.
      images: `[N, ...]` uint8 or float32.

    Returns:
      The episode, images scaled by `scale`, labels `0 .. ways - 1` in the draw's class order.
    """

    def examples(rows: jax.Array) -> Examples:
        labels = jnp.repeat(jnp.arange(rows.shape[0], dtype=jnp.int32), rows.shape[1])
        return Examples(scale(jnp.asarray(images)[rows.reshape(-1)]), labels)

    return Episode(examples(drawn.support), examples(drawn.query))


def scale(images: jax.Array) -> jax.Array:
    """uint8 to float32 in [-1, 1]; features in float32 pass unchanged."""
    if images.dtype == jnp.uint8:
        return images.astype(jnp.float32) / 127.5 - 1.0
    return images


def sample(
    store: ImageStore,
    seed: int | jax.Array,
    step: int | jax.Array,
    task: int | jax.Array,
    *,
    ways: int,
    shots: int,
    queries: int,
) -> Episode:
    """Samples one episode: a pure function of (seed, step, task).

    Args:
      store: from `store.build_store`.
      seed: see `task_key`.
      step: see `task_key`.
      task: see `task_key`.
      ways: classes.
      shots: support images a class.
      queries: query images a class.

    Returns:
      The episode, scaled.

    Raises:
      InputError: sizes below 1, more classes or images than there are, see `store.check_enough`.
    """
    return gather(draw(task_key(seed, step, task), store, ways, shots, queries), store.images)

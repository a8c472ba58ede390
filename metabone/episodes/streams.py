"""Streams of random numbers by name: what is drawn for one purpose never repeats another's."""

import enum

import jax


class Stream(enum.IntEnum):
    """What a task's key is folded into; the numbers stay, since figures depend on them."""

    CLASSES = 0  # which classes, in which order
    IMAGES = 1  # which images of each
    LEARNER = 2  # what the learner draws
    MIRROR = 3  # which images are mirrored


def stream_key(key: jax.Array, stream: Stream) -> jax.Array:
    """The key of one stream.

    Args:
      key: of a task, see `sampling.task_key`.
      stream: what it is for.

    Returns:
      A typed key.
    """
    return jax.random.fold_in(key, int(stream))

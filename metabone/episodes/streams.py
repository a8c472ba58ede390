"""Streams of random numbers by name: what is drawn for one purpose never repeats another's."""

import enum

import jax
import numpy as np

from metabone.errors import InputError


class Stream(enum.IntEnum):
    """What a task's key is folded into; the numbers stay, since figures depend on them."""

    CLASSES = 0  # which classes, in which order
    IMAGES = 1  # which images of each
    LEARNER = 2  # what the learner draws
    MIRROR = 3  # which images are mirrored


class TrainingStream(enum.IntEnum):
    """What the key of a supervised training's seed is folded into; the numbers stay likewise."""

    ORDER = 0  # of the images in each epoch
    AUGMENTATION = 1  # of each minibatch


def stream_key(key: jax.Array, stream: Stream | TrainingStream) -> jax.Array:
    """The key of one stream.

    Args:
      key: of a task, see `sampling.task_key`, or of a seed.
      stream: what it is for.

    Returns:
      A typed key.
    """
    return jax.random.fold_in(key, int(stream))


def seed_key(seed: int | jax.Array) -> jax.Array:
    """The key of a seed.

    Args:
      seed: 0 .. 2**32 - 1, or an integer scalar that is traced.

    Returns:
      A typed key.

    Raises:
      InputError: a number outside that, which would be the same as another within.
    """
    if isinstance(seed, int | np.integer) and not 0 <= seed < 2**32:
        raise InputError(f"seed (={seed}): expected 0 .. 2**32 - 1")
    return jax.random.key(seed)

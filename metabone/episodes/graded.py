"""Tasks of ordered classes, cut anew from a graded quantity such as an age, on the device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.refusals import group_numbers, stored_images
from metabone.episodes.sampling import Draw, gather, task_key
from metabone.episodes.streams import Stream, stream_key
from metabone.episodes.types import Episode
from metabone.errors import InputError


class GradedStore(NamedTuple):
    """Images whose grade is a number; a pytree, so that sampling runs inside jit.

    Attributes:
      images: `[N, ...]` uint8 images, or float32 features.
      order: `[S, M]` int32 rows of each of S strata, ascending by grade, padded with -1.
      counts: `[S]` int32 rows of each.
    """

    images: jax.Array
    order: jax.Array
    counts: jax.Array


def graded_store(
    images: np.ndarray,
    grades: np.ndarray,
    *,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    at_least: int = 2,
) -> GradedStore:
    """Builds a store on the host; `jax.device_put` moves it.

    Args:
      images: `[N, ...]` uint8 images, or float features.
      grades: `[N]` numbers, such as bone ages in months; of equal ones the first comes first.
      strata: `[N]` int, of which a task takes one, such as the region that an image shows; None for
        one that has all.
      groups: `[N]` ids, such as patients; a group may stand once in a stratum.
      at_least: images that each stratum must have.

    Returns:
      The store.

    Raises:
      InputError: lengths differ, images that a learner would misread (see
        `refusals.stored_images`), a grade that is no finite number, an image without a group, a
        group that stands twice in a stratum, or a stratum of too few images.
    """
    images = stored_images(images)
    try:
        grades = np.asarray(grades, np.float64)
    except (TypeError, ValueError):
        raise InputError("grades are no numbers: expected one an image, such as months") from None
    strata = np.zeros(len(grades), int) if strata is None else np.asarray(strata)
    if not len(images) == len(grades) == len(strata):
        raise InputError(
            f"{len(images)} images, {len(grades)} grades, {len(strata)} strata: expected as many"
        )
    if not np.isfinite(grades).all():
        raise InputError(f"grade {int(np.isfinite(grades).argmin())} is not finite")
    numbers = None if groups is None else group_numbers(groups, len(grades))
    rows = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    for members in rows:
        name = strata[members[0]]
        if len(members) < at_least:
            raise InputError(
                f"stratum {name} has {len(members)} images; expected at least {at_least}"
            )
        if numbers is not None and len(np.unique(numbers[members])) < len(members):
            raise InputError(f"stratum {name}: a patient has two images in it; expected one")
    order = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int32)
    for line, members in zip(order, rows, strict=True):
        line[: len(members)] = members[np.argsort(grades[members], kind="stable")]
    return GradedStore(images, order, np.array([len(members) for members in rows], np.int32))


def draw_graded(
    key: jax.Array, store: GradedStore, ways: int, shots: int, queries: int
) -> tuple[Draw, jax.Array]:
    """Draws a stratum, cuts its grades into classes at random, and draws images of each class.

    Each way to part the images, in order of grade, into classes of at least `shots + queries` is
    equally likely: classes are narrow or wide.

    Args:
      key: see `sampling.task_key`.
      store: its `images` are not read.
      ways: classes.
      shots: support images a class.
      queries: query images a class.

    Returns:
      The draw, its classes ascending by grade, and the first place of each class but the first in
      the order of grades, `[ways - 1]`.

    Raises:
      InputError: sizes below 1.
    """
    for name, size in (("ways", ways), ("shots", shots), ("queries", queries)):
        if size < 1:
            raise InputError(f"{name} (={size}): expected at least 1")
    class_key, image_key = (
        stream_key(key, Stream.CLASSES),
        stream_key(key, Stream.IMAGES),
    )
    stratum_key, cut_key = jax.random.split(class_key)
    order, counts = jnp.asarray(store.order), jnp.asarray(store.counts)
    stratum = jax.random.randint(stratum_key, (), 0, len(counts))
    each = shots + queries
    # What is left when every class has its least is dealt out: ways - 1 walls among it and them.
    walls = counts[stratum] - ways * each + ways - 1
    place = jnp.arange(order.shape[1] + ways - 1)
    scores = jnp.where(place < walls, jax.random.uniform(cut_key, place.shape), -1.0)
    chosen = jnp.sort(jax.lax.top_k(scores, ways - 1)[1]) if ways > 1 else place[:0]
    cuts = chosen - jnp.arange(ways - 1) + each * jnp.arange(1, ways)
    rank = jnp.arange(order.shape[1])
    own = jnp.where(rank < counts[stratum], jnp.searchsorted(cuts, rank, side="right"), -1)
    lots = jax.random.uniform(image_key, rank.shape)

    def members(label):
        return order[stratum, jax.lax.top_k(jnp.where(own == label, lots, -1.0), each)[1]]

    rows = jax.vmap(members)(jnp.arange(ways))
    return Draw(jnp.arange(ways, dtype=jnp.int32), rows[:, :shots], rows[:, shots:]), cuts


def sample_graded(
    store: GradedStore,
    seed: int | jax.Array,
    step: int | jax.Array,
    task: int | jax.Array,
    *,
    ways: int,
    shots: int,
    queries: int,
) -> Episode:
    """Samples one task of ordered classes: a pure function of (seed, step, task).

    Args:
      store: from `graded_store`.
      seed: see `sampling.task_key`.
      step: see `sampling.task_key`.
      task: see `sampling.task_key`.
      ways: classes.
      shots: support images a class.
      queries: query images a class.

    Returns:
      The episode, scaled; label k is the k-th class by grade.

    Raises:
      InputError: sizes below 1.
    """
    drawn, _ = draw_graded(task_key(seed, step, task), store, ways, shots, queries)
    return gather(drawn, store.images)

"""Images in memory or on the device, with an index of who belongs to which class."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from metabone.errors import InputError


class ImageStore(NamedTuple):
    """Images and their class index; a pytree, so that sampling runs inside jit.

    Several stores may share one `images` array: a split is only another index.

    Attributes:
      images: `[N, ...]` uint8 images, or float32 features.
      members: `[classes, M]` int32 rows of `images`, class by class, padded with -1.
      groups: `[N]` int32, such as the patient of each image, `0 .. group_count - 1`, or None.
      group_marks: `[group_count]` bool, all False; its length tells compiled code the number of
        groups. None where `groups` is None.
    """

    images: jax.Array
    members: jax.Array
    groups: jax.Array | None
    group_marks: jax.Array | None


def build_store(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    classes: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    groups: Sequence | None = None,
) -> ImageStore:
    """Builds a store on the host; `jax.device_put` moves it.

    Args:
      images: `[N, ...]`.
      labels: `[N]` int, negative for an image of no class.
      classes: which labels to index, in which order; by default all that occur, ascending.
      class_names: for error messages, by label.
      groups: `[N]` ids of any kind, such as patients; support and query of an episode then share
        none.

    Returns:
      The store.

    Raises:
      InputError: lengths differ, or a class without images.
    """
    labels = np.asarray(labels)
    if len(images) != len(labels):
        raise InputError(f"{len(images)} images and {len(labels)} labels: expected as many of each")
    if classes is None:
        classes = sorted(set(labels[labels >= 0].tolist()))
    rows = [np.flatnonzero(labels == label) for label in classes]
    for label, members in zip(classes, rows, strict=True):
        if not len(members):
            name = class_names[label] if class_names else label
            raise InputError(f"class {name!r} has no images")
    table = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int32)
    for row, members in zip(table, rows, strict=True):
        row[: len(members)] = members
    if groups is None:
        return ImageStore(images, table, None, None)
    if len(groups) != len(labels):
        raise InputError(f"{len(groups)} group ids and {len(labels)} labels: expected as many")
    names, ids = np.unique(np.asarray(groups), return_inverse=True)
    return ImageStore(images, table, ids.astype(np.int32), np.zeros(len(names), bool))


def check_enough(
    store: ImageStore,
    ways: int,
    shots: int,
    queries: int,
    class_names: Sequence[str] | None = None,
) -> None:
    """Checks that every possible episode can be drawn, before anything is compiled.

    Args:
      store: on the host.
      ways: classes a task.
      shots: support images a class.
      queries: query images a class.
      class_names: for the message, in the order of the store's classes.

    Raises:
      InputError: sizes below 1, fewer classes than ways, or a class with fewer images (or groups,
        where these must differ) than a task takes from it. A group with images of several classes
        is used by one of them at a time, so the worst case is counted.
    """
    for name, size in (("ways", ways), ("shots", shots), ("queries", queries)):
        if size < 1:
            raise InputError(f"{name} (={size}): expected at least 1")
    members = np.asarray(store.members)
    if len(members) < ways:
        raise InputError(f"ways (={ways}): the source has {len(members)} classes")
    needed = shots + queries
    available = (members >= 0).sum(1)
    unit = "images"
    if store.groups is not None:
        unit = "patients or other groups"
        groups = np.asarray(store.groups)
        present = np.zeros((len(members), len(store.group_marks)), bool)
        for row, marks in zip(members, present, strict=True):
            marks[groups[row[row >= 0]]] = True
        shared = present & (present.sum(0) > 1)
        taken_elsewhere = np.minimum(shared.sum(1), (ways - 1) * needed)
        available = present.sum(1) - taken_elsewhere
    for index, count in enumerate(available):
        if count < needed:
            name = class_names[index] if class_names else index
            raise InputError(
                f"shots (={shots}) + queries (={queries}) need {needed} {unit} a class; "
                f"class {name!r} has {count}"
            )

"""Images in memory or on the device, with an index of who belongs to which class."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.episodes.refusals import group_numbers, label_numbers, stored_images
from metabone.errors import InputError


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class ClassSizes:
    """How many images each class has, known wherever the store is, inside jit too.

    Attributes:
      names: of the classes, in the order of the store.
      available: images of each, or groups where there are any.
      shared: of these groups, those that are in other classes as well; zeros without groups.
      overlaps: of each class, how many groups it shares with each other class that it shares any
        with, most first; a group serves one class of a task only.
      unit: what is counted.
    """

    names: tuple[Any, ...]
    available: tuple[int, ...]
    shared: tuple[int, ...]
    overlaps: tuple[tuple[int, ...], ...]
    unit: str

    def refuse(self, ways: int, shots: int, queries: int, names: Sequence[Any] | None) -> None:
        """Refuses tasks for which a class has too few; see `check_enough`."""
        needed = shots + queries
        counts = zip(self.available, self.shared, self.overlaps, strict=True)
        for index, (available, shared, overlaps) in enumerate(counts):
            taken = sum(min(needed, overlap) for overlap in overlaps[: ways - 1])
            left = available - min(shared, taken)
            if left < needed:
                raise InputError(
                    f"shots (={shots}) + queries (={queries}) need {needed} {self.unit} a class; "
                    f"class {(names or self.names)[index]!r} has {left}"
                )


class ImageStore(NamedTuple):
    """Images and their class index; a pytree, so that sampling runs inside jit.

    Several stores may share one `images` array: a split is only another index.

    Attributes:
      images: `[N, ...]` uint8 images, or float32 features.
      members: `[classes, M]` int32 rows of `images`, class by class, padded with -1.
      groups: `[N]` int32, such as the patient of each image, `0 .. group_count - 1`, or None.
      group_marks: `[group_count]` bool, all False; its length tells compiled code the number of
        groups. None where `groups` is None.
      sizes: static, by which a class that is too small for a task is refused; None in a store that
        `build_store` has not made.
    """

    images: jax.Array
    members: jax.Array
    groups: jax.Array | None
    group_marks: jax.Array | None
    sizes: ClassSizes | None = None


def build_store(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    classes: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    groups: Sequence | None = None,
    at_least: int = 1,
) -> ImageStore:
    """Builds a store on the host; `jax.device_put` moves it.

    Args:
      images: `[N, ...]` uint8 images `[N, H, W, C]`, or float features.
      labels: `[N]` int, negative for an image of no class.
      classes: which labels to index, in which order; by default all that occur, ascending.
      class_names: for error messages, by label.
      groups: `[N]` ids of one kind, such as patients; support and query of an episode then share
        none.
      at_least: images that each class must have, such as shots plus queries.

    Returns:
      The store.

    Raises:
      InputError: lengths differ, labels that are not integers or go beyond the names, an image
        without a group, ids of several kinds, images of another dtype than uint8 and floats, not
        finite or without a channel axis, or a class of too few images.
    """
    labels, images = label_numbers(labels), stored_images(images)
    if len(images) != len(labels):
        raise InputError(f"{len(images)} images and {len(labels)} labels: expected as many of each")
    if classes is None:
        classes = sorted(set(labels[labels >= 0].tolist()))
    if class_names and max(classes, default=0) >= len(class_names):
        raise InputError(
            f"labels go to {max(classes)}, and class_names names {len(class_names)}: expected "
            f"labels 0 .. {len(class_names) - 1}"
        )
    rows = [np.flatnonzero(labels == label) for label in classes]
    for label, members in zip(classes, rows, strict=True):
        if len(members) < max(at_least, 1):
            name = class_names[label] if class_names else int(label)
            count = len(members) or "no"
            wanted = f"; expected at least {at_least}" if at_least > 1 else ""
            raise InputError(f"class {name!r} has {count} images{wanted}")
    table = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int32)
    for row, members in zip(table, rows, strict=True):
        row[: len(members)] = members
    names = tuple(class_names[label] if class_names else int(label) for label in classes)
    if groups is None:
        none = ((),) * len(rows)
        sizes = ClassSizes(names, tuple(map(len, rows)), (0,) * len(rows), none, "images")
        return ImageStore(images, table, None, None, sizes)
    numbers = group_numbers(groups, len(labels))
    group_count = int(numbers.max(initial=-1)) + 1
    present = np.zeros((len(rows), group_count), bool)
    for members, marks in zip(rows, present, strict=True):
        marks[numbers[members]] = True
    return ImageStore(
        images,
        table,
        numbers,
        np.zeros(group_count, bool),
        _sizes_of_groups(names, present),
    )


def _sizes_of_groups(names: tuple[Any, ...], present: np.ndarray) -> ClassSizes:
    """From `[classes, groups]`, whether a class has images of a group."""
    shared = present & (present.sum(0) > 1)
    together = np.rint(shared.astype(np.float32) @ shared.T.astype(np.float32)).astype(int)
    np.fill_diagonal(together, 0)
    overlaps = tuple(tuple(sorted(row[row > 0].tolist(), reverse=True)) for row in together)
    counts = (tuple(each.sum(1).tolist()) for each in (present, shared))
    return ClassSizes(names, *counts, overlaps, "patients or other groups")


def check_enough(
    store: ImageStore,
    ways: int,
    shots: int,
    queries: int,
    class_names: Sequence[str] | None = None,
) -> None:
    """Checks that every episode can be drawn, by shapes and sizes alone, so inside jit too.

    Args:
      store: any.
      ways: classes a task.
      shots: support images a class.
      queries: query images a class.
      class_names: for the message, in the order of the store's classes, if not those it was built
        with.

    Raises:
      InputError: sizes below 1, fewer classes than ways, or a class with fewer images (or groups,
        where these must differ) than a task takes from it. A group with images of several classes
        serves one of them in a task, so what the others may take first is counted off.
    """
    for name, size in (("ways", ways), ("shots", shots), ("queries", queries)):
        if size < 1:
            raise InputError(f"{name} (={size}): expected at least 1")
    classes, longest = store.members.shape
    if classes < ways:
        raise InputError(f"ways (={ways}): the source has {classes} classes")
    if store.sizes is not None:
        store.sizes.refuse(ways, shots, queries, class_names)
    elif longest < shots + queries:
        raise InputError(
            f"shots (={shots}) + queries (={queries}) need {shots + queries} images a class; "
            f"the largest class has {longest}"
        )

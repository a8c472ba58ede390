"""What a store refuses of the arrays that it is given, in one line each."""

from typing import Any

import jax
import numpy as np

from metabone.errors import InputError


def stored_images(images: Any) -> Any:
    """Images or features as a store keeps them, once they are known to be what a task may hold.

    Args:
      images: `[N, H, W, C]` uint8 or float, features `[N, ...]` of floats, numbers `[N]` that stand
        for images, or anything with a length that is no array, such as prepared records.

    Returns:
      The same; lists as an array.

    Raises:
      InputError: a dtype that a learner would take for what it is not, images without a channel
        axis, or numbers that are not finite.
    """
    if isinstance(images, (list, tuple)):
        images = _as_array("images", images)
    dtype = getattr(images, "dtype", None)
    if dtype is None:
        return images
    scaled, rank = jax.dtypes.issubdtype(dtype, np.floating), np.ndim(images)
    row_numbers = rank == 1 and jax.dtypes.issubdtype(dtype, np.integer)
    if not (scaled or row_numbers or dtype == np.uint8):
        # They would reach the learner as they are: only uint8 is scaled.
        raise InputError(f"images are {dtype}: expected uint8, 0 to 255, or floats already scaled")
    if dtype == np.uint8 and rank == 3:
        raise InputError(
            f"images of shape {np.shape(images)}: expected [N, H, W, C]; images[..., None] gives "
            "grey images their channel"
        )
    if scaled and isinstance(images, np.ndarray) and images.size:
        finite = np.isfinite(images).reshape(len(images), -1).all(1)
        if not finite.all():
            raise InputError(f"image {int(finite.argmin())} holds numbers that are not finite")
    return images


def label_numbers(labels: Any) -> np.ndarray:
    """Labels as an array.

    Args:
      labels: `[N]` whole numbers of any kind, in a list or an array.

    Returns:
      `[N]` int.

    Raises:
      InputError: they are not one whole number an image.
    """
    labels = _as_array("labels", labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise InputError(
            f"labels are {labels.dtype} of shape {labels.shape}: expected one integer an image; "
            "np.unique(labels, return_inverse=True)[1] numbers names"
        )
    return labels


def group_numbers(groups: Any, count: int) -> np.ndarray:
    """Numbers of groups that are told apart by ids.

    Args:
      groups: `[N]` ids of any one kind.
      count: N.

    Returns:
      `[N]` int32 in `0 .. groups - 1`.

    Raises:
      InputError: another number of them, an image without one, or ids that are not single values
        of one kind.
    """
    ids = _as_array("groups", groups)
    if ids.ndim != 1:
        raise InputError(f"groups of shape {ids.shape}: expected one id an image")
    if len(ids) != count:
        raise InputError(f"{len(ids)} group ids and {count} labels: expected as many")
    for row, group in enumerate(groups):
        if _is_missing(group):
            raise InputError(f"image {row} has no group ({group}): expected an id for each")
    try:
        return np.unique(ids, return_inverse=True)[1].astype(np.int32)
    except TypeError:  # they cannot be put in order
        kinds = ", ".join(sorted({type(group).__name__ for group in ids.tolist()}))
        raise InputError(f"groups are of several kinds ({kinds}): expected one kind") from None


def _is_missing(group: Any) -> bool:
    try:
        return group is None or bool(group != group)  # NaN and NaT are unlike themselves
    except TypeError:
        return True  # pandas.NA neither is nor is not like anything


def _as_array(what: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{what}: rows of unequal lengths; expected one array") from None

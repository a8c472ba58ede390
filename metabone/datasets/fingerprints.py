"""Content hashes of images, and the checks that no image is where it must not be."""

import hashlib
from collections.abc import Sequence

import numpy as np

from metabone.errors import InputError


def image_fingerprints(images: np.ndarray) -> list[str]:
    """Hashes each image by its shape and pixels.

    Args:
      images: `[N, ...]` uint8, one image (or one film with its regions) a row.

    Returns:
      `N` SHA-256 digests in hex.
    """
    images = np.ascontiguousarray(images)
    prefix = hashlib.sha256(f"{images.dtype.str}{images.shape[1:]}".encode())
    digests = []
    for image in images:
        digest = prefix.copy()
        digest.update(image.data)
        digests.append(digest.hexdigest())
    return digests


def content_sha256(images: np.ndarray, labels: np.ndarray) -> str:
    """Hashes a labelled set; the order of its images does not matter.

    Args:
      images: `[N, ...]` uint8.
      labels: `[N]` class of each image, or its age or stage.

    Returns:
      SHA-256 in hex of the sorted pairs of image hash and label.
    """
    pairs = zip(image_fingerprints(images), np.asarray(labels).tolist(), strict=True)
    lines = sorted(f"{fingerprint} {label}\n" for fingerprint, label in pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_disjoint(*named_splits: tuple[str, np.ndarray]) -> None:
    """Checks by content that no image is in two splits, or in two stages of one experiment.

    Args:
      *named_splits: Pairs of a name, for the message, and images `[N, ...]` uint8. Images of
        different shape count as different.

    Raises:
      InputError: An image is in two of them; the message names both and the image's row in each.

    Example:
      >>> one, two = np.zeros((1, 2, 2, 1), np.uint8), np.ones((3, 2, 2, 1), np.uint8)
      >>> check_disjoint(("train", one), ("test", two))
    """
    first_seen: dict[str, tuple[str, int]] = {}
    for name, images in named_splits:
        own = {}
        for row, fingerprint in enumerate(image_fingerprints(images)):
            if fingerprint in first_seen:
                other, other_row = first_seen[fingerprint]
                raise InputError(
                    f"image {row} of '{name}' is also image {other_row} of '{other}' "
                    f"(sha256 {fingerprint[:12]}); splits must share no image"
                )
            own.setdefault(fingerprint, (name, row))
        first_seen.update(own)


def check_one_label(
    fingerprints: Sequence[str],
    labels: Sequence[int] | Sequence[float] | Sequence[str],
    names: Sequence[str],
    what: str = "labels",
) -> None:
    """Checks that no image stands under two labels.

    Args:
      fingerprints: `N` hashes from `image_fingerprints`.
      labels: `N` classes.
      names: `N` names of the images for the message, such as file names.
      what: the labels are, for the message.

    Raises:
      InputError: Two equal images have different labels; the message names both.
    """
    first_seen: dict[str, int] = {}
    for row, fingerprint in enumerate(fingerprints):
        other = first_seen.setdefault(fingerprint, row)
        if labels[other] != labels[row]:
            raise InputError(
                f"{names[row]} and {names[other]} are the same image under two {what}; "
                "remove one of them"
            )


def under_two_labels(
    fingerprints: Sequence[str], labels: Sequence[int] | Sequence[str]
) -> list[int]:
    """Finds every copy of an image that stands under two labels or more.

    Args:
      fingerprints: `N` hashes from `image_fingerprints`.
      labels: `N` classes.

    Returns:
      Their rows, ascending.

    Example:
      >>> under_two_labels(["a", "b", "a", "b"], [0, 1, 2, 1])
      [0, 2]
    """
    labels_of: dict[str, set] = {}
    for fingerprint, label in zip(fingerprints, labels, strict=True):
        labels_of.setdefault(fingerprint, set()).add(label)
    return [row for row, image in enumerate(fingerprints) if len(labels_of[image]) > 1]

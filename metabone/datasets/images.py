"""A set of labelled images, one class a folder or a simulated shape."""

import dataclasses

import numpy as np

from metabone.provenance import Provenance


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images as host arrays: `N` images of `K` classes.

    Attributes:
      images: `[N, H, W, C]` uint8.
      labels: `[N]` int32 in `0 .. K - 1`.
      class_names: The `K` classes.
      provenance: Where the images came from.
      patients: `[N]` int64 or str where images of one patient must stay together, or None.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    provenance: Provenance
    patients: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def class_counts(self) -> dict[str, int]:
        """Number of images in each class, by class name."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

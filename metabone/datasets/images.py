"""A set of labelled images, one class a folder or a simulated shape."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from metabone.provenance import Provenance


class Images(Protocol):
    """Labelled images wherever they are: in memory (`ImageSet`) or in prepared records."""

    @property
    def labels(self) -> np.ndarray:
        """`[N]` int32 in `0 .. K - 1`."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The `K` classes."""

    @property
    def provenance(self) -> Provenance:
        """Where the images came from."""

    def __len__(self) -> int: ...

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Reads some images: `[n]` positions to `[n, H, W, C]` uint8."""

    def keep(self, rows: np.ndarray) -> "Images":
        """The images at some positions; classes without images are left out."""

    def whole(self) -> "ImageSet":
        """Reads all images into memory."""


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images as host arrays: `N` images of `K` classes.

    Attributes:
      images: `[N, H, W, C]` uint8, or `[N, D]` float32 of `embeddings.load_embeddings`.
      labels: `[N]` int32 in `0 .. K - 1`.
      class_names: The `K` classes.
      provenance: Where the images came from.
      patients: `[N]` int64 or str where images of one patient must stay together, or None.
      class_parts: Part of each class as its source is published, such as train; else empty.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    provenance: Provenance
    patients: np.ndarray | None = None
    class_parts: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some of the images, `[n, H, W, C]` uint8."""
        return self.images[np.asarray(rows)]

    def keep(self, rows: np.ndarray) -> "ImageSet":
        """The images at some positions; classes without images are left out."""
        used, labels = np.unique(self.labels[rows], return_inverse=True)
        return dataclasses.replace(
            self,
            images=self.images[rows],
            labels=labels.astype(np.int32),
            class_names=tuple(self.class_names[label] for label in used),
            patients=None if self.patients is None else self.patients[rows],
        )

    def whole(self) -> "ImageSet":
        """The set itself, as it is in memory already."""
        return self

    def class_counts(self) -> dict[str, int]:
        """Number of images in each class, by class name."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

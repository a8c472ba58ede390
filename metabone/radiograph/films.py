"""A set of films cut into the regions that are classified."""

import dataclasses

import numpy as np

from metabone.provenance import Provenance


@dataclasses.dataclass(frozen=True)
class FilmSet:
    """Hand-wrist films as host arrays: `N` films, `R` regions each, `K` classes of maturity.

    Attributes:
      regions: `[N, R, H, W, 1]` uint8, the regions of each film.
      classes: `[N]` int32 in `0 .. K - 1`, after stages were merged or ages cut.
      class_names: The `K` classes, youngest first.
      patients: `[N]` int64 or str, who is on the film; a split keeps a patient on one side.
      region_names: The `R` regions.
      stages: `[N]` int32, skeletal maturity stages 1..11 before merging, or None.
      bone_age_months: `[N]` float32, or None.
      sex: `[N]` str, `'F'` or `'M'`, or None.
      looks: `[N, 64, 64]` uint8, by which near copies are found, see `datasets.near_copies`; None
        where none are to be expected.
      examples: `[k, H', W']` uint8, a few whole films for the report.
      example_boxes: `[k, R, 4]` int32, `x0, y0, x1, y1` of each region in pixels of `examples`,
        the right and lower edge exclusive.
      example_index: `[k]` int32, which of the `N` films each example is.
      provenance: Where the films came from.
    """

    regions: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]
    patients: np.ndarray
    region_names: tuple[str, ...]
    examples: np.ndarray
    example_boxes: np.ndarray
    example_index: np.ndarray
    provenance: Provenance
    stages: np.ndarray | None = None
    bone_age_months: np.ndarray | None = None
    sex: np.ndarray | None = None
    looks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.regions)

    def keep(self, rows: np.ndarray) -> "FilmSet":
        """The films at some positions; classes keep their numbers, shown films those kept."""
        rows = np.asarray(rows)
        (shown,) = np.nonzero(np.isin(self.example_index, rows))
        place = {int(row): at for at, row in enumerate(rows.tolist())}
        index = [place[int(row)] for row in self.example_index[shown]]
        of_films = ("regions", "classes", "patients", "stages", "bone_age_months", "sex", "looks")
        values = {name: getattr(self, name) for name in of_films}
        return dataclasses.replace(
            self,
            **{name: None if value is None else value[rows] for name, value in values.items()},
            examples=self.examples[shown],
            example_boxes=self.example_boxes[shown],
            example_index=np.asarray(index, np.int32),
        )

    def class_counts(self) -> dict[str, int]:
        """Number of films in each class, by class name."""
        counts = np.bincount(self.classes, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))


def spread_over_classes(classes: np.ndarray, count: int) -> np.ndarray:
    """Chooses a few films to show: the first of each class, then the second, and so on.

    Args:
      classes: `[N]` int.
      count: How many to choose, at most; fewer where there are fewer films.

    Returns:
      `[k]` int32 positions, by class and then by place.

    Example:
      >>> spread_over_classes(np.array([1, 0, 0, 0, 1]), 3).tolist()
      [1, 2, 0]
    """
    turn = np.zeros(len(classes), np.int64)
    for label in np.unique(classes):
        turn[classes == label] = np.arange(np.sum(classes == label))
    chosen = np.lexsort((classes, turn))[:count]
    return chosen[np.lexsort((chosen, classes[chosen]))].astype(np.int32)

"""Regions of films as images whose grade is known: what ordered tasks are made of."""

import dataclasses

import numpy as np

from metabone.datasets.images import ImageSet
from metabone.errors import InputError
from metabone.radiograph.films import FilmSet

GRADES = 6
"""Classes of a region that a backbone is pre-trained to tell apart."""


@dataclasses.dataclass(frozen=True)
class GradedImages(ImageSet):
    """Labelled images with a grade behind the label; a class is a region at about one grade.

    Attributes:
      grades: `[N]` float32, bone ages in months.
      strata: `[N]` int32, which region each shows: a task takes images of one.
      sex: `[N]` str, `'F'`, `'M'`, or `''` where it is not known.
    """

    grades: np.ndarray = None
    strata: np.ndarray = None
    sex: np.ndarray = None

    def keep(self, rows: np.ndarray) -> "GradedImages":
        """The images at some positions; classes without images are left out."""
        kept = super().keep(rows)
        own = {name: getattr(self, name)[rows] for name in ("grades", "strata", "sex")}
        return dataclasses.replace(kept, **own)


def graded_images(films: FilmSet) -> GradedImages:
    """The regions of films, each an image.

    Args:
      films: with bone ages.

    Returns:
      The images, film by film. Their classes are each region at each of six quantiles of age.

    Raises:
      InputError: no films, or films without bone ages.
    """
    if films.bone_age_months is None or not len(films):
        raise InputError(f"{films.provenance.source}: expected films with bone ages")
    count = len(films.region_names)
    edges = np.quantile(films.bone_age_months, np.arange(1, GRADES) / GRADES)
    grade = np.searchsorted(edges, films.bone_age_months, side="right")
    strata = np.tile(np.arange(count, dtype=np.int32), len(films))
    sex = sex_of(films)
    return GradedImages(
        images=films.regions.reshape(-1, *films.regions.shape[2:]),
        labels=(strata * GRADES + np.repeat(grade, count)).astype(np.int32),
        class_names=tuple(
            f"{name}, age {rank + 1} of {GRADES}"
            for name in films.region_names
            for rank in range(GRADES)
        ),
        provenance=films.provenance,
        patients=np.repeat(films.patients, count),
        grades=np.repeat(films.bone_age_months, count).astype(np.float32),
        strata=strata,
        sex=np.repeat(sex, count),
    )


def sex_of(films: FilmSet) -> np.ndarray:
    """`[N]` str, the sex of each film, empty where it is not known."""
    return np.full(len(films), "") if films.sex is None else np.asarray(films.sex)

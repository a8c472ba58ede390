"""Labelled films as a caller gives them: which classes they have, and what is known beside."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metabone.datasets.film_bytes import OwnFilm
from metabone.datasets.own_films import FEWEST, LabelledFilms
from metabone.errors import InputError
from metabone.workflows.film_arrays import films_of_arrays


class GivenFilms:
    """Films to be read once, and what their files say of patients.

    Attributes:
      patients: a name a film, after `read`, where files name patients; else None.
      all_named: whether the files of all films do.
      notes: how patients are known, after `read`.
    """

    def __init__(
        self,
        images: np.ndarray | Sequence[np.ndarray] | LabelledFilms,
        channels: int,
        sex: bool | Sequence[str],
    ):
        """Takes films.

        Args:
          images: as of `adapt`.
          channels: 1 or 3.
          sex: as of `adapt`.

        Raises:
          InputError: sex is not given, or of another number of films.
        """
        self.patients: list[str] | None = None
        self.all_named = False
        self.notes: tuple[str, ...] = ()
        self._images, self._channels = images, channels
        on_disk = isinstance(images, LabelledFilms)
        told = images.sex if on_disk and sex is True else sex
        if told is True:
            raise InputError("sex: expected 'F', 'M' or '' a film, beside images in memory")
        self._sex = told or None
        self._asked = sex is not False
        count = len(images.files if on_disk else images)
        if self._sex is not None and len(self._sex) != count:
            raise InputError(f"{len(self._sex)} of sex for {count} films; expected one a film")

    def read(self) -> Iterator[OwnFilm]:
        """Reads the films, one after the other.

        Raises:
          InputError: a film is unreadable, or sex is asked for and known of none.
        """
        if not isinstance(self._images, LabelledFilms):
            yield from films_of_arrays(self._images, self._channels, self._sex)
            return
        unknown = 0
        found: list[str | None] = []
        for row, film in enumerate(self._images.read(self._channels)):
            found.append(film.group)
            film = film if self._sex is None else film._replace(sex=self._sex[row] or film.sex)
            unknown += not film.sex
            yield film
        if self._asked and unknown == len(found):
            raise InputError(
                "sex is told of no film: expected a column sex in a csv, or DICOM that tell it"
            )
        if self._asked and unknown:
            self.notes = (f"sex is not known of {unknown} of {len(found)} films",)
        known = sum(group is not None for group in found)
        if known and self._images.groups is None:
            self.patients = [group or f"film {row}" for row, group in enumerate(found)]
            self.all_named = known == len(found)
            self.notes += (
                f"patients told apart by the DICOM files' own numbers ({known} of {len(found)} "
                "films), of which nothing is kept",
            )


def classes_of(
    labels: Any, names: Sequence[str], groups: Any, order: Sequence[Hashable]
) -> tuple[tuple[Any, ...], np.ndarray]:
    """The classes in order, and the number of each film's class.

    Args:
      labels: one string or integer a film.
      names: of the films.
      groups: one a film, or None.
      order: all classes in order; empty for the order of their names.

    Returns:
      Classes, and `[n]` int32.

    Raises:
      InputError: labels of another kind or number, too few classes or films, classes that the order
        does not name, or others that it does.
    """
    if labels is None:
        raise InputError("no labels; expected one a film")
    for name, each in (("labels", labels), ("groups", groups)):
        if each is not None and len(each) != len(names):
            raise InputError(f"{len(each)} {name} for {len(names)} films; expected one a film")
    if not isinstance(labels, np.ndarray) and len({isinstance(label, str) for label in labels}) > 1:
        raise InputError("labels are strings and numbers; expected all of one kind")
    values = np.asarray(labels)
    if values.dtype == object and all(isinstance(value, str) for value in values.ravel()):
        values = values.astype(str)
    if values.ndim != 1 or values.dtype.kind not in "iuU":
        raise InputError(
            f"labels of shape {values.shape} and dtype {values.dtype}: expected one string or "
            "integer a film"
        )
    classes = tuple(np.unique(values).tolist())
    if order:
        # From a command line the names of classes that are numbers come as text.
        named = {str(name): name for name in classes}
        given = [named.get(str(name), name) for name in order]
        if sorted(map(str, given)) != sorted(named):
            raise InputError(
                f"classes {', '.join(map(str, order))}: expected those of the films, each once: "
                f"{', '.join(named)}"
            )
        classes = tuple(given)
    number_of = {name: number for number, name in enumerate(classes)}
    numbers = np.array([number_of[value] for value in values.tolist()], np.int32)
    check_enough(numbers, classes, {})
    return classes, numbers


def check_enough(
    numbers: np.ndarray, classes: Sequence[object], refused: Mapping[str, str]
) -> None:
    """Raises `InputError` for too few classes, or too few films of one.

    Args:
      numbers: `[n]` int, the class of each film that is learned from.
      classes: by number.
      refused: name to reason of films that are left out.
    """
    if len(classes) < 2:
        raise InputError(f"{len(classes)} classes; expected two or more")
    counts = np.bincount(numbers, minlength=len(classes))
    if counts.min() >= FEWEST:
        return
    name = classes[int(counts.argmin())]
    why = ""
    if refused:
        file, reason = next(iter(refused.items()))
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        why = f" left, without those that were refused ({file}: {reason}{more})"
    raise InputError(
        f"class {name!r} has {counts.min()} films{why}; at least {FEWEST} a class are needed"
    )

"""A learner adapted to a few labelled films: what reads new ones."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from metabone.datasets.fingerprints import image_fingerprints
from metabone.errors import InputError
from metabone.evaluation.occlusion import mean_over_windows
from metabone.workflows.confidence import conformal_sets, distances_between
from metabone.workflows.film_arrays import (
    SEX_UNKNOWN,
    FilmArrays,
    FilmView,
    films_of_arrays,
    to_arrays,
)
from metabone.workflows.film_evaluation import Evaluation, in_words, verdict
from metabone.workflows.hand_regions import HandRegions
from metabone.workflows.look import look_of
from metabone.workflows.occlusion import covered, drops_without
from metabone.workflows.prediction_program import PredictionProgram

_NEAREST = 3

UNLIKE = "Unlike all films that the model was adapted to."
KNOWN = "A copy of a labelled film: the answer says nothing about new ones."
BLANK = "Of one grey: there is nothing to see."
NO_SEX = "Its sex is not known, and the model was adapted with it."
REFUSED = "Not read: {}."


class Predictions(NamedTuple):
    """What a model says of `n` films.

    A film that is refused has no answer: None, without classes in its set, its numbers NaN and its
    nearest films -1.

    Attributes:
      answers: `[n]` the likeliest class of each, as labels were given; of dtype object where a film
        is refused.
      probabilities: `[n, K]` float32, calibrated by cross-validation on the labelled films.
      conformal: for each film the classes of its 90 % set.
      warnings: for each film why its answer should not be relied on, or why there is none; empty
        where nothing is wrong.
      nearest: `[n, 3]` int, the labelled films most like each, nearest first; fewer columns where
        there are fewer films.
      distances: `[n]` float64, to the nearest of them in the space of features.
      drops: `[n, R]` float32, by how much the probability of the answer falls when one of the
        regions is not looked at; None of a model of films as a whole.
    """

    answers: np.ndarray
    probabilities: np.ndarray
    conformal: tuple[tuple[Any, ...], ...]
    warnings: tuple[str, ...]
    nearest: np.ndarray
    distances: np.ndarray
    drops: np.ndarray | None = None


class KnownFilms(NamedTuple):
    """The labelled films, as far as a model keeps them.

    Attributes:
      files: `n` names.
      labels: `[n]` int32 in `0 .. K - 1`.
      fingerprints: `n` content hashes at the learner's size.
      features: `[n, D]` float32, by which films are alike.
      looks: `[n, 73]` float32, how they look as a whole, see `look.look_of`; of regions the looks
        of all of them, one after the other.
      thumbnails: `[n, side, side, C]` uint8, to show.
    """

    files: tuple[str, ...]
    labels: np.ndarray
    fingerprints: tuple[str, ...]
    features: np.ndarray
    looks: np.ndarray
    thumbnails: np.ndarray


class Familiar(NamedTuple):
    """Distances to the nearest labelled film beyond which a film is marked as unlike them all.

    Attributes:
      features: in the space of the learner's features.
      look: in that of looks.
    """

    features: float
    look: float


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A learner adapted to labelled films; `adapt` makes one, `load` finds it again.

    Attributes:
      classes: the `K` classes, as labels were given, in order.
      evaluation: how good it is by cross-validation.
      films: the labelled films.
      familiar: how far from the labelled films a film may be without being marked.
      about: plain record: `learner`, `seed`, `notes`, and citation and licence of the films where
        they were read from disk.
      program: reads films.
      weights: of the adapted learner, by name; the program holds them too.
      hands: which regions of a hand are read; None for films as a whole.
    """

    classes: tuple[Any, ...]
    evaluation: Evaluation
    films: KnownFilms
    familiar: Familiar
    about: Mapping[str, Any]
    program: PredictionProgram
    weights: Mapping[str, np.ndarray]
    hands: HandRegions | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """`(H, W, C)` of what the program takes, or `(R, H, W, C)`: regions of a film."""
        return self.program.image_shape

    @property
    def view(self) -> FilmView:
        """How films become what the program takes."""
        height, width, channels = self.image_shape[-3:]
        return FilmView((width, width, channels), self.hands, sex=height > width)

    @property
    def verdict(self) -> str:
        """One sentence: whether it is better than guessing."""
        return verdict(self.evaluation)

    @property
    def counts(self) -> dict[Any, int]:
        """Labelled films of each class."""
        found = np.bincount(self.films.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, found, strict=True))

    def summary(self) -> dict[str, str]:
        """What it was adapted to and how good it is, heading to sentence, the verdict last."""
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        origin = self.about["learner"]
        learner = f"{origin.get('learner', 'a learner')}, from {origin.get('source', 'no source')}"
        if origin.get("kind") == "simulated":
            learner += " (simulated images alone)"
        refused = self.about.get("refused", {})
        regions = (
            {}
            if self.hands is None
            else {
                "Regions": f"{self.hands.name}, each read by itself; probabilities are their mean. "
                f"Films refused as no hands that can be read: {len(refused)}."
            }
        )
        return {
            "Adapted to": f"{len(self.films.files)} films: {counts}.",
            "Learner": f"{learner}.",
            **regions,
            **in_words(self.evaluation, self.classes),
        }

    def predict(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        *,
        sex: Sequence[str] | None = None,
    ) -> Predictions:
        """Reads films.

        Args:
          images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes.
          sex: `n` of `"F"`, `"M"`, or `""` where it is not known, for a model that was adapted with
            it.

        Returns:
          What it says of each; of one film the same to the bit whichever others are asked with it.

        Raises:
          InputError: an image of another dtype or shape, or another number of sexes.
        """
        if sex is not None and len(sex) != len(images):
            raise InputError(f"{len(sex)} of sex for {len(images)} films; expected one a film")
        if not len(images):
            raise InputError("no images; expected at least one")
        view = self.view
        found = to_arrays(view, films_of_arrays(images, view.channels, sex))
        read = self.predict_read(found.images)
        return self._with_refused(read, found) if found.refusals else read

    def predict_read(self, images: np.ndarray) -> Predictions:
        """`predict` for `[n, ...]` uint8 of the model's own shape, which may be no film at all."""
        if not len(images):
            return self._no_answers(0)
        found = self.program(images)
        best = found["logits"].argmax(-1)
        sets = conformal_sets(found["probabilities"], self.evaluation.set_limit)
        apart = distances_between(found["features"], self.films.features)
        nearest = np.argsort(apart, axis=-1, kind="stable")[:, :_NEAREST]
        distances = apart.min(-1)
        looks = distances_between(look_of(self.view.pixels(images)), self.films.looks).min(-1)
        alike = (distances <= self.familiar.features) & (looks <= self.familiar.look)
        drops = None
        if self.hands is not None:
            drops = drops_without(found["regions"], self.evaluation.temperature)
        return Predictions(
            answers=np.asarray(self.classes)[best],
            probabilities=found["probabilities"],
            conformal=tuple(
                tuple(name for name, inside in zip(self.classes, row, strict=True) if inside)
                for row in sets
            ),
            warnings=self._warnings(images, alike),
            nearest=nearest,
            distances=distances,
            drops=drops,
        )

    def _no_answers(self, count: int) -> Predictions:
        """Of films that are refused."""
        regions = () if self.hands is None else (len(self.hands.regions),)
        return Predictions(
            answers=np.full(count, None, object),
            probabilities=np.full((count, len(self.classes)), np.nan, np.float32),
            conformal=((),) * count,
            warnings=("",) * count,
            nearest=np.full((count, min(_NEAREST, len(self.films.files))), -1),
            distances=np.full(count, np.nan),
            drops=np.full((count, *regions), np.nan, np.float32) if regions else None,
        )

    def _with_refused(self, read: Predictions, films: FilmArrays) -> Predictions:
        """What is said of all films, of those that are refused why there is no answer."""
        found = self._no_answers(len(films.rows) + len(films.refusals))
        place = {row: at for at, row in enumerate(films.rows.tolist())}
        found.answers[films.rows] = read.answers.tolist()
        for name in ("probabilities", "nearest", "distances", "drops"):
            getattr(found, name)[films.rows] = getattr(read, name)
        return found._replace(
            conformal=tuple(
                read.conformal[place[row]] if row in place else ()
                for row in range(len(found.answers))
            ),
            warnings=tuple(
                read.warnings[place[row]] if row in place else REFUSED.format(films.refusals[row])
                for row in range(len(found.answers))
            ),
        )

    def _warnings(self, images: np.ndarray, alike: np.ndarray) -> tuple[str, ...]:
        known, view = set(self.films.fingerprints), self.view
        found = []
        for image, familiar, own in zip(images, alike, image_fingerprints(images), strict=True):
            pixels = view.pixels(image)
            amiss = KNOWN if own in known else ""
            if not amiss and view.sex and (image[..., -1, :, :] == SEX_UNKNOWN).all():
                amiss = NO_SEX
            found.append(BLANK if pixels.min() == pixels.max() else amiss if familiar else UNLIKE)
        return tuple(found)

    def explain(self, image: np.ndarray) -> np.ndarray:
        """Where in a film the answer comes from: an occlusion map (Zeiler and Fergus 2014).

        Args:
          image: `[H, W]` or `[H, W, C]` uint8.

        Returns:
          `[H, W]` float32, by how much the probability of the answer falls where a window of a
          quarter of the film's longer side is covered by the film's mean grey, a mean over the
          windows that hold a pixel.

        Raises:
          InputError: an image of another dtype or shape; a model of regions, whose
            `Predictions.drops` tell which of them an answer comes from.
        """
        if self.hands is not None:
            raise InputError("a model of regions has no map; predict(...).drops tells which matter")
        (film,) = films_of_arrays([image], self.image_shape[-1])
        films = to_arrays(self.view, [film]).images
        size = film.pixels.shape[1], film.pixels.shape[0]
        found = Image.fromarray(self.explain_read(films[0], size))
        return np.asarray(found.resize(size, Image.Resampling.BILINEAR))

    def explain_read(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """`explain` at the model's own size.

        Args:
          image: `[size, size, C]` uint8 of the model's own shape.
          size: width and height of the film before it was padded to a square.

        Returns:
          `[h, w]` float32, without what was padded; the longer of the two is the model's size.
        """
        edge, _, _ = self.view.shape
        films, windows = covered(image, edge)
        found = self.program(films)
        best = int(found["logits"][0].argmax())
        share = found["probabilities"][:, best]
        drops = mean_over_windows(share[0] - share[1:], windows, (edge, edge))
        longest = max(size)
        width, height = (max(1, math.ceil(edge * side / longest)) for side in size)
        left, top = (edge - width) // 2, (edge - height) // 2
        return drops[top : top + height, left : left + width]

    def save(self, folder: str | os.PathLike) -> Path:
        """Writes the model into a new folder, whole or not at all.

        Args:
          folder: is made; what is there already is never touched.

        Returns:
          The folder.

        Raises:
          InputError: it exists already, or cannot be written.
        """
        from metabone.workflows.model_folder import save_model

        return save_model(self, folder)

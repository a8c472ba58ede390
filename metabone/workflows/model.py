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
from metabone.workflows.confidence import conformal_sets, distances_between
from metabone.workflows.film_arrays import pictures_of, to_arrays
from metabone.workflows.film_evaluation import Evaluation, in_words, verdict
from metabone.workflows.look import look_of
from metabone.workflows.occlusion import covered, drop_map
from metabone.workflows.prediction_program import PredictionProgram

_NEAREST = 3

UNLIKE = "Unlike all films that the model was adapted to."
KNOWN = "A copy of a labelled film: the answer says nothing about new ones."
BLANK = "Of one grey: there is nothing to see."


class Predictions(NamedTuple):
    """What a model says of `n` films.

    Attributes:
      answers: `[n]` the likeliest class of each, as labels were given.
      probabilities: `[n, K]` float32, calibrated by cross-validation on the labelled films.
      conformal: for each film the classes of its 90 % set.
      warnings: for each film why its answer should not be relied on; empty where nothing is wrong.
      nearest: `[n, 3]` int, the labelled films most like each, nearest first; fewer columns where
        there are fewer films.
      distances: `[n]` float64, to the nearest of them in the space of features.
    """

    answers: np.ndarray
    probabilities: np.ndarray
    conformal: tuple[tuple[Any, ...], ...]
    warnings: tuple[str, ...]
    nearest: np.ndarray
    distances: np.ndarray


class KnownFilms(NamedTuple):
    """The labelled films, as far as a model keeps them.

    Attributes:
      files: `n` names.
      labels: `[n]` int32 in `0 .. K - 1`.
      fingerprints: `n` content hashes at the learner's size.
      features: `[n, D]` float32, by which films are alike.
      looks: `[n, 73]` float32, how they look as a whole, see `look.look_of`.
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
      classes: the `K` classes, as labels were given, sorted.
      evaluation: how good it is by cross-validation.
      films: the labelled films.
      familiar: how far from the labelled films a film may be without being marked.
      about: plain record: `learner`, `seed`, `notes`, and citation and licence of the films where
        they were read from disk.
      program: reads films.
      weights: of the adapted learner, by name; the program holds them too.
    """

    classes: tuple[Any, ...]
    evaluation: Evaluation
    films: KnownFilms
    familiar: Familiar
    about: Mapping[str, Any]
    program: PredictionProgram
    weights: Mapping[str, np.ndarray]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(size, size, C)` at which films are read."""
        return self.program.image_shape

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
        return {
            "Adapted to": f"{len(self.films.files)} films: {counts}.",
            "Learner": f"{learner}.",
            **in_words(self.evaluation, self.classes),
        }

    def predict(self, images: np.ndarray | Sequence[np.ndarray]) -> Predictions:
        """Reads films.

        Args:
          images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes.

        Returns:
          What it says of each; of one film the same to the bit whichever others are asked with it.

        Raises:
          InputError: an image of another dtype or shape.
        """
        pictures = pictures_of(images, self.image_shape[-1])
        return self.predict_read(to_arrays(pictures, len(images), self.image_shape).images)

    def predict_read(self, images: np.ndarray) -> Predictions:
        """`predict` for `[n, size, size, C]` uint8 of the model's own shape."""
        if not len(images):
            raise InputError("no images; expected at least one")
        found = self.program(images)
        best = found["logits"].argmax(-1)
        sets = conformal_sets(found["probabilities"], self.evaluation.set_limit)
        apart = distances_between(found["features"], self.films.features)
        nearest = np.argsort(apart, axis=-1, kind="stable")[:, :_NEAREST]
        distances = apart.min(-1)
        looks = distances_between(look_of(images), self.films.looks).min(-1)
        alike = (distances <= self.familiar.features) & (looks <= self.familiar.look)
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
        )

    def _warnings(self, images: np.ndarray, alike: np.ndarray) -> tuple[str, ...]:
        known = set(self.films.fingerprints)
        found = []
        for image, familiar, own in zip(images, alike, image_fingerprints(images), strict=True):
            copy = KNOWN if own in known else ""
            found.append(BLANK if image.min() == image.max() else copy if familiar else UNLIKE)
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
          InputError: an image of another dtype or shape.
        """
        (picture,) = pictures_of([image], self.image_shape[-1])
        films = to_arrays([picture], 1, self.image_shape).images
        found = Image.fromarray(self.explain_read(films[0], picture.image.size))
        return np.asarray(found.resize(picture.image.size, Image.Resampling.BILINEAR))

    def explain_read(self, image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """`explain` at the model's own size.

        Args:
          image: `[size, size, C]` uint8 of the model's own shape.
          size: width and height of the film before it was padded to a square.

        Returns:
          `[h, w]` float32, without what was padded; the longer of the two is the model's size.
        """
        films, windows = covered(image)
        found = self.program(films)
        best = int(found["logits"][0].argmax())
        share = found["probabilities"][:, best]
        drops = drop_map(share[0] - share[1:], windows, image.shape[:2])
        edge, longest = len(image), max(size)
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

"""Labelled films read by learners that had not learned from them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.episodes.types import Examples
from metabone.errors import InputError
from metabone.learners.base import MetaLearner
from metabone.workflows.confidence import distances_between
from metabone.workflows.prediction_program import in_chunks, reader_of
from metabone.workflows.trained import Trained

_SAME = 1e-3  # Relative; what differs by more than rounding depends on the other films.


class OutOfFold(NamedTuple):
    """What was said of each film by a learner adapted to the other folds.

    Attributes:
      logits: `[n, K]` float32.
      distances: `[n]` float64, to the nearest of those films in the space of features.
    """

    logits: np.ndarray
    distances: np.ndarray


class FilmLearner:
    """A learner on the films of one task: prepared once, compiled once a number of films.

    Attributes:
      learner: of the task's classes or more.
      regions: of a film; 0 for films as a whole.
    """

    def __init__(self, trained: Trained, classes: int, films: np.ndarray, labels: np.ndarray):
        """Prepares films.

        Args:
          trained: what adapts.
          classes: of the task.
          films: `[n, H, W, C]` uint8; `[n, R, H, W, C]` by regions, each of which is a task of its
            own.
          labels: `[n]` int in `0 .. classes - 1`.

        Raises:
          InputError: the learner does not serve so many classes.
        """
        self.learner: MetaLearner = trained.learner_for(classes)
        self.regions = films.shape[1] if films.ndim == 5 else 0
        self._prepared = in_chunks(jax.jit(_prepare_of(trained, self.regions)), films)
        self._labels, self._classes = labels.astype(np.int32), classes
        self._adapt = jax.jit(
            lambda params, images, labels, key: self.learner.adapt(
                params, Examples(images, labels), key
            )
        )
        self._read = jax.jit(reader_of(trained, self.learner, classes, self.regions))

    def untrained(self, seed: int) -> Any:
        """Meta-parameters as they are before anything was learned."""
        init = jax.jit(self.learner.init, static_argnums=1)
        return init(jax.random.key(seed), self._prepared.shape[2 if self.regions else 1 :])

    def adapt(self, meta_params: Any, rows: np.ndarray, seed: int) -> Any:
        """The learner adapted to the films at `rows`, one a region on a first axis."""
        films, labels, key = self._prepared[rows], self._labels[rows], jax.random.key(seed)
        if not self.regions:
            return self._adapt(meta_params, films, labels, key)
        each = [
            self._adapt(meta_params, films[:, region], labels, key)
            for region in range(self.regions)
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *each)

    def read(self, adapted: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What `reader_of` says of the films at `rows`."""
        return in_chunks(lambda films: self._read(adapted, films), self._prepared[rows])

    def check_inductive(self, adapted: Any) -> None:
        """Raises `InputError` where what is said of a film depends on the others, or of no film."""
        rows = np.arange(2)
        found, films = self.read(adapted, rows), self._prepared[rows]
        alone = found["logits"]
        if self.regions:
            alone, films = found["regions"][:, 0], films[:, 0]
            adapted = jax.tree.map(lambda leaf: leaf[0], adapted)
        together = np.asarray(jax.jit(self.learner.predict)(adapted, films))
        if not np.isfinite(alone).all():
            raise InputError("this learner's answers are not finite numbers on these films")
        apart = np.abs(alone - together[:, : alone.shape[1]]).max()
        if apart > _SAME * np.abs(alone).max():
            raise InputError(
                "this learner's answer on a film depends on the films asked with it "
                "(norm='transductive'); make it with norm='inductive'"
            )

    def cross_validate(self, meta_params: Any, folds: np.ndarray, seed: int) -> OutOfFold:
        """Reads each fold by the learner adapted to the others.

        Args:
          meta_params: of the learner.
          folds: `[n]` int, the fold of each film.
          seed: of what adaptation draws.

        Raises:
          InputError: an answer is not a finite number.
        """
        distances = np.empty(len(folds))
        logits = np.empty((len(folds), self._classes), np.float32)
        for fold in range(folds.max() + 1):
            known, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            adapted = self.adapt(meta_params, known, seed)
            if fold == 0:
                self.check_inductive(adapted)
            found, seen = self.read(adapted, asked), self.read(adapted, known)
            logits[asked] = found["logits"]
            distances[asked] = distances_between(found["features"], seen["features"]).min(-1)
        return OutOfFold(logits, distances)


def _prepare_of(trained: Trained, regions: int) -> Callable[[jax.Array], jax.Array]:
    """How films become what the learner takes, `[n, ...]` or `[n, regions, ...]`."""
    if not regions:
        return trained.prepare

    def prepare(films: jax.Array) -> jax.Array:
        prepared = trained.prepare(films.reshape(-1, *films.shape[2:]))
        return prepared.reshape(*films.shape[:2], *prepared.shape[1:])

    return prepare

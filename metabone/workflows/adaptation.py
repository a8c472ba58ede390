"""From a few labelled films to a model of them."""

import os
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import numpy as np

from metabone.datasets.fingerprints import check_one_label, image_fingerprints
from metabone.datasets.own_films import FEWEST, LabelledFilms
from metabone.errors import InputError
from metabone.workflows.confidence import distances_between, familiar_limit
from metabone.workflows.cross_validation import FilmLearner
from metabone.workflows.film_arrays import pictures_of, to_arrays
from metabone.workflows.film_evaluation import evaluate
from metabone.workflows.folds import deal_folds, units_of
from metabone.workflows.learned_runs import load_learner
from metabone.workflows.look import look_of
from metabone.workflows.model import Familiar, KnownFilms, Model
from metabone.workflows.prediction_program import PredictionProgram, export_program
from metabone.workflows.shipped import SIMULATED, load_simulated
from metabone.workflows.trained import Trained

_PIXELS = "the nearest class mean of pixels"
_UNTRAINED = "the same learner untrained"


def adapt(
    images: np.ndarray | Sequence[np.ndarray] | LabelledFilms,
    labels: Sequence[Hashable] | np.ndarray | None = None,
    *,
    learner: str | os.PathLike | Trained = SIMULATED,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    seed: int = 0,
    arm: str = "",
) -> Model:
    """Adapts a learner to labelled films, and says how well it reads films like them.

    Accuracy, calibration, conformal sets and the marking of films unlike these all rest on
    cross-validation: each film is read by the learner adapted to others. The model that is returned
    is then adapted to all films.

    Args:
      images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes; or
        what `read_labelled_films` gives, which brings labels and patients.
      labels: `n` strings or integers: at least two classes, and three films of each.
      learner: `simulated` for the one that metabone ships, trained on simulated images alone; the
        folder of a run; or what `meta_train` or `load_learner` gives.
      groups: `n` patients, whose films are never learned from and tested on at once.
      seed: of how films are dealt into folds, and of what adaptation draws.
      arm: which learner of a run that has several, see `load_learner`.

    Returns:
      The model, whose `evaluation` says how good it is.

    Raises:
      InputError: too few films or classes, one film under two labels, a class that cannot be parted
        between folds, a learner that does not serve so many classes or whose answer on a film
        depends on the others.

    Example:
      ```
      model = mb.adapt(images, ["early", "late", ...])
      print(model.verdict)
      model.predict(new_images).answers
      ```
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed (={seed}): expected 0 to 2**32 - 1")
    given = images if isinstance(images, LabelledFilms) else None
    if given is not None:
        labels, groups = given.labels, given.groups
    classes, numbers = _classes_of(images if given is None else given.files, labels, groups)
    trained = _learner_of(learner, arm)
    channels = trained.image_shape[-1]
    pictures = pictures_of(images, channels) if given is None else given.pictures(channels)
    films = to_arrays(pictures, len(numbers), trained.image_shape)
    files = [f"image {row}" for row in range(len(numbers))] if given is None else given.files
    fingerprints = image_fingerprints(films.images)
    check_one_label(fingerprints, [str(classes[k]) for k in numbers], files)
    units = units_of(fingerprints, groups)
    folds = deal_folds(numbers, units, classes, seed)

    task = FilmLearner(trained, len(classes), films.images, numbers)
    apart = task.cross_validate(trained.meta_params, folds, seed)
    untrained = task.cross_validate(task.untrained(seed), folds, seed)
    baselines = {
        _PIXELS: _nearest_mean(films.images, numbers, folds),
        _UNTRAINED: untrained.logits.argmax(-1),
    }
    evaluation = evaluate(apart.logits, numbers, folds, units, baselines)

    adapted = task.adapt(trained.meta_params, np.arange(len(numbers)), seed)
    data = export_program(
        trained, task.learner, adapted, len(classes), temperature=evaluation.temperature
    )
    program = PredictionProgram(data, "the adapted learner")
    known = KnownFilms(
        files=tuple(files),
        labels=numbers,
        fingerprints=tuple(fingerprints),
        features=program(films.images)["features"],
        looks=look_of(films.images),
        thumbnails=films.thumbnails,
    )
    about = {
        "learner": dict(trained.about),
        "likeness": "pixels" if trained.features is None else "features",
        "seed": seed,
        "patients_known": groups is not None,
        "notes": [*(() if given is None else given.notes), *films.notes],
        **({} if given is None else given.stated._asdict()),
    }
    return Model(
        classes=classes,
        evaluation=evaluation,
        films=known,
        familiar=Familiar(
            familiar_limit(apart.distances), familiar_limit(_apart_in_look(known.looks, units))
        ),
        about=about,
        program=program,
        weights=_named(adapted),
    )


def _learner_of(learner: str | os.PathLike | Trained, arm: str) -> Trained:
    if not isinstance(learner, str | os.PathLike | Trained):
        raise InputError(
            f"learner is a {type(learner).__name__}: expected {SIMULATED!r}, the folder of a run, "
            "or what meta_train or load_learner gives"
        )
    if not isinstance(learner, Trained) and os.fspath(learner) != SIMULATED:
        return load_learner(learner, arm)
    if arm:
        raise InputError(f"arm {arm!r}: only a run has several learners")
    return learner if isinstance(learner, Trained) else load_simulated()


def _classes_of(films: Any, labels: Any, groups: Any) -> tuple[tuple[Any, ...], np.ndarray]:
    """The classes in order, and the number of each film's class."""
    if labels is None:
        raise InputError("no labels; expected one a film")
    for name, each in (("labels", labels), ("groups", groups)):
        if each is not None and len(each) != len(films):
            raise InputError(f"{len(each)} {name} for {len(films)} films; expected one a film")
    values = np.asarray(labels)
    if values.dtype == object and all(isinstance(value, str) for value in values.ravel()):
        values = values.astype(str)
    if values.ndim != 1 or values.dtype.kind not in "iuU":
        raise InputError(
            f"labels of shape {values.shape} and dtype {values.dtype}: expected one string or "
            "integer a film"
        )
    found, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
    classes = tuple(found.tolist())
    if len(classes) < 2:
        raise InputError(f"{len(classes)} classes; expected two or more")
    if counts.min() < FEWEST:
        name = classes[int(counts.argmin())]
        raise InputError(
            f"class {name!r} has {counts.min()} films; at least {FEWEST} a class are needed"
        )
    return classes, numbers.astype(np.int32)


def _apart_in_look(looks: np.ndarray, units: np.ndarray) -> np.ndarray:
    """How far each film is from the nearest that is no copy of it nor of its patient."""
    apart = distances_between(looks, looks)
    return np.where(units[:, None] == units, np.inf, apart).min(-1)


def _nearest_mean(images: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Answers by the class whose mean film is nearest, by the same folds."""
    pixels = images.reshape(len(images), -1).astype(np.float32)
    answers = np.empty(len(labels), np.int64)
    for fold in range(folds.max() + 1):
        others, asked = folds != fold, folds == fold
        kinds = range(labels.max() + 1)
        means = np.stack([pixels[others & (labels == k)].mean(0) for k in kinds])
        apart = ((means**2).sum(-1) - 2 * pixels[asked] @ means.T).argmin(-1)
        answers[asked] = apart
    return answers


def _named(adapted: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(adapted)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }

"""From a few labelled films to a model of them."""

import os
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import numpy as np

from metabone.datasets.fingerprints import check_one_label, image_fingerprints
from metabone.datasets.own_films import LabelledFilms
from metabone.errors import InputError
from metabone.workflows.backbone_learner import backbone_learner, is_backbone
from metabone.workflows.confidence import distances_between, familiar_limit
from metabone.workflows.cross_validation import FilmLearner
from metabone.workflows.film_arrays import FilmView, to_arrays
from metabone.workflows.film_evaluation import evaluate
from metabone.workflows.folds import deal_folds, units_of
from metabone.workflows.given_films import GivenFilms, check_enough, classes_of
from metabone.workflows.hand_regions import check_regions, hand_regions
from metabone.workflows.hog_learner import HOG, REGION_BLUR, hog_learner
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
    regions: str = "",
    key_points: str | os.PathLike = "",
    ordered: bool = False,
    classes: Sequence[Hashable] = (),
    sex: bool | Sequence[str] = False,
) -> Model:
    """Adapts a learner to labelled films, and says how well it reads films like them.

    Accuracy, calibration, conformal sets and the marking of films unlike these all rest on
    cross-validation: each film is read by the learner adapted to others. The model that is returned
    is then adapted to all films.

    With `regions` each film is made canonical by its key points, the regions are cut out of it and
    moved onto templates, and each region is a task of its own; an answer is by the mean of the
    regions' probabilities. Films that are no hands that can be read are left out.

    Args:
      images: `[n, H, W]` or `[n, H, W, C]` uint8, or a sequence of images of different sizes; or
        what `read_labelled_films` gives, which brings labels, patients and sex.
      labels: `n` strings or integers: at least two classes, and three films of each.
      learner: `simulated` for the one that metabone ships, trained on simulated images alone; `hog`
        for histograms of oriented gradients and a head, which nothing was trained for; a published
        backbone as `NAME:FILE`, see `backbone_learner`; the folder of a run; or what `meta_train`
        or `load_learner` gives.
      groups: `n` patients, whose films are never learned from and tested on at once. DICOM films on
        disk tell them by themselves.
      seed: of how films are dealt into folds, and of what adaptation draws.
      arm: which learner of a run that has several, see `load_learner`.
      regions: name of what is read, see `region_sets.REGION_SETS`; empty for films as a whole.
      key_points: folder of a run of `key_points`, or a file of its weights; empty for those that
        come with the package.
      ordered: whether classes are stages, in their order: `hog` then learns one score with cut
        points, and the evaluation tells how many stages answers are off.
      classes: all of them in order; empty for the order of their names.
      sex: `n` of `"F"`, `"M"`, or `""` where it is not known; True where the films on disk bring
        it. For `hog` with `ordered`.

    Returns:
      The model, whose `evaluation` says how good it is.

    Raises:
      InputError: too few films or classes, one film under two labels, a class that cannot be parted
        between folds, a learner that does not serve so many classes or whose answer on a film
        depends on the others, regions or key points that there are not.

    Example:
      ```
      model = mb.adapt(images, ["early", "late", ...])
      print(model.verdict)
      model.predict(new_images).answers
      ```
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed (={seed}): expected 0 to 2**32 - 1")
    if key_points and not regions:
        raise InputError("key_points are for films that are read by regions; regions name them")
    if regions:
        check_regions(regions)
    given = images if isinstance(images, LabelledFilms) else None
    if given is not None:
        labels, groups = given.labels, given.groups
    names = [f"image {row}" for row in range(len(images))] if given is None else given.files
    found, numbers = classes_of(labels, names, groups, classes)
    trained = _learner_of(learner, arm, ordered, sex is not False, bool(regions))
    hands = hand_regions(regions, os.fspath(key_points)) if regions else None
    height, width, channels = trained.image_shape
    view = FilmView((width, width, channels), hands, sex=height > width)
    seen = GivenFilms(images, view.channels, sex)
    films = to_arrays(view, seen.read())
    named = groups is not None or seen.all_named
    if groups is None:
        groups = seen.patients
    kept = films.rows
    numbers, files = numbers[kept], [names[row] for row in kept]
    refused = {names[row]: reason for row, reason in films.refusals.items()}
    check_enough(numbers, found, refused)
    groups = None if groups is None else [groups[row] for row in kept]
    fingerprints = image_fingerprints(films.images)
    check_one_label(fingerprints, [str(found[k]) for k in numbers], files)
    units = units_of(fingerprints, groups)
    folds = deal_folds(numbers, units, found, seed)

    task = FilmLearner(trained, len(found), films.images, numbers)
    apart = task.cross_validate(trained.meta_params, folds, seed)
    baselines = {_PIXELS: _nearest_mean(view.pixels(films.images), numbers, folds)}
    if jax.tree.leaves(trained.meta_params):
        untrained = task.cross_validate(task.untrained(seed), folds, seed)
        baselines[_UNTRAINED] = untrained.logits.argmax(-1)
    evaluation = evaluate(apart.logits, numbers, folds, units, baselines, ordered=ordered)

    adapted = task.adapt(trained.meta_params, np.arange(len(numbers)), seed)
    data = export_program(
        *(trained, task.learner, adapted, len(found)),
        temperature=evaluation.temperature,
        regions=task.regions,
    )
    program = PredictionProgram(data, "the adapted learner")
    known = KnownFilms(
        files=tuple(files),
        labels=numbers,
        fingerprints=tuple(fingerprints),
        features=program(films.images)["features"],
        looks=look_of(view.pixels(films.images)),
        thumbnails=films.thumbnails,
    )
    about = {
        "learner": dict(trained.about),
        "likeness": "pixels" if trained.features is None else "features",
        "seed": seed,
        "patients_known": named,
        "notes": [*(() if given is None else given.notes), *seen.notes, *films.notes],
        "refused": refused,
        **({} if given is None else given.stated._asdict()),
    }
    return Model(
        classes=found,
        evaluation=evaluation,
        films=known,
        familiar=Familiar(
            familiar_limit(apart.distances), familiar_limit(_apart_in_look(known.looks, units))
        ),
        about=about,
        program=program,
        weights=_named(adapted),
        hands=hands,
    )


def _learner_of(
    learner: str | os.PathLike | Trained, arm: str, ordered: bool, sex: bool, regions: bool
) -> Trained:
    if not isinstance(learner, str | os.PathLike | Trained):
        raise InputError(
            f"learner is a {type(learner).__name__}: expected {SIMULATED!r}, {HOG!r}, a published "
            "backbone as NAME:FILE, the folder of a run, or what meta_train or load_learner gives"
        )
    name = "" if isinstance(learner, Trained) else os.fspath(learner)
    if sex and not (name == HOG and ordered):
        raise InputError(f"sex is used by learner {HOG!r} with ordered classes alone")
    published = is_backbone(name)
    if name not in ("", SIMULATED, HOG) and not published:
        return load_learner(learner, arm)
    if arm:
        raise InputError(f"arm {arm!r}: only a run has several learners")
    if published:
        return backbone_learner(name, ordered=ordered)
    if name == HOG:
        return hog_learner(ordered=ordered, sex=sex, blur=REGION_BLUR if regions else 0.0)
    return load_simulated() if name else learner


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

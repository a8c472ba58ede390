"""Meta-training: a learner, images of many classes, and what it has learned of them."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from metabone.datasets.graded import GradedImages
from metabone.datasets.images import Images, ImageSet
from metabone.episodes.graded import GradedStore, graded_store, sample_graded
from metabone.episodes.sampling import sample, scale, task_key
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.episodes.streams import Stream, stream_key
from metabone.episodes.types import Episode, Examples
from metabone.episodes.windows import episode_plan, streamed_episode
from metabone.errors import InputError
from metabone.evaluation.tasks import task_accuracies
from metabone.learners.base import MetaLearner
from metabone.training.feed import Feed
from metabone.training.loop import TrainResult, train
from metabone.training.meta import meta_state, meta_step, on_all_devices, on_one_device
from metabone.training.run import Run
from metabone.workflows.backbones import flip_half, stream
from metabone.workflows.class_parts import part_of, split_classes
from metabone.workflows.networks import cosine_adam
from metabone.workflows.settings import check_mapping
from metabone.workflows.trained import Trained, up_to


class TaskSizes(NamedTuple):
    """Classes of a task, and support and query images a class."""

    ways: int
    shots: int
    queries: int


class Outer(NamedTuple):
    """The outer loop of a meta-training.

    Attributes:
      optimizer: any of optax's.
      steps: outer steps.
      meta_batch: tasks a step.
      clip: largest norm of the mean gradient, or None.
      mapping: see `training.meta.meta_step`; a number may be in digits.
      validate_every: steps between validations.
      validation_tasks: tasks of one.
      seed: of the first meta-parameters and of all tasks.
    """

    optimizer: optax.GradientTransformation
    steps: int
    meta_batch: int = 4
    clip: float | None = 10.0
    mapping: str = "scan"
    validate_every: int = 500
    validation_tasks: int = 100
    seed: int = 0


def meta_train(
    learner: MetaLearner,
    images: ImageSet,
    *,
    ways: int = 5,
    shots: int = 5,
    queries: int = 15,
    steps: int = 1000,
    rate: float = 1e-3,
    meta_batch: int = 4,
    validation: ImageSet | None = None,
    flip: bool = False,
    mapping: str = "scan",
    seed: int = 0,
    run: Run | None = None,
) -> Trained:
    """Meta-trains a learner on tasks of labelled images, by Adam along a falling rate.

    Args:
      learner: any of `metabone.learners`, on a network for images of this shape.
      images: of many classes, such as `load_images` gives.
      ways: classes a task; a learner's network has as many outputs.
      shots: support images a class.
      queries: query images a class.
      steps: outer steps.
      rate: Adam's first; it falls along a cosine to a tenth.
      meta_batch: tasks a step.
      validation: images of other classes, to choose the best step by; by default a tenth of the
        classes of `images`, by hash, which are then not trained on.
      flip: mirror the images of tasks with probability one half.
      mapping: how tasks are mapped, see `training.meta.meta_step`.
      seed: of everything that is drawn.
      run: from `open_run`: keeps checkpoints and metrics, by which this continues; None for none.

    Returns:
      What was learned by the step of the best validation, ready for `adapt`.

    Raises:
      InputError: what is no learner or no labelled images, a learner of another number of outputs
        than `ways`, too few classes or images for such tasks, a number that cannot be.

    Example:
      ```
      bones = mb.load_images("simulated:bones", size=28)
      trained = mb.meta_train(mb.protonet(mb.conv_net(0, filters=32), ways=5), bones, steps=500)
      ```
    """
    _check(learner, images, TaskSizes(ways, shots, queries), seed)
    for name, value in (("steps", steps), ("meta_batch", meta_batch)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"{name} (={value}): expected a whole number of at least 1")
    check_mapping(mapping, meta_batch)
    if validation is None:
        split = split_classes(images.class_names, ways, seed)
        kept = [*split["train"], *split["test"]]
        validation, images = part_of(images, split["validation"]), part_of(images, kept)
    sizes = TaskSizes(ways, shots, queries)
    trained = meta_train_on(
        learner,
        {"train": store_of(images, sizes), "validation": store_of(validation, sizes)},
        sizes,
        Outer(cosine_adam(rate, steps, 0.1), steps, meta_batch, mapping=mapping, seed=seed),
        flip=flip,
        run=run,
    )
    about = {
        "learner": "meta-trained",
        "source": images.provenance.source,
        "kind": images.provenance.kind,
        "classes": len(images.class_names),
        "tasks": f"{ways} ways, {shots} + {queries} images a class",
        "steps": trained.best_step,
        "validation_accuracy": trained.best_value,
        "seed": seed,
    }
    params = trained.best_state.meta_params
    shape = images.images.shape[1:]
    return Trained(up_to(learner, ways), params, shape, scale, None, about)


def _check(learner: Any, images: Any, sizes: TaskSizes, seed: Any) -> None:
    """Refuses what shapes and types tell to be wrong, before anything is read or compiled."""
    if not isinstance(learner, MetaLearner):
        raise InputError(
            f"learner is a {type(learner).__name__}: expected one such as mb.maml(...)"
        )
    if learner.meta_gradient is None:
        raise InputError("this learner has no meta-gradient: it learns nothing across tasks")
    if not isinstance(images, ImageSet):
        raise InputError(
            f"images are a {type(images).__name__}: expected what mb.load_images(...) gives"
        )
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise InputError(f"seed (={seed}): expected a whole number of 0 to 2**32 - 1")
    shape, key = images.images.shape[1:], jax.random.key(0)
    count = max(1, sizes.ways * sizes.shots)
    support = Examples(
        jax.ShapeDtypeStruct((count, *shape), np.float32), jax.ShapeDtypeStruct((count,), np.int32)
    )
    outputs = jax.eval_shape(
        lambda support: learner.predict(
            learner.adapt(learner.init(key, shape), support, key), support.images
        ),
        support,
    ).shape[-1]
    if outputs != sizes.ways:
        raise InputError(f"ways (={sizes.ways}): this learner tells {outputs} classes apart")


def meta_train_on(
    learner: MetaLearner,
    stores: Mapping[str, ImageStore | GradedStore],
    sizes: TaskSizes,
    outer: Outer,
    *,
    validated: MetaLearner | None = None,
    validation_sizes: TaskSizes | None = None,
    streamed: Images | None = None,
    flip: bool = False,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    run: Run | None = None,
    phase: str = "meta",
) -> TrainResult:
    """Meta-trains a learner on stores, or finds that done.

    Args:
      learner: what is trained.
      stores: `train` and `validation`, of images or of features.
      sizes: of the tasks trained on.
      outer: the outer loop.
      validated: the same learner as it is asked in validations, if that differs.
      validation_sizes: of the tasks validated on, if they differ.
      streamed: images of the `train` store, if they are not in it.
      flip: mirror the images of training tasks with probability one half.
      augment: `(key, images) -> images`, what else is done to the images of training tasks.
      run: keeps checkpoints and metrics; None for none.
      phase: names them.

    Returns:
      What `train` does, its states `MetaState` on one device.
    """
    validated = learner if validated is None else validated
    held_out = jax.device_put(stores["validation"])
    asked = sizes if validation_sizes is None else validation_sizes
    accuracies = task_accuracies(
        validated, _sampler(sampler_of(held_out), asked, None), outer.validation_tasks, outer.seed
    )
    start = meta_start(validated, held_out.images.shape[1:], outer)
    plain = sampler_of(stores["train"]) if streamed is None else streamed_episode
    with contextlib.ExitStack() as stack:
        if streamed is None:
            data = jax.device_put(stores["train"])
        else:
            plan = episode_plan(
                *(stores["train"], outer.seed, outer.steps),
                meta_batch=outer.meta_batch,
                **sizes._asdict(),
            )
            data = stack.enter_context(stream(streamed, plan))
        if outer.mapping == "devices":
            start = on_all_devices(start)
            data = data if isinstance(data, Feed) else on_all_devices(data)
        trained = train(
            meta_step(
                learner,
                outer.optimizer,
                _sampler(plain, sizes, flip_half if flip else augment),
                meta_batch=outer.meta_batch,
                clip=outer.clip,
                mapping=int(outer.mapping) if outer.mapping.isdecimal() else outer.mapping,
            ),
            start,
            data,
            steps=outer.steps,
            seed=outer.seed,
            validate=lambda state: {
                "accuracy": float(accuracies(on_one_device(state.meta_params), held_out).mean())
            },
            validate_every=outer.validate_every,
            checkpoints=None if run is None else run.checkpoints(phase),
            metrics=None if run is None else run.metrics,
            phase=phase,
        )
    state, best = (on_one_device(each) for each in (trained.state, trained.best_state))
    return dataclasses.replace(trained, state=state, best_state=best)


def meta_start(learner: MetaLearner, shape: tuple[int, ...], outer: Outer) -> Any:
    """The state before meta-training, and the template of its checkpoints.

    Args:
      learner: what is trained.
      shape: of an image, or of its features.
      outer: the outer loop.
    """
    meta_params = jax.jit(learner.init, static_argnums=1)(jax.random.key(outer.seed), shape)
    return meta_state(meta_params, outer.optimizer)


def store_of(
    images: ImageSet,
    sizes: TaskSizes,
    values: Any = None,
    groups: np.ndarray | None = None,
) -> ImageStore | GradedStore:
    """A store of images, or of their features, whose classes are enough for such tasks.

    Args:
      images: labelled images; graded ones make tasks of ordered classes, cut anew each time.
      sizes: of the largest tasks.
      values: `[N, ...]` what is stored of them instead of pixels, such as features.
      groups: `[N]` patients, by default those of `images`, if it has any.

    Raises:
      InputError: a class with fewer images than a task takes.
    """
    groups = getattr(images, "patients", None) if groups is None else groups
    values = images.images if values is None else values
    if isinstance(images, GradedImages):
        least = sizes.ways * (sizes.shots + sizes.queries)
        return graded_store(
            values, images.grades, strata=images.strata, groups=groups, at_least=least
        )
    store = build_store(values, images.labels, groups=groups)
    check_enough(store, *sizes, images.class_names)
    return store


def sampler_of(store: ImageStore | GradedStore) -> Callable[..., Episode]:
    """What draws tasks from a store."""
    return sample_graded if isinstance(store, GradedStore) else sample


def _sampler(
    plain: Callable[..., Episode],
    sizes: TaskSizes,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None,
) -> Callable[..., Episode]:
    def sample_task(data, seed, step, task):
        episode = plain(data, seed, step, task, **sizes._asdict())
        if augment is None:
            return episode
        key = stream_key(task_key(seed, step, task), Stream.MIRROR)
        keys = Episode(*jax.random.split(key))
        parts = zip(keys, episode, strict=True)
        return Episode(*(Examples(augment(key, part.images), part.labels) for key, part in parts))

    return sample_task

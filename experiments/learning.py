"""Networks, and what must be trained to have a learner, as the settings ask."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.learner_settings import LearnerSettings
from experiments.meta_training import meta_train
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.images import Images, ImageSet
from metabone.episodes.sampling import sample, scale, task_key
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.episodes.types import Episode, Examples
from metabone.episodes.windows import episode_plan, streamed_batch, streamed_episode
from metabone.errors import InputError
from metabone.evaluation.tasks import task_accuracies
from metabone.learners import roles
from metabone.learners.base import MetaLearner, cross_entropy
from metabone.learners.maml import maml
from metabone.nets.feature_store import FeatureStore, weights_sha256
from metabone.nets.network import Network
from metabone.nets.networks import conv_net, fully_connected, smi_net, vgg16
from metabone.nets.weights import load_vgg16
from metabone.training.checkpoints import load_checkpoint
from metabone.training.json_files import read_json
from metabone.training.loop import train
from metabone.training.meta import meta_state
from metabone.training.run import Run
from metabone.training.supervised import batch_plan, supervised_state, supervised_step

_MIRROR = 3  # folded into a task's key; the sampler uses 0 and 1, the learner 2


class Backbone(NamedTuple):
    """A trained network without its head, as it is frozen.

    Attributes:
      network: maps prepared images to features.
      params: its parameters.
      norm_stats: its stored statistics.
      prepare: uint8 to float32.
      identity: hash of all four.
    """

    network: Network
    params: Any
    norm_stats: Any
    prepare: Callable[[jax.Array], jax.Array]
    identity: str


def whole_network(config: LearnerSettings, ways: int) -> Network:
    """The seed's own network, of the scratch arms."""
    return smi_net(
        ways,
        filters=config.filters,
        widths=config.hidden,
        halvings=config.halvings,
        downsample=config.downsample,
    )


def head_network(config: LearnerSettings, ways: int) -> Network:
    """What the pre-trained arms learn on top of their backbone."""
    return fully_connected(ways, config.hidden)


def backbone_of(config: LearnerSettings, classes: int, widths: tuple[int, ...]) -> Network:
    """What the pre-trained arms freeze, under any head: VGG16, or MAML's own four blocks."""
    if config.backbone == "vgg16":
        return vgg16(classes, width=config.backbone_width, widths=widths, batch_norm=True)
    filters = conv4_filters(config)
    return conv_net(classes, filters=filters, downsample=config.downsample, widths=widths)


def conv4_filters(config: LearnerSettings) -> int:
    """Filters of MAML's own network as a backbone."""
    return max(1, round(64 * config.backbone_width))


def maml_of(config: LearnerSettings, network: Network, adapts: str = "all") -> MetaLearner:
    """The meta-learner of either arm."""
    return maml(
        network,
        inner_rate=config.inner_rate,
        inner_steps=config.inner_steps,
        test_steps=config.test_steps,
        order=config.order,
        norm=config.norm,
        roles=roles.head_adapts if adapts == "head" else roles.everything,
        learn_rates=config.learn_rates,
        remat=True,
    )


def check_networks(config: LearnerSettings) -> None:
    """Raises `InputError` for networks, weights or learners that cannot be."""
    if config.backbone_weights:
        published_backbone(config)
    backbone_of(config, 0, ())
    for network in (whole_network(config, 5), head_network(config, 5)):
        maml_of(config, network)


def describe(config: LearnerSettings) -> str:
    """What the table's rows are, in two sentences."""
    parts = {"all": "the whole network", "head": "the head alone"}
    backbones = {
        "vgg16": f"VGG16's convolutions, {config.backbone_width:g} times as wide",
        "conv4": f"four blocks of {conv4_filters(config)} filters",
    }
    origin = "trained on the meta-training classes"
    if config.backbone_weights:
        origin = f"weights of {Path(config.backbone_weights).name}"
    if config.pretrained:
        origin = f"trained by {config.pretrained}"
    return (
        f"Scratch: seven blocks of {config.filters} filters, of which meta-learning adapts "
        f"{parts[config.adapts]} (order {config.order}). Pretrained: {backbones[config.backbone]}, "
        f"{origin}, then frozen for base and meta alike."
    )


def split_classes(
    names: Sequence[str], ways: int, seed: int, validation: int = 0, test: int = 0
) -> dict[str, list[int]]:
    """Classes to train on, to validate on, and to test on.

    Args:
      names: all classes.
      ways: classes a task.
      seed: another is another split.
      validation: classes to validate on; 0 for a tenth, at least `ways`.
      test: likewise.

    Returns:
      Part to its classes, ascending.

    Raises:
      InputError: a part has fewer classes than a task.
    """
    tenth = max(ways, len(names) // 10)
    sizes = {"validation": validation or tenth, "test": test or tenth}
    sizes = {"train": len(names) - sum(sizes.values()), **sizes}
    for part, size in sizes.items():
        if size < ways:
            raise InputError(
                f"{len(names)} classes of meta-data: {ways} ways need as many to train on, to "
                f"validate on and to test on each; {part} would have {max(0, size)}"
            )
    return split_names(names, sizes, salt=str(seed))


def cosine_adam(
    rate: float, steps: int, floor: float, decay: float = 0.0
) -> optax.GradientTransformation:
    """Adam whose rate falls along a cosine to `floor` of itself, with decoupled weight decay."""
    schedule = optax.cosine_decay_schedule(rate, steps, floor)
    return optax.adamw(schedule, weight_decay=decay) if decay else optax.adam(schedule)


def flip_half(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each of `[n, H, W, C]` images with probability one half."""
    mirrored = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def published_backbone(config: LearnerSettings) -> Backbone:
    """VGG16 with the weights of a file."""
    found = load_vgg16(config.backbone_weights)
    network = vgg16(0, width=found.width, widths=(), batch_norm=found.batch_norm)
    identity = weights_sha256(found.params, found.norm_stats, "vgg16", found.preprocessing)
    return Backbone(network, found.params, found.norm_stats, found.prepare, identity)


def pretrained_backbone(
    config: LearnerSettings, images: Images, classes: int, run: Run
) -> Backbone:
    """Trains a backbone to tell the meta-training classes apart, or finds that done.

    Args:
      config: of the run.
      images: of these classes, labels `0 .. classes - 1`; streamed unless they are in memory.
      classes: how many.
      run: keeps checkpoints and metrics.

    Returns:
      The backbone at the end of training.
    """
    network, optimizer = _pretraining(config, classes)
    batch, steps = config.pretrain_batch, config.pretrain_steps
    with contextlib.ExitStack() as stack:
        if isinstance(images, ImageSet):
            data, take = (images.images, images.labels), None
        else:
            plan = batch_plan(config.seed, steps, len(images), batch)
            data, take = stack.enter_context(stream(images, plan)), streamed_batch
        step = supervised_step(
            network.apply,
            optimizer,
            cross_entropy,
            scale,
            batch_size=batch,
            augment=flip_half if config.pretrain_flip else None,
            take=take,
        )
        state = train(
            step,
            _pretraining_start(config, network, optimizer),
            data,
            steps=steps,
            seed=config.seed,
            checkpoints=run.checkpoints("pretrain"),
            metrics=run.metrics,
            phase="pretrain",
        ).best_state
    return _frozen(config, state)


def stream(images: Images, plan: np.ndarray):
    """Reads images ahead while training goes on; see `metabone.datasets.streaming`."""
    # Where all is in memory, neither grain nor tfds is needed.
    from metabone.datasets.streaming import RowStream

    return RowStream(images, plan)


def given_backbone(config: LearnerSettings, trained: Path | None) -> Backbone | None:
    """The backbone of a file, of a pretrain run, or of the run whose learners are used, if any."""
    if config.backbone_weights:
        return published_backbone(config)
    folder = Path(config.pretrained) if config.pretrained else trained
    return None if folder is None else trained_backbone(config, folder)


def trained_backbone(config: LearnerSettings, trained: Path) -> Backbone:
    """The backbone that a run has trained, of as many classes as it says."""
    result = read_json(trained / "result.json")
    classes = len(result["meta_classes"]["train"])
    network, optimizer = _pretraining(config, classes)
    template = _pretraining_start(config, network, optimizer)
    return _frozen(config, load_checkpoint(trained / "checkpoints/pretrain", template).state)


def _pretraining(config, classes):
    steps = config.pretrain_steps
    optimizer = cosine_adam(config.pretrain_rate, steps, 0.0, config.pretrain_decay)
    return backbone_of(config, classes, config.pretrain_hidden), optimizer


def _pretraining_start(config, network, optimizer):
    shape = (config.size, config.size, config.channels)
    params, stats = network.init(jax.random.key(config.seed), shape)
    return supervised_state(params, stats, optimizer)


def _frozen(config, state) -> Backbone:
    body = {name: leaf for name, leaf in state.params.items() if name != "head"}
    identity = weights_sha256(body, state.norm_stats, config.backbone, "scale")
    return Backbone(backbone_of(config, 0, ()), body, state.norm_stats, scale, identity)


def embed(
    backbone: Backbone,
    root: str | Path,
    read: Callable[[np.ndarray], np.ndarray],
    fingerprints: Sequence[str],
) -> np.ndarray:
    """Features of images, `[N, D]` float32, computed once and kept under `root`."""
    store = FeatureStore(root, *backbone)
    return store(read, fingerprints)


def embed_array(backbone: Backbone, root: str | Path, images: np.ndarray) -> np.ndarray:
    """Features of `[N, H, W, C]` uint8 images; see `embed`."""
    return embed(backbone, root, lambda rows: images[rows], image_fingerprints(images))


def meta_trained(
    config: LearnerSettings,
    run: Run,
    phase: str,
    learner: MetaLearner,
    stores: dict[str, ImageStore],
    ways: int,
    steps: int,
    streamed: Images | None = None,
    flip: bool = False,
) -> Any:
    """Meta-trains a learner; its meta-parameters at the best validation.

    Args:
      config: of the run.
      run: keeps checkpoints and metrics.
      phase: names them.
      learner: what is trained.
      stores: `train` and `validation`.
      ways: classes a task.
      steps: outer steps.
      streamed: images of the `train` store, if they are not in it.
      flip: mirror the images of its tasks with probability one half.
    """
    sizes = dict(ways=ways, shots=config.meta_shots, queries=config.meta_queries)

    def sample_task(store, seed, step, task):
        return sample(store, seed, step, task, **sizes)

    def sample_streamed(window, seed, step, task):
        return streamed_episode(window, seed, step, task, **sizes)

    held_out = jax.device_put(stores["validation"])
    accuracies = task_accuracies(learner, sample_task, config.validation_tasks, config.seed)

    def validate(meta_params):
        return float(accuracies(meta_params, held_out).mean())

    plain = sample_task if streamed is None else sample_streamed

    def taken(data, seed, step, task):
        episode = plain(data, seed, step, task)
        if not flip:
            return episode
        key = jax.random.fold_in(task_key(seed, step, task), _MIRROR)
        keys = Episode(*jax.random.split(key))
        return Episode(
            *(
                Examples(flip_half(key, part.images), part.labels)
                for key, part in zip(keys, episode, strict=True)
            )
        )

    start = meta_start(config, learner, held_out.images.shape[1:], steps)
    with contextlib.ExitStack() as stack:
        if streamed is None:
            data = jax.device_put(stores["train"])
        else:
            plan = episode_plan(
                stores["train"], config.seed, steps, meta_batch=config.meta_batch, **sizes
            )
            data = stack.enter_context(stream(streamed, plan))
        return meta_train(
            run,
            phase,
            learner,
            _outer(config, steps),
            taken,
            start.meta_params,
            data,
            validate,
            meta_batch=config.meta_batch,
            clip=config.clip,
            mapping=config.mapping,
            steps=steps,
            seed=config.seed,
            validate_every=config.validate_every,
        ).best_state.meta_params


def _outer(config: LearnerSettings, steps: int) -> optax.GradientTransformation:
    return cosine_adam(config.meta_rate, steps, 0.1)


def meta_start(
    config: LearnerSettings, learner: MetaLearner, shape: tuple[int, ...], steps: int
) -> Any:
    """The state before meta-training, and the template of its checkpoints."""
    meta_params = jax.jit(learner.init, static_argnums=1)(jax.random.key(config.seed), shape)
    return meta_state(meta_params, _outer(config, steps))


def trained_meta_params(
    config: LearnerSettings,
    trained: Path,
    phase: str,
    learner: MetaLearner,
    shape: tuple[int, ...],
    steps: int,
) -> Any:
    """The meta-parameters of a run's phase at its best validation."""
    template = meta_start(config, learner, shape, steps)
    return load_checkpoint(trained / "checkpoints" / phase, template, best=True).state.meta_params


def store_of(
    images: Any,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    ways: int,
    shots: int,
    queries: int,
    groups: np.ndarray | None = None,
) -> ImageStore:
    """A store of `[N, ...]` images or features whose classes are enough for such tasks."""
    store = build_store(images, labels, groups=groups)
    check_enough(store, ways, shots, queries, class_names)
    return store

"""Networks, and what must be trained to have a learner, as the settings ask."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.learner_settings import LearnerSettings
from metabone.datasets.fingerprints import image_fingerprints
from metabone.episodes.sampling import sample, scale
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.evaluation.protocol import task_accuracies
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
from metabone.training.meta import meta_state, meta_step
from metabone.training.run import Run
from metabone.training.supervised import supervised_state, supervised_step


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
    """Raises `InputError` for networks or learners that cannot be built."""
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
    config: LearnerSettings, data: tuple[np.ndarray, np.ndarray], classes: int, run: Run
) -> Backbone:
    """Trains a backbone to tell the meta-training classes apart, or finds that done.

    Args:
      config: of the run.
      data: see `training_images`.
      classes: how many.
      run: keeps checkpoints and metrics.

    Returns:
      The backbone at the end of training.
    """
    network, optimizer = _pretraining(config, classes)
    step = supervised_step(
        network.apply,
        optimizer,
        cross_entropy,
        scale,
        batch_size=config.pretrain_batch,
        augment=flip_half if config.pretrain_flip else None,
    )
    state = train(
        step,
        _pretraining_start(config, network, optimizer),
        data,
        steps=config.pretrain_steps,
        seed=config.seed,
        checkpoints=run.checkpoints("pretrain"),
        metrics=run.metrics,
        phase="pretrain",
    ).best_state
    return _frozen(config, state)


def trained_backbone(config: LearnerSettings, trained: Path) -> Backbone:
    """The backbone that a run has trained, of as many classes as it says."""
    result = read_json(trained / "result.json")
    classes = len(result["meta_classes"]["train"])
    network, optimizer = _pretraining(config, classes)
    template = _pretraining_start(config, network, optimizer)
    return _frozen(config, load_checkpoint(trained / "checkpoints/pretrain", template).state)


def training_images(
    images: np.ndarray, labels: np.ndarray, classes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Images of some classes, and their labels in `0 .. len(classes) - 1`."""
    rank = np.full(labels.max() + 1, -1, np.int32)
    rank[list(classes)] = np.arange(len(classes))
    chosen = rank[labels] >= 0
    return images[chosen], rank[labels[chosen]]


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
    run: Run | None,
    phase: str,
    learner: MetaLearner,
    stores: dict[str, ImageStore],
    ways: int,
    steps: int,
) -> Any:
    """Meta-trains a learner; its meta-parameters at the best validation."""
    optimizer = cosine_adam(config.meta_rate, steps, 0.1)
    state = meta_start(config, learner, stores["train"].images.shape[1:], steps)

    def sample_task(store, seed, step, task):
        sizes = dict(ways=ways, shots=config.meta_shots, queries=config.meta_queries)
        return sample(store, seed, step, task, **sizes)

    accuracies = task_accuracies(learner, sample_task, config.validation_tasks, config.seed)
    held_out = jax.device_put(stores["validation"])

    def validate(state):
        return {"accuracy": float(accuracies(state.meta_params, held_out).mean())}

    return train(
        meta_step(learner, optimizer, sample_task, meta_batch=config.meta_batch, clip=config.clip),
        state,
        jax.device_put(stores["train"]),
        steps=steps,
        seed=config.seed,
        validate=validate,
        validate_every=config.validate_every,
        checkpoints=run.checkpoints(phase),
        metrics=run.metrics,
        phase=phase,
    ).best_state.meta_params


def meta_start(
    config: LearnerSettings, learner: MetaLearner, shape: tuple[int, ...], steps: int
) -> Any:
    """The state before meta-training, and the template of its checkpoints."""
    meta_params = jax.jit(learner.init, static_argnums=1)(jax.random.key(config.seed), shape)
    return meta_state(meta_params, cosine_adam(config.meta_rate, steps, 0.1))


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


def split_stores(
    values: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    split: dict[str, list[int]],
    sizes: dict[str, tuple[int, int]],
    ways: int,
    groups: np.ndarray | None = None,
) -> dict[str, ImageStore]:
    """A store a split over the same images or features, checked for size.

    Args:
      values: `[N, ...]`.
      labels: `[N]`.
      class_names: of all labels.
      split: part to its classes.
      sizes: part to shots and queries that its tasks need.
      ways: classes a task.
      groups: `[N]`, or None; see `build_store`.

    Returns:
      Part to its store.
    """
    stores = {}
    for part, (shots, queries) in sizes.items():
        store = build_store(values, labels, classes=split[part], groups=groups)
        check_enough(store, ways, shots, queries, [class_names[label] for label in split[part]])
        stores[part] = store
    return stores

"""The four learners of the SMI table, and what must be trained to have them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments.smi_settings import SmiSettings
from metabone.datasets.images import ImageSet
from metabone.episodes.sampling import sample, scale
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.evaluation.protocol import task_accuracies
from metabone.learners import roles
from metabone.learners.base import MetaLearner, cross_entropy
from metabone.learners.maml import maml
from metabone.learners.transfer import scratch
from metabone.nets.frozen import features
from metabone.nets.network import Network
from metabone.nets.networks import conv_net, fully_connected, smi_net, vgg16
from metabone.radiograph.films import FilmSet
from metabone.training.checkpoints import load_checkpoint
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step
from metabone.training.run import Run
from metabone.training.supervised import supervised_state, supervised_step


class Arm(NamedTuple):
    """One learner of the table.

    Attributes:
      learning: `meta` or `base`.
      model: `scratch` or `pretrained`.
      learner: how it adapts.
      network: with what.
      train: meta-trains it, or finds that done; its meta-parameters.
      store: films on the device, as pixels or features.
    """

    learning: str
    model: str
    learner: MetaLearner
    network: Network
    train: Callable[[], Any]
    store: ImageStore


def networks(config: SmiSettings, ways: int) -> tuple[Network, Network, Network]:
    """The seed's network, the backbone without a head, and the head."""
    whole = smi_net(
        ways,
        filters=config.filters,
        widths=config.hidden,
        halvings=config.halvings,
        downsample=config.downsample,
    )
    return whole, backbone_of(config, 0, ()), fully_connected(ways, config.hidden)


def backbone_of(config: SmiSettings, classes: int, widths: tuple[int, ...]) -> Network:
    """What the pre-trained arms freeze, under any head: VGG16, or MAML's own four blocks."""
    if config.backbone == "vgg16":
        return vgg16(classes, width=config.backbone_width, widths=widths, batch_norm=True)
    filters = conv4_filters(config)
    return conv_net(classes, filters=filters, downsample=config.downsample, widths=widths)


def conv4_filters(config: SmiSettings) -> int:
    """Filters of MAML's own network as a backbone."""
    return max(1, round(64 * config.backbone_width))


def maml_of(config: SmiSettings, network: Network, adapts: str = "all") -> MetaLearner:
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


def describe(config: SmiSettings) -> str:
    """What the table's rows are, in two sentences."""
    parts = {"all": "the whole network", "head": "the head alone"}
    backbones = {
        "vgg16": f"VGG16's convolutions, {config.backbone_width:g} times as wide",
        "conv4": f"four blocks of {conv4_filters(config)} filters",
    }
    return (
        f"Scratch: seven blocks of {config.filters} filters, of which meta-learning adapts "
        f"{parts[config.adapts]} (order {config.order}). Pretrained: {backbones[config.backbone]}, "
        "trained on the meta-training classes, then frozen for base and meta alike."
    )


def split_classes(config: SmiSettings, images: ImageSet, ways: int) -> dict[str, list[int]]:
    """Classes to train on, to validate on, and a tenth that this experiment never looks at."""
    count = len(images.class_names)
    tenth = max(ways, count // 10)
    if count < 3 * ways:
        raise InputError(
            f"{config.meta_source}: {count} classes; {ways} ways need {3 * ways} to split"
        )
    sizes = {"train": count - 2 * tenth, "validation": tenth, "test": tenth}
    return split_names(images.class_names, sizes, salt=str(config.seed))


def cosine_adam(rate: float, steps: int, floor: float) -> optax.GradientTransformation:
    """Adam whose rate falls along a cosine to `floor` of itself."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps, floor))


def pretrained_backbone(
    config: SmiSettings, run: Run, images: ImageSet, classes: list[int]
) -> tuple[Any, Any]:
    """Trains it to tell the meta-training classes apart, once; its parameters and statistics."""
    network = backbone_of(config, len(classes), config.pretrain_hidden)
    optimizer = cosine_adam(config.pretrain_rate, config.pretrain_steps, 0.0)
    params, stats = network.init(jax.random.key(config.seed), images.images.shape[1:])
    state = supervised_state(params, stats, optimizer)
    if config.evaluate:
        state = trained(config, "pretrain", state)
    else:
        rank = np.full(len(images.class_names), -1, np.int32)
        rank[classes] = np.arange(len(classes))
        chosen = rank[images.labels] >= 0
        state = train(
            supervised_step(
                network.apply, optimizer, cross_entropy, scale, batch_size=config.pretrain_batch
            ),
            state,
            (images.images[chosen], rank[images.labels[chosen]]),
            steps=config.pretrain_steps,
            seed=config.seed,
            checkpoints=run.checkpoints("pretrain"),
            metrics=run.metrics,
            phase="pretrain",
        ).best_state
    body = {name: leaf for name, leaf in state.params.items() if name != "head"}
    return body, state.norm_stats


def meta_trained(
    config: SmiSettings,
    run: Run,
    phase: str,
    learner: MetaLearner,
    stores: dict[str, ImageStore],
    ways: int,
    steps: int,
) -> Any:
    """Meta-trains a learner; its meta-parameters at the best validation."""
    optimizer = cosine_adam(config.meta_rate, steps, 0.1)
    shape = stores["train"].images.shape[1:]
    meta_params = jax.jit(learner.init, static_argnums=1)(jax.random.key(config.seed), shape)
    state = meta_state(meta_params, optimizer)
    if config.evaluate:
        return trained(config, phase, state).meta_params

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


def when_needed(config: SmiSettings, train: Callable[[], Any]) -> Callable[[], Any]:
    """Training waits for its turn; a checkpoint to evaluate is read before anything is compiled."""
    if not config.evaluate:
        return train
    loaded = train()
    return lambda: loaded


def trained(config: SmiSettings, phase: str, template: Any) -> Any:
    """The best state of a phase of the run to evaluate."""
    folder = Path(config.evaluate) / "checkpoints" / phase
    return load_checkpoint(folder, template, best=True).state


def meta_stores(
    images: ImageSet,
    values: np.ndarray,
    split: dict[str, list[int]],
    config: SmiSettings,
    ways: int,
) -> dict[str, ImageStore]:
    """A store a split over the same images or features, checked for size and overlap."""
    stores = {}
    for part in ("train", "validation"):
        store = build_store(values, images.labels, classes=split[part], groups=images.patients)
        names = [images.class_names[label] for label in split[part]]
        check_enough(store, ways, config.meta_shots, config.meta_queries, names)
        stores[part] = store
    return stores


def arms(
    config: SmiSettings, run: Run, images: ImageSet, split: dict[str, list[int]], films: FilmSet
) -> Iterator[tuple[Arm, Arm]]:
    """Yields meta and base learner from scratch, then both on a backbone that is trained first."""
    ways = len(films.class_names)
    whole, backbone, head = networks(config, ways)
    film_store = build_store(films.regions, films.classes, groups=films.patients)

    stores = meta_stores(images, images.images, split, config, ways)
    learner = maml_of(config, whole, config.adapts)
    phase = "meta_scratch"
    train_meta = when_needed(
        config, partial(meta_trained, config, run, phase, learner, stores, ways, config.meta_steps)
    )
    on_device = jax.device_put(film_store)
    yield (
        Arm("meta", "scratch", learner, whole, train_meta, on_device),
        Arm("base", "scratch", base_of(config, whole), whole, tuple, on_device),
    )

    params, stats = pretrained_backbone(config, run, images, split["train"])

    def embed(pixels):
        flat = pixels.reshape(-1, *pixels.shape[-3:])
        found = features(backbone, params, stats, flat, scale)
        return found.reshape(*pixels.shape[:-3], -1)

    # Standardised by the training classes: a fixed part of the backbone, for base and meta alike.
    embedded = embed(images.images)
    seen = embedded[np.isin(images.labels, split["train"])]
    centre, spread = seen.mean(0), seen.std(0) + 1e-3
    stores = meta_stores(images, (embedded - centre) / spread, split, config, ways)
    learner = maml_of(config, head)
    phase = "meta_pretrained"
    train_meta = when_needed(
        config, partial(meta_trained, config, run, phase, learner, stores, ways, config.head_steps)
    )
    film_features = (embed(films.regions) - centre) / spread
    on_device = jax.device_put(film_store._replace(images=film_features))
    yield (
        Arm("meta", "pretrained", learner, head, train_meta, on_device),
        Arm("base", "pretrained", base_of(config, head), head, tuple, on_device),
    )


def base_of(config: SmiSettings, network: Network) -> MetaLearner:
    """Base learning: the network drawn anew and trained on the support films alone."""
    optimizer = optax.adamw(config.base_rate, weight_decay=config.base_decay)
    return scratch(network, optimizer, steps=config.base_steps)

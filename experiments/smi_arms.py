"""The four learners of the SMI table, and what must be trained to have them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments.learned import Scaling, load_scaling, save_scaling, scaling_of
from experiments.learning import (
    Backbone,
    embed_array,
    given_backbone,
    head_network,
    maml_of,
    meta_trained,
    pretrained_backbone,
    store_of,
    trained_meta_params,
    whole_network,
)
from experiments.smi_settings import SmiSettings
from metabone.datasets.images import ImageSet
from metabone.episodes.store import ImageStore, build_store
from metabone.learners.base import MetaLearner
from metabone.learners.transfer import scratch
from metabone.nets.network import Network
from metabone.radiograph.films import FilmSet
from metabone.training.run import Run


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


def arms(
    config: SmiSettings,
    run: Run,
    images: ImageSet | None,
    split: dict[str, list[int]],
    films: FilmSet,
    features_dir: Path,
) -> Iterator[tuple[Arm, Arm]]:
    """Yields meta and base learner from scratch, then both on a backbone that is trained first.

    Args:
      config: of the run.
      run: keeps checkpoints and metrics.
      images: to meta-train on; None where the learners are those of another run.
      split: part to its classes of `images`.
      films: the target.
      features_dir: where features are kept.
    """
    ways = len(films.class_names)
    learned = config.evaluate or config.meta_learner
    trained = Path(learned) if learned else None
    regions = films.regions
    film_store = build_store(regions, films.classes, groups=films.patients)

    def train_of(phase, learner, values, shape, steps):
        if trained is not None:
            found = trained_meta_params(config, trained, phase, learner, shape, steps)
            return lambda: found  # read before anything is compiled
        stores = {}
        for part in ("train", "validation"):
            rows = np.isin(images.labels, split[part])
            stores[part] = store_of(
                values[rows],
                images.labels[rows],
                [images.class_names[label] for label in split[part]],
                ways=ways,
                shots=config.meta_shots,
                queries=config.meta_queries,
                groups=None if images.patients is None else images.patients[rows],
            )
        flip = config.meta_flip and phase == "meta_scratch"
        args = (phase, learner, stores, ways, steps)
        return partial(meta_trained, config, run, *args, flip=flip)

    whole = whole_network(config, ways)
    learner = maml_of(config, whole, config.adapts)
    pixels = images.images if images is not None else None
    train = train_of("meta_scratch", learner, pixels, regions.shape[2:], config.meta_steps)
    on_device = jax.device_put(film_store)
    yield (
        Arm("meta", "scratch", learner, whole, train, on_device),
        Arm("base", "scratch", base_of(config, whole), whole, tuple, on_device),
    )

    backbone, scaling = backbone_and_scaling(config, run, images, split, features_dir, trained)
    film_features = embed_array(backbone, features_dir, regions.reshape(-1, *regions.shape[2:]))
    film_features = scaling(film_features).reshape(*regions.shape[:2], -1)
    head = head_network(config, ways)
    learner = maml_of(config, head)
    values = None
    if trained is None:
        values = scaling(embed_array(backbone, features_dir, images.images))
    shape = film_features.shape[2:]
    train = train_of("meta_pretrained", learner, values, shape, config.head_steps)
    on_device = jax.device_put(film_store._replace(images=film_features))
    yield (
        Arm("meta", "pretrained", learner, head, train, on_device),
        Arm("base", "pretrained", base_of(config, head), head, tuple, on_device),
    )


def backbone_and_scaling(
    config: SmiSettings,
    run: Run,
    images: ImageSet | None,
    split: dict[str, list[int]],
    features_dir: Path,
    trained: Path | None,
) -> tuple[Backbone, Scaling]:
    """The frozen backbone, and how its features are scaled; those of another run if it is named."""
    backbone = given_backbone(config, trained)
    if backbone is None:
        own = images.keep(np.flatnonzero(np.isin(images.labels, split["train"])))
        backbone = pretrained_backbone(config, own, len(split["train"]), run)
    if trained is not None:
        return backbone, load_scaling(trained, backbone.identity)
    seen = np.isin(images.labels, split["train"])
    found = embed_array(backbone, features_dir, images.images)
    scaling = scaling_of(found[seen], backbone.identity)
    save_scaling(run.path, scaling)
    return backbone, scaling


def base_of(config: SmiSettings, network: Network) -> MetaLearner:
    """Base learning: the network drawn anew and trained on the support films alone."""
    optimizer = optax.adamw(config.base_rate, weight_decay=config.base_decay)
    return scratch(network, optimizer, steps=config.base_steps)

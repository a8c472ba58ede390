"""Backbones: trained or read from a file, frozen, and asked once for each image's features."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.images import Images, ImageSet
from metabone.episodes.sampling import scale
from metabone.episodes.windows import streamed_batch
from metabone.learners.base import cross_entropy
from metabone.nets.feature_store import FeatureStore, weights_sha256
from metabone.nets.hog import hog_net
from metabone.nets.network import Network
from metabone.nets.networks import vgg16
from metabone.nets.published_backbones import load_backbone
from metabone.nets.weights import load_vgg16
from metabone.training.checkpoints import load_checkpoint
from metabone.training.loop import TrainResult, train
from metabone.training.run import Run
from metabone.training.supervised import (
    SupervisedState,
    batch_plan,
    supervised_state,
    supervised_step,
)
from metabone.workflows.feature_scaling import Scaling, load_scaling, save_scaling, scaling_of
from metabone.workflows.networks import backbone_network, cosine_adam
from metabone.workflows.seeds import seeds_of
from metabone.workflows.settings import LearnerSettings

_READ_AT_ONCE = 512


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


def flip_half(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirrors each of `[n, H, W, C]` images with probability one half."""
    mirrored = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def pretrain(
    network: Network,
    images: Images,
    *,
    steps: int,
    optimizer: optax.GradientTransformation,
    batch: int = 64,
    flip: bool = False,
    seed: int = 0,
    run: Run | None = None,
) -> TrainResult:
    """Trains a network to tell the classes of some images apart.

    Args:
      network: of as many outputs as there are classes.
      images: labels `0 .. classes - 1`; streamed unless they are in memory.
      steps: minibatches.
      optimizer: any of optax's.
      batch: images of a minibatch.
      flip: whether every other image is mirrored.
      seed: of the weights and of the minibatches.
      run: keeps checkpoints and metrics, by which this continues; None to keep them in memory.

    Returns:
      What `train` does, its states `SupervisedState`.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(images, ImageSet):
            data, take = (images.images, images.labels), None
            shape = images.images.shape[1:]
        else:
            shape = images.read([0]).shape[1:]
            plan = batch_plan(seed, steps, len(images), batch)
            data, take = stack.enter_context(stream(images, plan)), streamed_batch
        step = supervised_step(
            network.apply,
            optimizer,
            cross_entropy,
            scale,
            batch_size=batch,
            augment=flip_half if flip else None,
            take=take,
        )
        return train(
            step,
            _start(network, optimizer, shape, seed),
            data,
            steps=steps,
            seed=seed,
            checkpoints=None if run is None else run.checkpoints("pretrain"),
            metrics=None if run is None else run.metrics,
            phase="pretrain",
        )


def stream(images: Images, plan: np.ndarray):
    """Reads images ahead while training goes on; see `metabone.datasets.streaming`."""
    # Where all is in memory, neither grain nor tfds is needed.
    from metabone.datasets.streaming import RowStream

    return RowStream(images, plan)


def pretrained_backbone(
    config: LearnerSettings, images: Images, run: Run | None = None
) -> Backbone:
    """Trains the backbone of some settings, or finds that done.

    Args:
      config: of the run.
      images: of the meta-training classes.
      run: see `pretrain`.

    Returns:
      The backbone at the end of training.
    """
    network, optimizer = _pretraining(config, len(images.class_names))
    trained = pretrain(
        network,
        images,
        steps=config.pretrain_steps,
        optimizer=optimizer,
        batch=config.pretrain_batch,
        flip=config.pretrain_flip,
        seed=seeds_of(config).train,
        run=run,
    )
    return _frozen(config, trained.best_state)


def published_backbone(name: str, weights: str, crops: int = 1) -> Backbone:
    """A published network with the weights of a file.

    Args:
      name: vgg16, or one of `nets.published_backbones.BACKBONES`.
      weights: the file.
      crops: of an image, whose features are averaged; see `nets.crops`.

    Raises:
      InputError: the file is not of that network, or vgg16, whose last maps are the features, and
        several crops.
    """
    if name == "vgg16" and crops == 1:
        found = load_vgg16(weights)
        network = vgg16(0, width=found.width, widths=(), batch_norm=found.batch_norm)
    else:
        found = load_backbone(name, weights, crops=crops)
        network = found.network
    identity = weights_sha256(found.params, found.norm_stats, name, found.preprocessing)
    return Backbone(network, found.params, found.norm_stats, found.prepare, identity)


def given_backbone(config: LearnerSettings, trained: Path | None) -> Backbone | None:
    """The backbone of a file, of a pretrain run, or of the run whose learners are used, if any."""
    if config.backbone_weights:
        return published_backbone(config.backbone, config.backbone_weights, config.backbone_crops)
    folder = Path(config.pretrained) if config.pretrained else trained
    return None if folder is None else _trained_backbone(config, folder)


def _trained_backbone(config: LearnerSettings, folder: Path) -> Backbone:
    found = load_checkpoint(folder / "checkpoints/pretrain").state
    classes = len(np.ravel(found["params"]["head"]["classes"]["bias"]))
    network, optimizer = _pretraining(config, classes)
    shape = (config.size, config.size, config.channels)
    template = _start(network, optimizer, shape, seeds_of(config).train)
    return _frozen(config, load_checkpoint(folder / "checkpoints/pretrain", template).state)


def _pretraining(config, classes):
    decay = config.pretrain_decay
    optimizer = cosine_adam(config.pretrain_rate, config.pretrain_steps, 0.0, decay)
    return backbone_network(config, classes, config.pretrain_hidden), optimizer


def _start(network, optimizer, shape, seed) -> SupervisedState:
    params, stats = network.init(jax.random.key(seed), shape)
    return supervised_state(params, stats, optimizer)


def without_head(params: Any) -> Any:
    """Parameters of a network but for those of its head."""
    return {name: leaf for name, leaf in params.items() if name != "head"}


def _frozen(config, state) -> Backbone:
    body = without_head(state.params)
    identity = weights_sha256(body, state.norm_stats, config.backbone, "scale")
    return Backbone(backbone_network(config, 0, ()), body, state.norm_stats, scale, identity)


def embed(backbone: Backbone, root: str | Path, images: Images | np.ndarray) -> np.ndarray:
    """Features of images, computed once an image and kept on disk.

    Args:
      backbone: what computes them.
      root: folder of all features that are kept; each backbone has its own below it.
      images: `[N, H, W, C]` uint8, or labelled images, of which a few are read at a time.

    Returns:
      `[N, D]` float32.
    """
    array = images.images if isinstance(images, ImageSet) else images
    if isinstance(array, np.ndarray):
        fingerprints = image_fingerprints(array)
        return FeatureStore(root, *backbone)(lambda rows: array[rows], fingerprints)
    return FeatureStore(root, *backbone)(images.read, seen_fingerprints(images))


def features_dir(data_dir: str | None) -> Path:
    """Where features are kept, below where prepared records lie; see `resolve_data_dir`."""
    return resolve_data_dir(data_dir) / "features"


def seen_fingerprints(images: Images) -> Sequence[str]:
    """Hashes of images as they are seen, a few of which are read at a time."""
    if isinstance(images, ImageSet):
        return image_fingerprints(images.images)
    starts = range(0, len(images), _READ_AT_ONCE)
    blocks = (np.arange(start, min(start + _READ_AT_ONCE, len(images))) for start in starts)
    return [found for rows in blocks for found in image_fingerprints(images.read(rows))]


def hog_backbone() -> Backbone:
    """Histograms of oriented gradients, which nobody had to learn."""
    return Backbone(hog_net(), {}, {}, scale, weights_sha256({}, {}, "hog", "scale"))


def backbone_and_scaling(
    config: LearnerSettings,
    images: Images | None,
    run: Run,
    features_dir: Path,
    trained: Path | None,
    *,
    hog: bool = False,
) -> tuple[Backbone, Scaling]:
    """The frozen backbone, and how its features are scaled; those of another run if it is named.

    Args:
      config: of the run.
      images: of the meta-training classes; None where `trained` has all.
      run: keeps both.
      features_dir: see `embed`.
      trained: folder of a run whose backbone and scaling are taken.
      hog: histograms of gradients instead of the network that the settings name.
    """
    backbone = hog_backbone() if hog else given_backbone(config, trained)
    if backbone is None:
        backbone = pretrained_backbone(config, images, run)
    of = "hog" if hog else ""
    if trained is not None:
        return backbone, load_scaling(trained, backbone.identity, of)
    scaling = scaling_of(embed(backbone, features_dir, images), backbone.identity)
    save_scaling(run.path, scaling, of)
    return backbone, scaling


def scaled_features(
    backbone: Backbone, train: Images, images: Images | np.ndarray, features_dir: Path
) -> np.ndarray:
    """Features of images, standardised by those of the training classes, `[N, D]` float32."""
    scaling = scaling_of(embed(backbone, features_dir, train), backbone.identity)
    return scaling(embed(backbone, features_dir, images))

"""What a run's learners have learned, found again in its folder."""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from metabone.episodes.sampling import scale
from metabone.errors import InputError
from metabone.learners.base import MetaLearner
from metabone.nets.network import Network
from metabone.training.checkpoints import load_checkpoint
from metabone.training.supervised import supervised_state
from metabone.workflows.arms import outer_of, trained_meta_params
from metabone.workflows.backbones import (
    Backbone,
    given_backbone,
    published_backbone,
    without_head,
)
from metabone.workflows.earlier_runs import data_of, finished_run, stored_settings
from metabone.workflows.family import entry_of, fitted_params, network_of
from metabone.workflows.family_settings import FITTED, WIDER, FamilySettings
from metabone.workflows.feature_scaling import Scaling, load_scaling
from metabone.workflows.meta_training import Outer, meta_start
from metabone.workflows.networks import cosine_adam, head_network, maml_of, whole_network
from metabone.workflows.settings import NORMS, LearnerSettings
from metabone.workflows.trained import Trained, up_to
from metabone.workflows.variants import HEADS, PAPER_MODELS, SEX

_LEARNED = ("smi", "meta_dataset")


def arms_of(run: str | os.PathLike) -> tuple[str, ...]:
    """The learners that a finished run holds, by the names that `load_learner` takes.

    Args:
      run: folder of a run of smi, meta_dataset or benchmark.

    Raises:
      InputError: it is none of these, or not complete.
    """
    record, _ = finished_run(Path(run), (*_LEARNED, "benchmark"), "")
    config = record["config"]
    if record["experiment"] == "benchmark":
        return tuple(config["learners"])
    # Learners of ordered classes, of sex or of histograms are for films of hands alone.
    plain = "softmax" in config.get("heads", HEADS) and "without" in config.get("sex", SEX)
    found = [name for name in PAPER_MODELS if plain and name in config.get("models", PAPER_MODELS)]
    if not found:
        names = ", ".join(PAPER_MODELS)
        raise InputError(f"{run}: has no learner of images alone; expected a run of {names}")
    return tuple(found)


def load_learner(run: str | os.PathLike, arm: str = "") -> Trained:
    """Loads a learner that a run has meta-trained, by the checkpoint of its best validation.

    Args:
      run: folder of a finished run of smi, meta_dataset or benchmark.
      arm: `scratch` or `pretrained`, of a benchmark the learner's name; see `arms_of`. By default
        the run's first.

    Returns:
      The learner with its meta-parameters in its own type, such as `MamlParams`.

    Raises:
      InputError: no such run or arm, it is not complete, or a file of it is damaged.
    """
    folder = Path(run)
    names = arms_of(folder)
    arm = arm or names[0]
    if arm not in names:
        raise InputError(f"{folder}: has no learner {arm!r}; it has {', '.join(names)}")
    record, result = finished_run(folder, (*_LEARNED, "benchmark"), "")
    made = _of_family if record["experiment"] == "benchmark" else _of_model
    trained = made(folder, record["config"], result, arm)
    kinds = {str(entry.get("kind")) for entry in data_of(folder)}
    about = {
        "source": " + ".join(str(entry.get("source")) for entry in data_of(folder)),
        "kind": kinds.pop() if len(kinds) == 1 else "simulated",
        "run": f"{record['experiment']}/{record.get('name', folder.name)}",
        "seed": record["seed"],
        "norm": NORMS[0],
        "meta_norm": record["config"].get("norm", NORMS[0]),
    }
    return trained._replace(about={**about, **trained.about})


def _of_model(folder: Path, stored: dict[str, Any], result: dict[str, Any], arm: str) -> Trained:
    """A model of the maturity benchmark, of as many ways as its run had classes a task."""
    # Asked inductively whatever queries it was trained with: an answer depends on no other film.
    config = LearnerSettings(**stored_settings(stored, LearnerSettings) | {"norm": NORMS[0]})
    ways = int(result.get("ways") or len(result["class_names"]))
    shape = (config.size, config.size, config.channels)
    if arm == "scratch":
        network = whole_network(config, ways)
        learner = maml_of(config, network, config.adapts)
        seen, phase, steps, prepare = shape, "meta_scratch", config.meta_steps, scale
    else:
        backbone = given_backbone(config, folder)
        scaling = load_scaling(folder, backbone.identity)
        network = head_network(config, ways)
        learner = maml_of(config, network)
        prepare = _scaled(backbone, scaling)
        seen, phase, steps = scaling.centre.shape, "meta_pretrained", config.head_steps
    params = trained_meta_params(learner, folder, phase, seen, outer_of(config, steps))
    features = features_of(network) if arm == "scratch" else _as_they_are
    about = {"learner": f"MAML, {arm}", "ways": ways}
    return Trained(up_to(learner, ways), params, shape, prepare, features, about)


def _of_family(folder: Path, stored: dict[str, Any], result: dict[str, Any], arm: str) -> Trained:
    """A learner of the comparison; one that solves for its head takes any number of classes."""
    del result
    config = FamilySettings(**stored_settings(stored, FamilySettings))
    shape = (config.size, config.size, config.channels)
    seen, prepare = shape, scale
    if config.backbone:
        backbone = published_backbone(
            config.backbone, config.backbone_weights, config.backbone_crops
        )
        scaling = load_scaling(folder, backbone.identity)
        seen, prepare = scaling.centre.shape, _scaled(backbone, scaling)
    entry = entry_of(arm, config)
    solves = arm in (*WIDER, *FITTED)
    network = network_of(config, 0 if solves else config.ways)
    if entry.trained is None and config.backbone:
        params = entry.asked[NORMS[0]].init(jax.random.key(0), seen)
    elif entry.trained is None:
        params = _classifier(arm, folder, config, shape)
    else:
        outer = Outer(entry.optimizer, config.meta_steps, seed=config.seed)
        template = meta_start(entry.asked[NORMS[0]], seen, outer)
        found = load_checkpoint(folder / "checkpoints" / arm, template, best=True)
        params = found.state.meta_params
    learner_for: Callable[[int], MetaLearner] = up_to(entry.asked[NORMS[0]], config.ways)
    if solves:
        learner_for = partial(_family_for, arm, config)
    on = f" on frozen {config.backbone}" if config.backbone else ""
    about = {"learner": f"{arm}{on}", "ways": "any" if solves else config.ways}
    features = _as_they_are if config.backbone else features_of(network)
    return Trained(learner_for, params, shape, prepare, features, about)


def _scaled(backbone: Backbone, scaling: Scaling) -> Callable[[jax.Array], jax.Array]:
    """From images to what is learned on: the features that a run has kept of such images."""

    def prepare(images: jax.Array) -> jax.Array:
        inputs = backbone.prepare(images)
        found, _ = backbone.network.apply(backbone.params, backbone.norm_stats, inputs, False)
        return (found.reshape(len(images), -1) - scaling.centre) / scaling.spread

    return prepare


def _family_for(name: str, config: FamilySettings, ways: int) -> MetaLearner:
    return entry_of(name, dataclasses.replace(config, ways=ways)).asked[NORMS[0]]


def _classifier(name: str, folder: Path, config: FamilySettings, shape: tuple[int, ...]) -> Any:
    """The network that was trained to tell the run's training classes apart, without its head."""
    found = load_checkpoint(folder / "checkpoints/pretrain")
    classes = len(jnp.ravel(found.state["params"]["head"]["classes"]["bias"]))
    optimizer = cosine_adam(config.meta_rate, config.pretrain_steps, 0.0)
    start = network_of(config, classes).init(jax.random.key(config.seed), shape)
    template = supervised_state(*start, optimizer)
    state = load_checkpoint(folder / "checkpoints/pretrain", template).state
    return fitted_params(name, without_head(state.params), state.norm_stats)


def features_of(network: Network) -> Callable[[Any, jax.Array], jax.Array]:
    """What an adapted network's last layer sees, under the support's statistics.

    Args:
      network: as adapted; one without a head is taken whole.

    Returns:
      See `Trained.features`.
    """

    def features(adapted: Any, inputs: jax.Array) -> jax.Array:
        body = network.body or network.apply
        found, _ = body(adapted.weights, adapted.norm_stats, inputs, False)
        return found.reshape(len(inputs), -1)

    return features


def _as_they_are(adapted: Any, inputs: jax.Array) -> jax.Array:
    del adapted
    return inputs.reshape(len(inputs), -1)

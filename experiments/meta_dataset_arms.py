"""The four learners of the meta-dataset table, and how each is measured."""

import contextlib
import dataclasses
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
    embed,
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
from experiments.meta_data import Data
from experiments.meta_dataset_settings import MetaDatasetSettings, candidates
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.images import Images, ImageSet
from metabone.episodes.sampling import sample
from metabone.episodes.store import ImageStore
from metabone.evaluation.tasks import (
    Candidate,
    Measure,
    measure_tasks,
    search,
    task_measure,
    task_rows,
)
from metabone.learners.base import MetaLearner, predictor
from metabone.learners.transfer import scratch
from metabone.nets.network import Network
from metabone.report.published import min_kang_2018_table_2
from metabone.training.json_files import read_json
from metabone.training.progress import ProgressLine
from metabone.training.run import Run

NORMS = ("inductive", "transductive")
_READ_AT_ONCE = 512


class Arm(NamedTuple):
    """Both learners of one model, meta and base.

    Attributes:
      model: `scratch` or `pretrained`.
      network: of both.
      learner: the meta-learner.
      train: meta-trains it, or finds that done; its meta-parameters.
      validation: store to choose base learning's settings on; None where another run has.
      test: store of the classes that were never seen.
    """

    model: str
    network: Network
    learner: MetaLearner
    train: Callable[[], Any]
    validation: ImageStore | None
    test: ImageStore


def arms(config: MetaDatasetSettings, run: Run, data: Data, features_dir: Path) -> Iterator[Arm]:
    """Yields both learners from scratch, then both on a backbone that is trained first."""
    trained = Path(config.evaluate) if config.evaluate else None
    shape = data.test.images.shape[1:]

    network = whole_network(config, config.ways)
    learner = maml_of(config, network, config.adapts)
    steps = config.meta_steps
    if trained is not None:
        found = trained_meta_params(config, trained, "meta_scratch", learner, shape, steps)
        yield Arm("scratch", network, learner, lambda: found, None, test_store(config, data.test))
    else:
        in_memory = isinstance(data.train, ImageSet)
        # Streamed images stay where they are: the store only tells which image is of which class.
        pixels = data.train.images if in_memory else np.zeros((len(data.train), 0), np.uint8)
        stores = {
            "train": training_store(config, pixels, data.train),
            "validation": training_store(config, data.validation.images, data.validation),
        }
        streamed = None if in_memory else data.train
        args = ("meta_scratch", learner, stores, config.ways, steps, streamed, config.meta_flip)
        yield Arm(
            "scratch",
            network,
            learner,
            partial(meta_trained, config, run, *args),
            test_store(config, data.validation),
            test_store(config, data.test),
        )

    backbone, scaling = backbone_and_scaling(config, run, data, features_dir)

    def with_features(images: ImageSet) -> ImageSet:
        found = scaling(embed_array(backbone, features_dir, images.images))
        return dataclasses.replace(images, images=found)

    network = head_network(config, config.ways)
    learner = maml_of(config, network)
    steps = config.head_steps
    test = test_store(config, with_features(data.test))
    shape = test.images.shape[1:]
    if trained is not None:
        found = trained_meta_params(config, trained, "meta_pretrained", learner, shape, steps)
        yield Arm("pretrained", network, learner, lambda: found, None, test)
        return
    validation = with_features(data.validation)
    stores = {
        "train": training_store(
            config, scaling(train_features(backbone, features_dir, data.train)), data.train
        ),
        "validation": training_store(config, validation.images, validation),
    }
    args = ("meta_pretrained", learner, stores, config.ways, steps)
    train = partial(meta_trained, config, run, *args)
    yield Arm("pretrained", network, learner, train, test_store(config, validation), test)


def backbone_and_scaling(
    config: MetaDatasetSettings, run: Run, data: Data, features_dir: Path
) -> tuple[Backbone, Scaling]:
    """The frozen backbone, and how its features are scaled; those of another run if it is named."""
    trained = Path(config.evaluate) if config.evaluate else None
    backbone = given_backbone(config, trained)
    if backbone is None:
        backbone = pretrained_backbone(config, data.train, len(data.train.class_names), run)
    if trained is not None:
        return backbone, load_scaling(trained, backbone.identity)
    scaling = scaling_of(train_features(backbone, features_dir, data.train), backbone.identity)
    save_scaling(run.path, scaling)
    return backbone, scaling


def train_features(backbone: Backbone, features_dir: Path, images: Images) -> np.ndarray:
    """Features of the meta-training images, `[N, D]` float32, a few images at a time."""
    if isinstance(images, ImageSet):
        return embed_array(backbone, features_dir, images.images)
    return embed(backbone, features_dir, images.read, seen_fingerprints(images))


def seen_fingerprints(images: Images) -> list[str]:
    """Hashes of images as they are seen, a few of which are read at a time."""
    if isinstance(images, ImageSet):
        return image_fingerprints(images.images)
    starts = range(0, len(images), _READ_AT_ONCE)
    blocks = (np.arange(start, min(start + _READ_AT_ONCE, len(images))) for start in starts)
    return [found for rows in blocks for found in image_fingerprints(images.read(rows))]


def training_store(config: MetaDatasetSettings, values: np.ndarray, images: Images) -> ImageStore:
    """A store for tasks of meta-training's size."""
    sizes = dict(ways=config.ways, shots=config.meta_shots, queries=config.meta_queries)
    return store_of(values, images.labels, images.class_names, **sizes)


def test_store(config: MetaDatasetSettings, images: ImageSet) -> ImageStore:
    """A store on the device for tasks of every size in the table."""
    sizes = dict(ways=config.ways, shots=max(config.shots), queries=config.queries)
    return jax.device_put(store_of(images.images, images.labels, images.class_names, **sizes))


def base_of(network: Network, options: dict[str, Any]) -> MetaLearner:
    """Base learning: the network drawn anew and trained on the support images alone."""
    optimizer = optax.adamw(options["rate"], weight_decay=options["decay"])
    return scratch(network, optimizer, steps=options["steps"])


def measure_of(
    config: MetaDatasetSettings,
    network: Network,
    shots: int,
    learner_of: Callable[[Any], MetaLearner],
) -> Measure:
    """The accuracy of one learner on one task, under both norm modes."""
    stats = jax.eval_shape(
        lambda key: network.init(key, (config.size, config.size, config.channels))[1],
        jax.random.key(0),
    )
    predictions = [predictor(network, norm) for norm in NORMS]
    if not jax.tree.leaves(stats):
        predictions = predictions[:1] * len(NORMS)  # without batch norm they are one function
    sizes = dict(ways=config.ways, shots=shots, queries=config.queries)
    return task_measure(
        learner_of,
        predictions,
        lambda store, seed, index, task: sample(store, seed, index, task, **sizes),
    )


def fill_arm(config: MetaDatasetSettings, run: Run, arm: Arm) -> None:
    """Trains and measures what the run does not hold yet of both learners of one model."""
    cells = [
        (learning, shots)
        for learning in ("meta", "base")
        for shots in config.shots
        if run.results.find(learning=learning, model=arm.model, shots=shots) is None
    ]
    meta_params = None
    for learning, shots in cells:
        if learning == "meta":
            # Trained before the first cell that needs it, and found again after a restart.
            meta_params = arm.train() if meta_params is None else meta_params
            measure = measure_of(config, arm.network, shots, lambda _: arm.learner)
            params, options = meta_params, {}
        else:
            measure = measure_of(config, arm.network, shots, partial(base_of, arm.network))
            params, options = (), base_options(config, run, arm, shots, measure)
        name = f"{learning} {arm.model}, {shots} shots"
        with line_of(name, config.tasks) as line:
            accuracies = measure_tasks(
                measure,
                options,
                params,
                arm.test,
                seed=config.seed,
                tasks=config.tasks,
                done=lambda _, line=line: line.advance(1, {}),
            )
        labels = {"learning": learning, "model": arm.model, "shots": shots}
        # Of its own classes and 5 ways; beside anything else it would say nothing.
        alike = config.ways == 5 and not config.evaluate
        paper = min_kang_2018_table_2(**labels) if alike else None
        run.results.append(*task_rows(accuracies, NORMS, **labels, paper=paper))


def base_options(
    config: MetaDatasetSettings, run: Run, arm: Arm, shots: int, measure: Measure
) -> dict[str, Any]:
    """What base learning does best with on the validation classes; the search is recorded."""
    labels = {"model": arm.model, "shots": shots}
    record = run.results.get("search", [])
    if config.evaluate:
        record = read_json(Path(config.evaluate) / "result.json").get("search", [])
    known = [entry for entry in record if entry["model"] == arm.model]
    if known and (config.evaluate or any(entry["shots"] == shots for entry in known)):
        # A number of shots that was not searched takes the choice of the nearest that was.
        nearest = min(known, key=lambda entry: abs(entry["shots"] - shots))["shots"]
        found = [entry for entry in known if entry["shots"] == nearest]
        return _typed(found[0]["options"])
    offered = candidates(config)
    with line_of(f"base {arm.model}, {shots} shots, search", len(offered)) as line:
        found: list[Candidate] = search(
            measure,
            [_typed(options) for options in offered],
            (),
            arm.validation,
            seed=config.seed,
            tasks=config.search_tasks,
            done=lambda _: line.advance(1, {}),
        )
    entries = [
        {
            **labels,
            "options": {name: float(value) for name, value in each.options.items()},
            "mean": each.mean,
            "ci95": each.ci95,
            "n": each.n,
        }
        for each in found
    ]
    run.results.set(search=[*run.results.get("search", []), *entries])
    return _typed(entries[0]["options"])


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    return {
        "rate": np.float32(options["rate"]),
        "steps": np.int32(options["steps"]),
        "decay": np.float32(options["decay"]),
    }


@contextlib.contextmanager
def line_of(phase: str, steps: int) -> Iterator[ProgressLine]:
    """A line that tells how far something is, closed whatever happens."""
    line = ProgressLine(phase, 0, steps)
    try:
        yield line
    finally:
        line.close()

"""Pre-trains a backbone on the classes that meta-learning trains on, for several runs to share.

Splits the classes of its sources as `experiments.meta_dataset` does under the same settings, trains
the backbone to tell the training classes apart, and tells what its features are worth: the accuracy
of fully connected layers trained on a few images of each of five validation classes.

  python -m experiments.pretrain --meta_sources=tiny_imagenet:ZIP,cifar100:FILE
  python -m experiments.meta_dataset --pretrained=runs/pretrain/RUN --meta_sources=...
"""

import dataclasses
from functools import partial

import numpy as np
from absl import flags

from experiments.learned import scaling_of
from experiments.learner_settings import check_least
from experiments.learning import check_networks, embed_array, head_network, pretrained_backbone
from experiments.meta_data import load_sources, split_images
from experiments.meta_dataset_arms import NORMS, base_of, measure_of, test_store, train_features
from experiments.meta_dataset_settings import PRESETS, MetaDatasetSettings, check
from experiments.runs import carry_out, define_run_flags
from experiments.settings import define_flags, launch, resolve, setting
from metabone.datasets.combined import CombinedImages
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.source import parse_source
from metabone.errors import InputError
from metabone.evaluation.tasks import measure_tasks, task_rows
from metabone.training.run import Run


@dataclasses.dataclass(frozen=True)
class PretrainSettings(MetaDatasetSettings):
    """What a backbone and its figures depend on; settings of meta-learning are not looked at."""

    base_rate: float = setting(1e-3, "Adam's rate of the layers that the features are tried with.")
    base_steps: int = setting(50, "Their full-batch steps.")
    base_decay: float = setting(1e-2, "Their weight decay.")


define_flags(PretrainSettings, PRESETS, default="demo")
define_run_flags()


def main() -> None:
    """Trains the backbone that the flags describe."""
    config = resolve(PretrainSettings, PRESETS)
    check(config)
    check_least(config, {"base_steps": 0})
    check_networks(config)
    for name in ("evaluate", "pretrained", "backbone_weights"):
        if getattr(config, name):
            raise InputError(f"--{name}: a backbone is trained here, not taken from elsewhere")
    for source in config.meta_sources:
        parse_source(source)
    images = load_sources(config, flags.FLAGS.data_dir, {})
    carry_out("pretrain", config, lambda run: fill(config, run, images))


def fill(config: PretrainSettings, run: Run, images: CombinedImages) -> None:
    """Trains, and measures the features on the validation classes: the test classes stay unseen."""
    data = split_images(config, images)
    run.record_data([{"role": "meta", **dataclasses.asdict(each)} for each in images.provenances])
    run.results.set(
        seed=config.seed,
        learners=f"{config.backbone}, {config.backbone_width:g} times as wide, frozen.",
        meta_classes={part: list(own.class_names) for part, own in data._asdict().items()},
    )
    backbone = pretrained_backbone(config, data.train, len(data.train.class_names), run)
    features_dir = resolve_data_dir(flags.FLAGS.data_dir) / "features"
    scaling = scaling_of(train_features(backbone, features_dir, data.train), backbone.identity)
    found = scaling(embed_array(backbone, features_dir, data.validation.images))
    store = test_store(config, dataclasses.replace(data.validation, images=found))
    network = head_network(config, config.ways)
    options = {
        "rate": np.float32(config.base_rate),
        "steps": np.int32(config.base_steps),
        "decay": np.float32(config.base_decay),
    }
    for shots in config.shots:
        labels = {"learning": "base", "model": "pretrained", "shots": shots}
        if run.results.find(**labels) is None:
            measure = measure_of(config, network, shots, partial(base_of, network))
            accuracies = measure_tasks(
                measure, options, (), store, seed=config.seed, tasks=config.tasks
            )
            run.results.append(*task_rows(accuracies[:, :1], NORMS[:1], **labels))
    run.results.finish()


if __name__ == "__main__":
    launch(main)

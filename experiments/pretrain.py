"""Pre-trains a backbone on the classes that meta-learning trains on, for several runs to share.

Splits the classes of its sources as `experiments.meta_dataset` does under the same settings, trains
the backbone to tell the training classes apart, and tells what its features are worth: the accuracy
of fully connected layers trained on a few images of each of five validation classes.

  python -m experiments.pretrain
  python -m experiments.pretrain --meta_sources=tiny_imagenet:ZIP,cifar100:FILE
  python -m experiments.meta_dataset --pretrained=runs/pretrain/RUN --meta_sources=...

Without flags it does so on simulated images, in half a minute on two cores.
"""

import dataclasses
from typing import Any

from metabone import workflows
from metabone.commands.command import Call, Command

from .command_line.launch import launch
from .meta_dataset import sources_of, split
from .pretrain_settings import PRESETS, PretrainSettings, check


def main(call: Call) -> None:
    """Trains the backbone that the flags describe."""
    check(call.config)
    workflows.check_networks(call.config)
    images = sources_of(call.config, call.data_dir)
    call.carry_out(call.config, lambda run: fill(call.config, run, images, call.data_dir))


def fill(config: PretrainSettings, run: Any, images: Any, data_dir: str | None) -> None:
    """Trains, and measures the features on the validation classes: the test classes stay unseen.

    Args:
      config: of the run.
      run: a `training.run.Run`.
      images: the sources, as `CombinedImages`.
      data_dir: where features are kept.
    """
    parts = split(config, images)
    run.record_data([{"role": "meta", **dataclasses.asdict(each)} for each in images.provenances])
    run.results.set(
        seed=config.seed,
        ways=config.ways,
        learners=f"{config.backbone}, {config.backbone_width:g} times as wide, frozen.",
        meta_classes=parts.names,
    )
    backbone = workflows.pretrained_backbone(config, parts.train, run)
    features = workflows.scaled_features(
        backbone, parts.train, parts.validation, workflows.features_dir(data_dir)
    )
    workflows.fill_head_table(
        run,
        parts.validation,
        features,
        config.hidden,
        workflows.base_options(config.base_rate, config.base_steps, config.base_decay),
        ways=config.ways,
        shots=config.shots,
        queries=config.queries,
        tasks=config.tasks,
        seed=workflows.seeds_of(config).draw,
    )
    run.results.finish()


COMMAND = Command(
    "pretrain",
    "A backbone for several runs to share.",
    __doc__,
    PretrainSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

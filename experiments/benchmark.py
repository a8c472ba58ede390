"""Few-shot learners under one protocol: the same classes, the same tasks, one table.

Splits a source's classes, trains each learner on most of them, and tests all on the same tasks of
classes never seen, so that learners are ranked by paired differences. Published figures stand
beside ours with what differs.

  python -m experiments.benchmark
  python -m experiments.benchmark --preset=cpu --source=omniglot:FILE.npz
  python -m experiments.benchmark --preset=maml_omniglot_5w1s --source=omniglot:FILE.npz
  python -m experiments.benchmark --learners=maml,protonet --source=folder:PATH
  python -m experiments.benchmark --source=folder:PATH --size=224 --channels=3 \
    --backbone=efficientnet_lite0 --backbone_weights=FILE

Without flags it does so on simulated images, in 2 to 3 minutes on two cores, which shows that it
works and nothing about the learners. The second command trains each three times, in 40
minutes on two idle cores: on tasks of 5 ways and 1 shot ProtoNet answers 94 %, iMAML and MAML++ 93,
R2-D2 92, MAML and ANIL 90. The last learns on kept features of a published network.
"""

import dataclasses
from typing import Any

import metabone as mb
from metabone import workflows
from metabone.commands.command import Call, Command

from .benchmark_presets import PRESETS
from .benchmark_settings import BenchmarkSettings, check, on_features
from .command_line.launch import launch


def main(call: Call) -> None:
    """Runs the comparison that the flags describe."""
    config = on_features(call.config, call.given)
    check(config)
    workflows.make_devices(config.mapping, config.meta_batch)
    for name in config.learners:
        workflows.entry_of(name, config)
    backbone = None
    if config.backbone:
        # Files first: what is wrong with them is told before anything is compiled or written.
        backbone = workflows.published_backbone(
            config.backbone, config.backbone_weights, config.backbone_crops
        )
    classes = load_classes(config, call.data_dir)
    protocol = workflows.Protocol(
        config.source,
        config.tasks,
        config.queries,
        config.protocol,
        config.also_steps,
        config.learners,
    )
    table = workflows.FamilyTable(config, protocol, classes)

    def fill(run: Any) -> None:
        run.results.set(seed=config.seed, ways=config.ways, meta_classes=classes.names)
        filled = table
        if backbone is not None:
            features = workflows.features_dir(call.data_dir)
            parts = workflows.on_features(backbone, classes, run, features)
            filled = workflows.FamilyTable(config, protocol, parts)
            run.results.set(learners=workflows.features_in_words(config))
        filled.fill(run)
        run.results.finish()

    # With the split: the file of `--split` may have changed since a run was begun.
    data = dataclasses.asdict(classes.train.provenance) | {"role": "meta", "split": classes.split}
    call.carry_out(config, fill, [data])


def load_classes(config: BenchmarkSettings, data_dir: str | None) -> Any:
    """The source's classes in three parts, `ClassParts`; a class's rotations are in its part."""
    images = mb.load_images(
        config.source,
        size=config.size,
        channels=config.channels,
        data_dir=data_dir,
        seed=config.split_seed,
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    )
    split = workflows.split_by_table(
        config.split,
        config.source,
        images.class_names,
        config.ways,
        config.split_seed,
        validation=config.validation_classes,
        test=config.test_classes,
        published=images.class_parts,
    )
    return workflows.in_parts(images, split, config.rotations)


COMMAND = Command(
    "benchmark",
    "Few-shot learners on the same tasks, ranked.",
    __doc__,
    BenchmarkSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

"""How well unseen classes are learned from a few images each, after Min and Kang (2018), Table 2.

Merges sources of labelled images into one list of classes, meta-trains on most of them, and tests
on tasks of classes that were never seen: meta-learning against transfer learning and training from
scratch, with and without a pre-trained backbone.

  python -m experiments.meta_dataset
  python -m experiments.meta_dataset --preset=cpu --meta_sources=tiny_imagenet:ZIP,mini_imagenet:DIR
  python -m experiments.meta_dataset --evaluate=runs/meta_dataset/RUN --target=omniglot:FILE.npz

Without flags it does so on simulated images in 2 to 4 minutes on two cores. The second command
needs both archives and 48 minutes, and gives 51 / 54 / 58 % with meta-learning from scratch and
60 / 64 / 67 % on a pre-trained backbone, with 5 / 10 / 20 images a class; base learning 30 / 33 /
36 % and 54 / 60 / 64 %.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metabone import workflows
from metabone.commands.command import Call, Command

from .command_line.launch import launch
from .meta_dataset_settings import (
    PRESETS,
    MetaDatasetSettings,
    candidates,
    check,
    with_learners_of,
)


def main(call: Call) -> None:
    """Runs the experiment that the flags describe."""
    config = with_learners_of(call.config, call.given)
    config = workflows.with_backbone_of(config, call.given)
    check(config)
    if not config.evaluate:
        workflows.make_devices(config.mapping, config.meta_batch)
    workflows.check_networks(config)
    # Files first: what is wrong with them is told before anything is compiled or written.
    images = sources_of(config, call.data_dir)
    config, notes = with_possible_shots(config, images.labels, "shots" in call.given)
    call.carry_out(config, lambda run: fill(config, run, images, notes, call.data_dir))


def sources_of(config: MetaDatasetSettings, data_dir: str | None) -> Any:
    """All classes of the sources as `CombinedImages`, without those that a run has learned from."""
    taken = workflows.classes_seen(Path(config.evaluate)) if config.evaluate else {}
    return workflows.open_sources(
        config.meta_sources,
        size=config.size,
        channels=config.channels,
        data_dir=data_dir,
        same_classes=config.same_classes,
        taken=taken,
        seed=workflows.seed_of(config, "target_seed" if config.evaluate else "split_seed"),
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    )


def with_possible_shots(
    config: MetaDatasetSettings, labels: np.ndarray, asked: bool
) -> tuple[MetaDatasetSettings, list[str]]:
    """Leaves out columns that a target cannot fill, unless they were asked for.

    Args:
      config: of this command line.
      labels: of the images.
      asked: whether `--shots` was given.

    Returns:
      The settings, and a note on each column left out.
    """
    fewest = min(np.bincount(labels).tolist())
    possible = tuple(shots for shots in config.shots if shots + config.queries <= fewest)
    if not config.evaluate or asked or not possible or possible == config.shots:
        return config, []
    left_out = ", ".join(str(shots) for shots in config.shots if shots not in possible)
    note = (
        f"{left_out} shots left out: with {config.queries} queries they need more images than the "
        f"{fewest} of some class."
    )
    return dataclasses.replace(config, shots=possible), [note]


def fill(
    config: MetaDatasetSettings, run: Any, images: Any, notes: Sequence[str], data_dir: str | None
) -> None:
    """Trains and measures what the run does not hold yet.

    Args:
      config: of the run.
      run: a `training.run.Run`.
      images: the sources, as `CombinedImages`.
      notes: what is to be said of the table.
      data_dir: where features are kept.
    """
    trained = Path(config.evaluate) if config.evaluate else None
    if trained:
        parts, names, record = workflows.test_elsewhere(trained, images, config.target)
        shared = workflows.shared_by_name(trained, names["test"], [config.target])
        notes = [*notes, *filter(None, [workflows.shared_in_words(shared)])]
    else:
        parts = split(config, images)
        names, record = workflows.learned_here(run, parts, config.pretrained), []
    role = "target" if trained else "meta"
    sources = [{"role": role, **dataclasses.asdict(each)} for each in images.provenances]
    run.record_data([*sources, *record])
    seeds = workflows.seeds_of(config)
    run.results.set(
        seed=config.seed,
        draw_seed=seeds.draw,
        ways=config.ways,
        learners=" ".join([workflows.describe(config), *notes]),
        meta_classes=names,
        dropped_classes=[each._asdict() for each in images.dropped],
    )
    table = workflows.TaskTable(
        config.ways,
        config.shots,
        config.queries,
        config.tasks,
        candidates(config),
        config.search_tasks,
        workflows.searched_by(trained) if trained else None,
        # Of its own classes and 5 ways; beside anything else it would say nothing.
        published=config.ways == 5 and not trained,
        seed=seeds.draw,
    )
    target = workflows.Target(parts.test.images, lambda values: table.store(parts.test, values))
    for index, own in enumerate(workflows.trainings_of(config)):
        models = workflows.both_models(
            own,
            parts.train,
            parts.validation,
            target,
            ways=config.ways,
            run=run.training(index),
            features_dir=workflows.features_dir(data_dir),
            trained=workflows.learned_folder(config.evaluate, index),
        )
        workflows.fill_task_table(models, run, table, index)
    run.results.finish()


def split(config: MetaDatasetSettings, images: Any) -> Any:
    """The sources' classes in three parts, `ClassParts`."""
    return workflows.split_images(
        images,
        config.ways,
        workflows.seeds_of(config).split,
        validation=config.validation_classes,
        test=config.test_classes,
        memory_gib=config.memory_gib,
    )


COMMAND = Command(
    "meta_dataset",
    "How well unseen classes are learned from a few images each.",
    __doc__,
    MetaDatasetSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

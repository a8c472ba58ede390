"""Few images of small medical sets: frozen backbones and a probe, against what is meta-learned.

Most people with a few labelled images a class freeze a published network and fit a head. This puts
that row beside meta-learning on the very same features, and beside MAML of a whole network from
scratch, on several sets at once: learned on some images, measured on others.

  python -m experiments.medical
  python -m experiments.medical --preset=real --meta_sources=mini_imagenet:DIR \
    --targets=retinamnist:FILE.npz,medmnist:FILE.npz,rsna:DIR \
    --backbones=conv4,random,efficientnet_lite0:FILE.safetensors

  python -m experiments.medical --preset=real \
    --meta_sources=embeddings:A.npz --targets=embeddings:B.npz,embeddings:C.npz

The last learns on features that were computed elsewhere (docs/backbones.md): no network is run.
Without flags it learns from simulated bones and reads simulated hands, in minutes on two cores.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.workflows.feature_settings import EMBEDDINGS, OWN_BACKBONES

from .command_line.launch import launch
from .medical_settings import PRESETS, MedicalSettings, check


def main(call: Call) -> None:
    """Runs the comparison that the flags describe."""
    config = workflows.as_given(call.config, call.config.meta_sources)
    check(config)
    workflows.make_devices(config.mapping, config.meta_batch)
    workflows.check_networks(config)
    # Files first: what is wrong with them is told before anything is compiled or written.
    if EMBEDDINGS in config.backbones:
        targets = large = workflows.load_targets(config, config.size, call.data_dir)
        images = workflows.open_embeddings(config.meta_sources, targets, config.same_classes)
    else:
        images = workflows.open_sources(
            config.meta_sources,
            size=config.size,
            channels=config.channels,
            data_dir=call.data_dir,
            same_classes=config.same_classes,
            seed=workflows.seeds_of(config).split,
            classes=config.meta_classes,
            images_per_class=config.meta_images,
        )
        targets = workflows.load_targets(config, config.size, call.data_dir)
        published = any(name not in OWN_BACKBONES for name in config.backbones)
        large = (
            workflows.load_targets(config, config.target_size, call.data_dir) if published else ()
        )
    call.carry_out(config, lambda run: fill(config, run, images, targets, large, call.data_dir))


def fill(
    config: MedicalSettings,
    run: Any,
    images: Any,
    targets: Sequence[Any],
    large: Sequence[Any],
    data_dir: str | None,
) -> None:
    """Trains and measures what the run does not hold yet.

    Args:
      config: of the run.
      run: a `training.run.Run`.
      images: to learn from, as `CombinedImages`; or embeddings.
      targets: to measure on, each a `TargetSet`, at the size of the images.
      large: the same at the size for published backbones, or the same embeddings.
      data_dir: where features are kept.
    """
    seeds = workflows.seeds_of(config)
    # As few test classes as there can be: the targets are the test.
    given = EMBEDDINGS in config.backbones
    split = workflows.split_embeddings if given else workflows.split_images
    parts = split(
        images, config.ways, seeds.split, validation=config.validation_classes, test=config.ways
    )
    workflows.check_apart(parts, targets)
    run.record_data(
        [
            *({"role": "meta", **dataclasses.asdict(each)} for each in images.provenances),
            *({"role": "target", **dataclasses.asdict(each.provenance)} for each in targets),
        ]
    )
    run.results.set(
        seed=config.seed,
        draw_seed=seeds.draw,
        meta_classes={name: parts.names[name] for name in ("train", "validation")},
        targets={target.name: target.class_names for target in targets},
    )
    data = workflows.FeatureData(parts, targets, large)
    for index, own in enumerate(workflows.trainings_of(config)):
        workflows.fill_feature_table(own, run, data, workflows.features_dir(data_dir), index)
    run.results.finish()


COMMAND = Command(
    "medical",
    "A probe and meta-learning on features of small medical sets.",
    __doc__,
    MedicalSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

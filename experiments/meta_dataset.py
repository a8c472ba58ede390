"""How well unseen classes are learned from a few images each, after Min and Kang (2018), Table 2.

Merges sources of labelled images into one list of classes, meta-trains on most of them, and tests
on tasks of classes that were never seen: meta-learning against transfer learning and training from
scratch, with and without a pre-trained backbone. Without flags it does so on simulated images, in
minutes on two cores.

  python -m experiments.meta_dataset
  python -m experiments.meta_dataset --preset=cpu --meta_sources=tiny_imagenet:ZIP,mini_imagenet:DIR
  python -m experiments.meta_dataset --evaluate=runs/meta_dataset/RUN --target=omniglot:FILE.npz
"""

import dataclasses
from pathlib import Path

from absl import flags

from experiments.learned import check_backbone, check_unseen, data_of, save_seen
from experiments.learner_settings import with_backbone_of
from experiments.learning import check_networks, describe
from experiments.meta_data import Data, load_sources, split_images, with_possible_shots
from experiments.meta_dataset_arms import arms, fill_arm, seen_fingerprints
from experiments.meta_dataset_settings import PRESETS, MetaDatasetSettings, check, with_learners_of
from experiments.meta_training import make_devices
from experiments.runs import carry_out, define_run_flags, settings_given
from experiments.settings import define_flags, launch, resolve
from metabone.datasets.combined import CombinedImages
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.source import parse_source
from metabone.training.json_files import read_json
from metabone.training.run import Run

define_flags(MetaDatasetSettings, PRESETS, default="demo")
define_run_flags()


def main() -> None:
    """Runs the experiment that the flags describe."""
    config = resolve(MetaDatasetSettings, PRESETS)
    given = settings_given(config)
    config = with_backbone_of(with_learners_of(config, given), given)
    check(config)
    if not config.evaluate:
        make_devices(config.mapping, config.meta_batch)
    check_networks(config)
    # Files first: what is wrong with them is told before anything is compiled or written.
    for source in config.meta_sources:
        parse_source(source)
    taken = classes_seen(Path(config.evaluate)) if config.evaluate else {}
    combined = load_sources(config, flags.FLAGS.data_dir, taken)
    config, notes = with_possible_shots(config, combined, "shots" in given)
    carry_out("meta_dataset", config, lambda run: fill(config, run, combined, notes))


def classes_seen(run: Path) -> dict[str, str]:
    """Classes that a run trained or chose its learners on, and where they were."""
    split = read_json(run / "result.json")["meta_classes"]
    return {name: str(run) for part in ("train", "validation") for name in split.get(part, [])}


def fill(config: MetaDatasetSettings, run: Run, images: CombinedImages, notes: list[str]) -> None:
    """Trains and measures what the run does not hold yet."""
    if config.evaluate:
        trained = Path(config.evaluate)
        data = Data(None, None, images.whole())
        check_unseen(trained, image_fingerprints(data.test.images), config.target)
        split = read_json(trained / "result.json")["meta_classes"]
        parts = {part: split[part] for part in ("train", "validation")}
        parts["test"] = list(images.class_names)
        record = data_of(trained)
    else:
        data = split_images(config, images)
        parts = {part: list(own.class_names) for part, own in data._asdict().items()}
        check_backbone(config.pretrained, (*parts["validation"], *parts["test"]))
        seen = (*seen_fingerprints(data.train), *seen_fingerprints(data.validation))
        save_seen(run.path, seen)
        record = []
    role = "target" if config.evaluate else "meta"
    sources = [{"role": role, **dataclasses.asdict(each)} for each in images.provenances]
    run.record_data([*sources, *record])
    run.results.set(
        seed=config.seed,
        ways=config.ways,
        learners=" ".join([describe(config), *notes]),
        meta_classes=parts,
        dropped_classes=[each._asdict() for each in images.dropped],
    )
    features_dir = resolve_data_dir(flags.FLAGS.data_dir) / "features"
    for arm in arms(config, run, data, features_dir):
        fill_arm(config, run, arm)
    run.results.finish()


if __name__ == "__main__":
    launch(main)

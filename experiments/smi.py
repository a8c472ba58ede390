"""Skeletal maturity from a few hand films a class, after Min and Kang 2018.

Meta-trains on many classes of other images, adapts to hand-wrist films with few labelled films a
class, votes over their regions, and compares with transfer learning and training from scratch.
Without flags it does all of that on simulated films, in minutes on two cores.

  python -m experiments.smi
  python -m experiments.smi --target=rsna:DIR --draws=100
  python -m experiments.smi --evaluate=runs/smi/RUN --target=rsna:DIR
  python -m experiments.smi --meta_learner=runs/meta_dataset/RUN --target=rsna:DIR
"""

import dataclasses
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from experiments.learned import check_backbone, check_unseen, data_of, save_seen
from experiments.learner_settings import with_backbone_of
from experiments.learning import check_networks, describe, split_classes
from experiments.meta_training import make_devices
from experiments.runs import carry_out, define_run_flags, settings_given
from experiments.settings import define_flags, launch, resolve
from experiments.smi_arms import Arm, arms
from experiments.smi_settings import PRESETS, SmiSettings, check, with_learners_of
from metabone.datasets.data_dir import resolve_data_dir
from metabone.datasets.fingerprints import check_disjoint, image_fingerprints
from metabone.datasets.images import ImageSet
from metabone.datasets.source import IMAGE_KINDS, load_films, load_images, parse_source
from metabone.episodes.store import build_store, check_enough
from metabone.errors import InputError
from metabone.evaluation.film_rows import confusions_of, rows_of, votes_on
from metabone.evaluation.protocol import (
    FilmReading,
    compile_reading,
    read_draws,
    read_films,
)
from metabone.learners.base import predictor
from metabone.radiograph.film_sets import smi_stages
from metabone.radiograph.films import FilmSet
from metabone.radiograph.stages import merge_names, merge_stages, parse_merge
from metabone.report.published import min_kang_2018
from metabone.training.progress import ProgressLine
from metabone.training.run import Run

_NORMS = ("inductive", "transductive")
# Draws where every draw runs or even trains whole networks for each of several regions.
_COSTLY = {("meta", "scratch"): 30, ("base", "scratch"): 5}

define_flags(SmiSettings, PRESETS, default="demo")
define_run_flags()


Programs = dict[int, Future]  # by number of shots: what reads the films


def compile_ahead(config: SmiSettings, run: Run, arm: Arm, pool: ThreadPoolExecutor) -> Programs:
    """Starts to compile what the run still lacks of an arm, which need not be trained for it."""
    labels = {"learning": arm.learning, "model": arm.model}
    shape = arm.store.images.shape[2:]
    meta_params = jax.eval_shape(lambda key: arm.learner.init(key, shape), jax.random.key(0))
    norm_stats = jax.eval_shape(lambda key: arm.network.init(key, shape)[1], jax.random.key(0))
    predictions = [predictor(arm.network, norm) for norm in _NORMS]
    if not jax.tree.leaves(norm_stats):
        # Without batch norm the modes are one function.
        predictions = predictions[:1] * len(_NORMS)
    programs = {}
    for shots in config.shots:
        if run.results.find(**labels, shots=shots) is None:
            sizes = dict(shots=shots, queries=config.queries, pooled=config.pooled)
            read = read_films(arm.learner, predictions, **sizes)
            programs[shots] = pool.submit(compile_reading, read, meta_params, arm.store)
    return programs


def measure(config: SmiSettings, run: Run, arm: Arm, programs: Programs, films: FilmSet) -> None:
    """Trains one learner, reads the films at each number of shots, and writes the rows."""
    labels = {"learning": arm.learning, "model": arm.model}
    meta_params = arm.train()
    several = len(films.region_names) > 1
    draws = config.draws or (_COSTLY.get((arm.learning, arm.model), 100) if several else 100)
    for shots, program in programs.items():
        compiled = program.result()
        line = ProgressLine(f"{arm.learning} {arm.model}, {shots} shots", 0, draws)
        reading = read_draws(
            compiled,
            meta_params,
            arm.store,
            seed=config.seed,
            draws=draws,
            done=lambda _, line=line: line.advance(1, {}),
        )
        line.close()
        if (arm.learning, arm.model, shots) == ("meta", "scratch", max(config.shots)):
            keep_examples(run, films, reading)
        write_rows(run, reading, len(films.class_names), **labels, shots=shots)


def write_rows(run: Run, reading: FilmReading, classes: int, **labels: Any) -> None:
    """Writes what a reading says; the rows last, as they say that all is written."""
    found = {entry_key(entry): entry for entry in run.results.get("confusions", [])}
    for entry in confusions_of(reading, _NORMS, classes, **labels):
        found[entry_key(entry)] = entry
    run.results.set(confusions=list(found.values()))
    paper = min_kang_2018(labels["learning"], labels["model"], labels["shots"])
    run.results.append(*rows_of(reading, _NORMS, paper=paper, **labels))


def entry_key(entry: dict[str, Any]) -> tuple:
    """What a confusion matrix is of."""
    return tuple(entry[name] for name in ("learning", "model", "shots", "norm"))


def keep_examples(run: Run, films: FilmSet, reading: FilmReading) -> None:
    """Keeps a few whole films and their votes for the report."""
    found = votes_on(reading, films.example_index.tolist())
    kept = [i for i, film in enumerate(films.example_index.tolist()) if film in found]
    if not kept:
        return
    reads = [found[int(films.example_index[i])] for i in kept]
    np.savez_compressed(
        run.path / "examples.npz",
        films=films.examples[kept],
        boxes=films.example_boxes[kept],
        region_votes=np.stack([read["regions"] for read in reads]),
        votes=np.stack([read["vote"] for read in reads]),
        truth=films.classes[films.example_index[kept]],
    )


def load_target(config: SmiSettings) -> FilmSet:
    """The films, enough of each class."""
    films = load_films(
        config.target,
        size=config.size,
        merge=parse_merge(config.merge),
        cuts=config.cuts,
        data_dir=flags.FLAGS.data_dir,
        seed=config.seed,
    )
    check_films(config, films.classes, films.class_names, films.patients)
    repeated = np.repeat(films.regions, config.channels // films.regions.shape[-1], axis=-1)
    return dataclasses.replace(films, regions=repeated)


def check_films(config: SmiSettings, classes, class_names, patients) -> None:
    """Raises `InputError` where a class has too few films for a draw."""
    store = build_store(classes, classes, class_names=class_names, groups=patients)
    check_enough(store, len(class_names), max(config.shots), config.queries, class_names)


def load_meta(config: SmiSettings) -> ImageSet:
    """The images to meta-train on."""
    return load_images(
        config.meta_source,
        size=config.size,
        channels=config.channels,
        data_dir=flags.FLAGS.data_dir,
        seed=config.seed,
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    )


def main() -> None:
    """Runs the experiment that the flags describe."""
    config = resolve(SmiSettings, PRESETS)
    given = settings_given(config)
    config = with_backbone_of(with_learners_of(config, given), given)
    check(config)
    if not learned_from(config):
        make_devices(config.mapping, config.meta_batch)
    check_networks(config)
    # Files first: what is wrong with them is told before anything is rendered, compiled or written.
    target, meta = parse_source(config.target), parse_source(config.meta_source)
    if meta.kind not in IMAGE_KINDS or meta.text == "simulated:smi":
        raise InputError(f"--meta_source={meta}: expected labelled images, no hand films")
    films = images = None
    if target.kind == "simulated":
        table = parse_merge(config.merge)
        classes = merge_stages(smi_stages(), table)
        check_films(config, classes, merge_names(table), range(len(classes)))
    else:
        films = load_target(config)
    if meta.kind != "simulated" and not learned_from(config):
        images = load_meta(config)

    def load_and_fill(run: Run) -> None:
        # Simulations are rendered once it is known that the run needs them.
        meta_images = images
        if meta_images is None and not learned_from(config):
            meta_images = load_meta(config)
        fill(config, run, films if films is not None else load_target(config), meta_images)

    carry_out("smi", config, load_and_fill)


def learned_from(config: SmiSettings) -> str:
    """Folder of the run whose learners are used; empty if they are trained here."""
    return config.evaluate or config.meta_learner


def fill(config: SmiSettings, run: Run, films: FilmSet, images: ImageSet | None) -> None:
    """Trains and measures what the run does not hold yet."""
    regions = films.regions.reshape(-1, *films.regions.shape[2:])
    if learned_from(config):
        split, meta = {}, data_of(Path(learned_from(config)))
        check_unseen(Path(learned_from(config)), image_fingerprints(regions), config.target)
    else:
        split = split_classes(images.class_names, len(films.class_names), config.seed)
        parts = [(part, images.images[np.isin(images.labels, split[part])]) for part in split]
        check_disjoint(*parts, ("target", regions))
        held_out = [
            images.class_names[row] for part in ("validation", "test") for row in split[part]
        ]
        check_backbone(config.pretrained, held_out)
        seen = np.concatenate([images for part, images in parts if part != "test"])
        save_seen(run.path, image_fingerprints(seen))
        meta = [{"role": "meta", **dataclasses.asdict(images.provenance)}]
        run.results.set(
            meta_classes={
                part: [images.class_names[i] for i in rows] for part, rows in split.items()
            }
        )
    run.record_data([{"role": "target", **dataclasses.asdict(films.provenance)}, *meta])
    run.results.set(
        seed=config.seed,
        learners=describe(config),
        class_names=films.class_names,
        region_names=films.region_names,
    )
    features_dir = resolve_data_dir(flags.FLAGS.data_dir) / "features"
    # One thread compiles what comes next while this one trains, which leaves a core half idle.
    pool = ThreadPoolExecutor(1)
    try:
        for pair in arms(config, run, images, split, films, features_dir):
            programs = [compile_ahead(config, run, arm, pool) for arm in pair]
            for arm, ahead in zip(pair, programs, strict=True):
                measure(config, run, arm, ahead, films)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    run.results.finish()


if __name__ == "__main__":
    launch(main)

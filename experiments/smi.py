"""Skeletal maturity from a few hand films a class, after Min and Kang 2018.

Meta-trains on many classes of other images, adapts to hand-wrist films with few labelled films a
class, votes over their regions, and compares with transfer learning and training from scratch.

  python -m experiments.smi
  python -m experiments.smi --target=rsna:DIR
  python -m experiments.smi --target=rsna:DIR --meta_source=rsna:DIR
  python -m experiments.smi --evaluate=runs/smi/RUN --target=rsna:DIR
  python -m experiments.smi --meta_learner=runs/meta_dataset/RUN --target=rsna:DIR

Without flags it does so on simulated films, needs nothing but the package, and takes 3 to 7 minutes
on two cores. From scratch meta-learning is then above base learning with few films; on a backbone
that knows bones it is below, as regions cut along their bones are read well without it.

Real films lie in DIR, as labels.csv (id, bone_age_months, sex) with images.zip or images/. They are
prepared once and kept, see `metabone prepare-hands`, and read by six regions. The preset is then
`real`, which learns from simulated hands alone, or, where --meta_source names real films too,
`hands`; of the target's own films four fifths of the patients are learned from, the others read.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import metabone as mb
from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.datasets.source import are_hands
from metabone.workflows.film_settings import films_a_task
from metabone.workflows.variants import variants_of

from .command_line.launch import launch
from .smi_settings import PRESETS, SmiSettings, check, preset_of, with_learners_of


def main(call: Call) -> None:
    """Runs the experiment that the flags describe."""
    config = with_learners_of(call.config, call.given)
    config = workflows.with_backbone_of(config, call.given)
    check(config)
    learned = config.evaluate or config.meta_learner
    if not learned:
        workflows.make_devices(config.mapping, config.meta_batch)
    workflows.check_networks(config)
    # Files first: what is wrong with them is told before anything is rendered, compiled or written.
    target = target_of(config, call.data_dir)
    simulated = workflows.is_simulated(config.meta_source)
    films = target.load_unless_simulated()
    meta = None if simulated or nothing_to_load(config) else load_meta(config, call.data_dir)

    def load_and_fill(run: Any) -> None:
        # Simulations are rendered once it is known that the run needs them.
        shown = target.load() if films is None else films
        given = meta
        if simulated and not nothing_to_load(config):
            given = load_meta(config, call.data_dir)
        fill(config, run, shown, given, call.data_dir)

    call.carry_out(config, load_and_fill)


def nothing_to_load(config: SmiSettings) -> bool:
    """Whether learners are another run's, or learn from some of the target's own films."""
    return bool(config.evaluate or config.meta_learner) or config.meta_source == config.target


def target_of(config: SmiSettings, data_dir: str | None) -> Any:
    """The films to read, a `FilmTarget`."""
    return workflows.FilmTarget(
        config.target,
        config.size,
        config.channels,
        config.merge,
        config.cuts,
        (max(config.shots), config.queries),
        workflows.seed_of(config, "target_seed"),
        data_dir,
        config.regions,
        config.key_points,
        config.meta_hands,
    )


def load_meta(config: SmiSettings, data_dir: str | None) -> Any:
    """What to meta-train on: images, an `ImageSet`, or hands, a `FilmSet`."""
    if are_hands(config.meta_source):
        seed = workflows.seeds_of(config).split
        hands = dataclasses.replace(config, target=config.meta_source, target_seed=seed)
        return target_of(hands, data_dir).load_any()
    return mb.load_images(
        config.meta_source,
        size=config.size,
        channels=config.channels,
        data_dir=data_dir,
        seed=workflows.seeds_of(config).split,
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    )


def fill(config: SmiSettings, run: Any, films: Any, meta: Any, data_dir: str | None) -> None:
    """Trains and measures what the run does not hold yet.

    Args:
      config: of the run.
      run: a `training.run.Run`.
      films: the target, a `FilmSet`.
      meta: to meta-train on, an `ImageSet` or a `FilmSet`; None where `nothing_to_load`.
      data_dir: where features are kept.
    """
    ways, learned = len(films.class_names), config.evaluate or config.meta_learner
    seeds = workflows.seeds_of(config)
    if config.meta_source == config.target:
        meta, films = workflows.apart(films, config.meta_share, seeds.split)
        workflows.check_enough_films(films, (max(config.shots), config.queries))
    target, hands = workflows.as_target(films), None
    if learned:
        parts, data = workflows.learned_elsewhere(Path(learned), target, config.target)
        hands = workflows.HandParts(None, None, films)
    elif are_hands(config.meta_source):
        hands, data = workflows.hands_to_learn(meta, films, films_a_task(config, ways), run, config)
        parts = workflows.graded_parts(hands)
    else:
        parts, data = workflows.classes_to_learn(
            meta, target, ways, seeds.split, run, config.pretrained
        )
    run.record_data([{"role": "target", **dataclasses.asdict(films.provenance)}, *data])
    run.results.set(
        seed=config.seed,
        draw_seed=seeds.draw,
        learners=workflows.describe(config),
        class_names=films.class_names,
        region_names=films.region_names,
    )
    reading = workflows.Reading(
        config.shots,
        config.queries,
        config.draws,
        config.pooled,
        config.base_steps,
        config.base_rate,
        config.base_decay,
        seeds.draw,
        config.region_weights,
    )
    for index, own in enumerate(workflows.trainings_of(config)):
        each = run.training(index)
        trained = workflows.learned_folder(learned, index)
        arms = workflows.both_models(
            own,
            parts.train,
            parts.validation,
            target,
            ways=ways,
            run=each,
            features_dir=workflows.features_dir(data_dir),
            trained=trained,
            variants=variants_of(config.models, config.heads, config.sex),
        )
        if hands is not None:
            whole = workflows.film_arms(own, hands, ways=ways, run=each, trained=trained)
            arms = itertools.chain(arms, whole)
        workflows.fill_film_table(arms, run, films, reading, index)
    run.results.finish()


COMMAND = Command(
    "smi",
    "Skeletal maturity from a few hand films a class.",
    __doc__,
    SmiSettings,
    PRESETS,
    main,
    runs=True,
    preset_of=preset_of,
)

if __name__ == "__main__":
    launch(COMMAND)

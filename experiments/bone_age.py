"""Bone age in months from hand radiographs: what transfer learning brings, arm by arm.

A network, or some of its blocks, is trained to tell bone age from whole films, squashed or aligned
by their key points, or from regions along the bones; sex is an input. It begins with random
weights, or with what it learned before from simulated hands, chests, natural images or published
weights. All arms share one split by patient, and the median of the training ages stands in every
table.

  python -m experiments.bone_age
  python -m experiments.bone_age --preset=regions --films=rsna:DIR
  python -m experiments.bone_age --preset=paced --films=rsna:DIR --images=mini_imagenet:DIR
  python -m experiments.bone_age --preset=chest --films=rsna:DIR --chest=chest:DIR \
    --images=mini_imagenet:DIR

Without flags it trains on simulated hands, in minutes on two cores. The network with the lowest
error on the films that steps are chosen on is kept in the run's folder `model`, for `metabone
predict` and `metabone calibrate`.
"""

import dataclasses
from typing import Any

from metabone import workflows
from metabone.commands.command import Call, Command
from metabone.workflows.age_settings import AgeSettings

from .bone_age_settings import PRESETS, check
from .command_line.launch import launch


def main(call: Call) -> None:
    """Trains and measures what the flags describe."""
    config = call.config
    check(config)
    # Files first: what is wrong with them is told before anything is compiled or written.
    films = {view: workflows.load_hands(config, view, call.data_dir) for view in config.views}
    films = workflows.seen_in_all_views(films)
    call.carry_out(config, lambda run: fill(config, run, films, call.data_dir))


def fill(config: AgeSettings, run: Any, films: Any, data_dir: str | None) -> None:
    """Trains and measures what the run does not hold yet.

    Args:
      config: of the run.
      run: a `training.run.Run`.
      films: `AgedFilms` by view.
      data_dir: where prepared records lie.
    """
    run.record_data(
        [
            {"role": "target", "view": view, **dataclasses.asdict(each.provenance)}
            for view, each in films.items()
        ]
    )
    run.results.set(seed=config.seed, test_share=config.test_share)
    for index, own in enumerate(workflows.trainings_of(config)):
        table = workflows.AgeTable(own, run, films, data_dir, index)
        table.fill()
        if index == 0:
            workflows.keep_best(own, run, table)
    run.results.finish()


COMMAND = Command(
    "bone_age",
    "Bone age in months from hand films, by transfer learning.",
    __doc__,
    AgeSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

"""Trains the network that finds the 21 key points of a hand on a film, and measures it.

On simulated films, whose points are known; on real ones whose points people have set, as a COCO
file tells; or on both. Of annotated films a fifth, by hash of the id, is held out to measure on.

  python -m experiments.key_points
  python -m experiments.key_points --preset=real --annotations=FILE.json --films=DIR_OR_ZIP
  python -m experiments.key_points --preset=simulated --annotations=FILE.json --films=DIR_OR_ZIP

Without flags it does so on simulated films, in minutes on two cores. The network is the run's
key_points.safetensors: other commands take it by --key_points=RUN. Where a run is on real films,
that file is made from patients' data; the package's own weights are from simulated films alone.
"""

from typing import Any

from metabone import workflows
from metabone.commands.command import Call, Command

from .command_line.launch import launch
from .key_points_settings import PRESETS, KeyPointSettings, check


def main(call: Call) -> None:
    """Trains the network that the flags describe."""
    config = call.config
    check(config)
    # Files first: what is wrong with them is told before anything is rendered or written.
    hands = workflows.annotated_hands(config.annotations, config.films)
    call.carry_out(config, lambda run: fill(config, run, hands))


def fill(config: KeyPointSettings, run: Any, hands: Any) -> None:
    """Trains on films, `AnnotatedHands` or simulated ones (hands None), and measures on others."""
    drawn = {"simulated": config.simulated_films, "unseen": config.unseen_films}
    films = workflows.parted_films(config.on, hands, **drawn, seed=config.seed)
    run.record_data(films.data)
    run.results.set(seed=config.seed)
    net = workflows.train_key_points(
        films.training,
        steps=config.steps,
        batch_size=config.batch,
        learning_rate=config.rate,
        seed=config.seed,
        checkpoints=run.checkpoints("key_points"),
        metrics=run.metrics,
    )
    workflows.save_point_net(net, run.path / workflows.WEIGHTS)
    workflows.fill_error_rows(run, net, config.on, films.measured)
    run.results.finish()


COMMAND = Command(
    "key_points",
    "The network that finds the key points of hands.",
    __doc__,
    KeyPointSettings,
    PRESETS,
    main,
    runs=True,
)

if __name__ == "__main__":
    launch(COMMAND)

"""What a run that tells bone age depends on, and its presets."""

from metabone.commands.command import Preset
from metabone.workflows.age_settings import AgeSettings, check_ages

_UNMEASURED = "not measured here: the settings of the source, for a machine with accelerators"
_SMALL = dict(network="resnet18", width=0.5, optimizer="adamw", rate=3e-3)
_WINNER = dict(
    network="inception_v3",
    width=1.0,
    size=299,
    head_widths=(1000, 1000),
    head_pool=2,
    batch=16,
    schedule="plateau",
    shift=0.2,
    rotation=20.0,
    zoom=0.2,
    origin_optimizer="adam",
    origin_rate=1e-3,
)
_FLOWS = dict(
    network="xception",
    width=1.0,
    size=299,
    head_widths=(),
    sex_width=0,
    sexes=("unknown", "separate"),
    origins=("published",),
    arms=("head", "blocks", "all", "paced"),
    optimizer="rmsprop",
    rate=1e-3,
    paced_rates=(1e-3, 1e-4, 5e-5, 1e-5, 5e-6),
    loss="mse",
    output="of_240",
    schedule="constant",
    patience=5,
    equal_ages=True,
)

PRESETS = {
    "demo": Preset(
        _SMALL
        | dict(
            size=64,
            width=0.25,
            simulated_films=600,
            steps=300,
            head_widths=(64,),
            origins=("random",),
            arms=("all", "paced"),
            maps=1,
        ),
        takes="minutes on two cores",
        expect="simulated hands: shows that it works, and no more",
    ),
    "regions": Preset(
        dict(
            network="resnet18",
            width=0.25,
            views=("regions", "aligned"),
            test_share=0.2041,
            validation_share=0.03,
            train_films=(0, 200, 50),
            trainings=3,
            optimizer="adamw",
            rate=2e-3,
            batch=16,
            steps=1400,
            most_epochs=40,
            choose="last",
        ),
        takes="16 minutes a training on one core, of three",
        expect="real films: 17.2, 10.1 and 8.1 months from 50, 200 and 768 films by regions",
    ),
    "paced": Preset(
        _SMALL
        | dict(
            views=("aligned",),
            origins=("images",),
            origin_steps=1000,
            arms=("head", "blocks", "all", "paced"),
            paced_rates=(3e-3, 2e-3, 2e-3, 1e-3),
            steps=2000,
            robustness=True,
            maps=3,
        ),
        takes="an hour and a half on a shared core",
        expect="real films: head 28.3, all at once 17.6, paced 16.2 months; median 31.8",
    ),
    "chest": Preset(
        _SMALL
        | dict(
            views=("squashed",),
            size=64,
            width=0.25,
            origins=("random", "chest:0-20", "chest:0-100", "simulated", "images"),
            train_films=(50, 200, 1000, 0),
            trainings=2,
            steps=600,
            most_epochs=60,
            origin_steps=600,
        ),
        takes="half an hour a training on one core, of two",
        expect="real films, one training: chests and simulated hands help at 200 hands alone",
    ),
    "winner_paper": Preset(
        _WINNER | dict(origins=("random",), arms=("all",), optimizer="adam", steps=158_000),
        takes="250 epochs of 10,101 films; a day or more on one accelerator",
        expect=_UNMEASURED,
    ),
    "chest_paper": Preset(
        _WINNER
        | dict(
            origins=("chest:0-20",),
            arms=("last:20", "last:30", "last:50", "last:100"),
            origin_steps=31_000,
            optimizer="sgd",
            rate=1e-4,
            steps=158_000,
        ),
        takes="250 epochs of 10,101 films; a day or more on one accelerator",
        expect=_UNMEASURED,
    ),
    "paced_paper": Preset(
        _FLOWS | dict(batch=16, steps=47_000),
        takes="75 epochs of 10,101 films; a day or more on one accelerator",
        expect=_UNMEASURED,
    ),
}


def check(config: AgeSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_ages(config)

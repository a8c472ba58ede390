"""What a network of key points and its figures depend on."""

import dataclasses
from functools import partial

from metabone.commands.command import Preset
from metabone.errors import InputError
from metabone.workflows.settings import check_choice, check_least, check_positive, setting

_films = partial(setting, theme="Films")
_training = partial(setting, theme="Training")


@dataclasses.dataclass(frozen=True)
class KeyPointSettings:
    """Films, and how the network is trained on them."""

    seed: int = setting(0, "Of everything that is drawn.", "Run")
    on: str = _films("simulated", "Train on simulated, real (annotated) films, or both.")
    annotations: str = _films("", "COCO file of lefthand_kpts and righthand_kpts, by image id.")
    films: str = _films("", "Folder or zip of the annotated films, files named by image id.")
    simulated_films: int = _films(4000, "How many are rendered to train on.")
    unseen_films: int = _films(200, "How many more are rendered to measure on.")
    steps: int = _training(1500, "Minibatches.")
    batch: int = _training(16, "Views of films in one, a half each of real and simulated for both.")
    rate: float = _training(3e-3, "Adam's rate at its highest, falling to nothing.")


PRESETS = {
    "demo": Preset(
        {"simulated_films": 400, "unseen_films": 64, "steps": 400},
        "4 minutes on two cores",
        "simulated films: 0.6 % of hand length, six joints within 5 % on 97 % of hands",
    ),
    "simulated": Preset(
        {"steps": 1200},
        "15 minutes on two cores",
        "the weights of the package; real films: 1.0 % of hand length",
    ),
    "real": Preset(
        {"on": "real"},
        "10 minutes on one core",
        "real films: 0.9 % of hand length on 92 held-out hands of 460",
    ),
}


def check(config: KeyPointSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    check_choice(config, "on", ("simulated", "real", "both"))
    check_least(config, {"seed": 0, "steps": 1, "simulated_films": 1, "unseen_films": 1})
    check_positive(config, ("rate",))
    if config.seed >= 2**32:
        raise InputError(f"--seed={config.seed}: expected less than 2**32")
    if bool(config.annotations) != bool(config.films):
        raise InputError("--annotations and --films: expected both or neither")
    if config.on != "simulated" and not config.films:
        raise InputError(f"--on={config.on}: needs annotated films, --annotations and --films")
    sets = 2 if config.on == "both" else 1
    if config.batch < 1 or config.batch % sets:
        raise InputError(f"--batch={config.batch}: expected a positive multiple of {sets}")

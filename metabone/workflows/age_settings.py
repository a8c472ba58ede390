"""Settings of networks that tell age, and of what they learn before. Imports nothing heavy."""

import dataclasses
from functools import partial
from pathlib import Path

from metabone.datasets.source import are_hands, parse_source
from metabone.errors import InputError
from metabone.workflows.settings import SeedSettings, check_least, check_positive, setting

VIEWS = ("squashed", "aligned", "regions")
SEX_USES = ("input", "separate", "unknown")
ORIGINS = ("random", "simulated", "chest", "images", "published")
ARMS = ("head", "blocks", "all", "paced")
NETWORKS = ("resnet18", "resnet50", "xception", "inception_v3", "conv4")

_films = partial(setting, theme="Films")
_network = partial(setting, theme="Network")
_table = partial(setting, theme="Table")
_origin = partial(setting, theme="What is learned before")
_training = partial(setting, theme="Training")
_reading = partial(setting, theme="What a reader needs")


@dataclasses.dataclass(frozen=True)
class AgeSettings(SeedSettings):
    """Films of hands, the network that tells bone age on them, and how it is trained."""

    films: str = _films(
        "simulated:hands", "Films of hands with bone ages: rsna:DIR, hands:DIR or simulated:hands."
    )
    views: tuple[str, ...] = _films(
        ("squashed",),
        "How a film is seen: squashed to a square; aligned by its key points; cut into regions. Of "
        "several, the mean of their answers is a row too.",
    )
    size: int = _films(96, "Height and width of a whole film, in pixels; regions have 64.")
    regions: str = _films(
        "hand_11", "Regions: hand_11, min_kang_6, fishman_6, rus_13, wrist or carpals."
    )
    key_points: str = _films("", "Run of key-points, or file of its weights; the package's if not.")
    simulated_films: int = _films(1000, "Films of simulated:hands.")
    test_share: float = _films(0.1, "Share of the patients who are only measured on.")
    validation_share: float = _films(0.1, "Share of all patients to choose steps on.")
    train_films: tuple[int, ...] = _table(
        (0,), "Films to learn from and to choose steps on, one row each; 0 for all."
    )
    sexes: tuple[str, ...] = _table(
        ("input",), "Sex as an input, as separate networks, or unknown: input, separate, unknown."
    )
    origins: tuple[str, ...] = _table(
        ("random",),
        "Weights that training begins with: random; simulated, from the ages of simulated hands; "
        "chest, or chest:LOW-HIGH, from the ages in years of --chest; images, from the classes of "
        "--images; published, from --body_weights.",
    )
    arms: tuple[str, ...] = _table(
        ("all",),
        "What is trained: head, the head alone; blocks, as many rows as blocks, each down to that "
        "block at once; all, the whole network; paced, from the top block by block; last:N, the "
        "top N layers that have kernels.",
    )
    network: str = _network("resnet18", "The body: " + ", ".join(NETWORKS) + ".")
    width: float = _network(0.5, "Multiplies its channels.")
    sex_width: int = _network(32, "Nodes of the dense layer of sex.")
    head_widths: tuple[int, ...] = _network((256,), "Nodes of the dense layers before the output.")
    head_pool: int = _network(0, "Pixels a side of the squares that maps are averaged in; 0: all.")
    body_weights: str = _network("", "Published weights of the body, safetensors or Keras .h5.")
    region_filters: int = _network(32, "Filters of the four blocks that read each region.")
    region_pool: str = _network(
        "maps", "What the head sees of a region: all of its last maps, or the mean of each."
    )
    region_widths: tuple[int, ...] = _network((64,), "Nodes over all regions.")
    chest: str = _origin("", "Films of chests with ages, chest:DIR.")
    images: str = _origin("", "Labelled images, such as mini_imagenet:DIR.")
    origin_films: int = _origin(1600, "Films of simulated hands to learn from.")
    origin_steps: int = _origin(2000, "Minibatches of what is learned before.")
    origin_optimizer: str = _origin("adam", "Its optimiser.")
    origin_rate: float = _origin(1e-3, "Its rate.")
    steps: int = _training(3000, "Minibatches of a row; paced shares them out to its stages.")
    most_epochs: int = _training(
        0,
        "How often a row sees each of its films at most, if that is fewer minibatches; 0: no end.",
    )
    batch: int = _training(32, "Films of a minibatch.")
    optimizer: str = _training("adam", "adam, adamw, sgd (momentum 0.9) or rmsprop.")
    rate: float = _training(1e-3, "Its rate at first.")
    paced_rates: tuple[float, ...] = _training(
        (1e-3,), "Rates of the paced stages, from the head down; the last holds for what follows."
    )
    schedule: str = _training(
        "cosine", "Of the rate: cosine; plateau, halved when the loss stays; constant."
    )
    patience: int = _training(
        0, "Validations without gain after which a stage has settled; 0 for all of its steps."
    )
    choose: str = _training(
        "best", "Which state of a stage is kept: best on the validation part, or last."
    )
    validate_every: int = _training(0, "Steps between validations; 0 for a twentieth of a stage.")
    loss: str = _training("mae", "mae, mean absolute error, or mse, of outputs.")
    output: str = _training(
        "standardised", "Outputs are standardised by the training ages, or months / 240: of_240."
    )
    equal_ages: bool = _training(False, "Draw each band of ages as often as any other.")
    flip: bool = _training(True, "Mirror every other film.")
    shift: float = _training(0.1, "Most that a film is moved, as a share of its side.")
    rotation: float = _training(15.0, "Most that it is turned, in degrees.")
    zoom: float = _training(0.15, "Most that it is enlarged or made smaller, as a share.")
    level: float = _reading(0.9, "Share of films that intervals are to hold.")
    robustness: bool = _reading(
        False, "Read the test films again turned, mirrored, dimmed and otherwise changed."
    )
    maps: int = _reading(0, "Best, median and worst films to draw activation maps of, each.")


def check_ages(config: AgeSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    if not are_hands(config.films):
        raise InputError(f"--films={config.films}: expected films of hands, such as rsna:DIR")
    for name, choices in (("views", VIEWS), ("sexes", SEX_USES)):
        _check_some(name, getattr(config, name), choices)
    for name, choices in (
        ("network", NETWORKS),
        ("loss", ("mae", "mse")),
        ("choose", ("best", "last")),
        ("region_pool", ("maps", "mean")),
        ("output", ("standardised", "of_240")),
        ("schedule", ("cosine", "plateau", "constant")),
        ("optimizer", ("adam", "adamw", "sgd", "rmsprop")),
        ("origin_optimizer", ("adam", "adamw", "sgd", "rmsprop")),
    ):
        if getattr(config, name) not in choices:
            raise InputError(
                f"--{name}={getattr(config, name)}: expected one of {', '.join(choices)}"
            )
    _check_some("origins", config.origins)
    for origin in config.origins:
        _check_origin(config, origin)
    _check_some("arms", config.arms)
    for arm in config.arms:
        kind, _, count = arm.partition(":")
        if arm not in ARMS and not (kind == "last" and count.isdecimal() and int(count) > 0):
            raise InputError(f"--arms={arm}: expected some of {', '.join(ARMS)}, or last:N")
    least = dict.fromkeys(("steps", "batch", "origin_steps", "origin_films", "trainings"), 1)
    check_least(config, least | {"size": 32, "simulated_films": 24, "sex_width": 0, "maps": 0})
    check_least(
        config,
        {"head_pool": 0, "patience": 0, "most_epochs": 0, "validate_every": 0, "region_filters": 1},
    )
    check_positive(config, ("rate", "origin_rate", "width"))
    if not config.paced_rates or min(config.paced_rates) <= 0:
        raise InputError("--paced_rates: expected numbers above 0")
    if not config.train_films or min(config.train_films) < 0:
        raise InputError("--train_films: expected numbers of films, or 0 for all")
    if not 0.5 <= config.level < 1:
        raise InputError(f"--level={config.level:g}: expected at least 0.5 and below 1")
    for name, most in (("shift", 0.5), ("rotation", 180.0), ("zoom", 0.5)):
        if not 0 <= getattr(config, name) <= most:
            raise InputError(f"--{name}={getattr(config, name):g}: expected 0 to {most:g}")


def ages_of(origin: str) -> tuple[float, float]:
    """The years of `chest:LOW-HIGH`; 0 to 100 of `chest` alone.

    >>> ages_of("chest:0-20")
    (0.0, 20.0)
    """
    _, _, years = origin.partition(":")
    low, _, high = years.partition("-")
    return (float(low), float(high)) if years else (0.0, 100.0)


def _check_origin(config: AgeSettings, origin: str) -> None:
    kind, _, years = origin.partition(":")
    if kind not in ORIGINS or (years and kind != "chest"):
        raise InputError(
            f"--origins={origin}: expected some of {', '.join(ORIGINS)}, or chest:LOW-HIGH"
        )
    if kind == "chest":
        try:
            low, high = ages_of(origin)
        except ValueError:
            raise InputError(f"--origins={origin}: expected chest:LOW-HIGH, in years") from None
        if not 0 <= low < high:
            raise InputError(f"--origins={origin}: expected a lower and a higher age in years")
        if parse_source(config.chest or "chest:").kind != "chest":
            raise InputError(f"--chest={config.chest}: expected chest:DIR")
    if kind == "images" and not config.images:
        raise InputError("--origins=images: needs --images, such as mini_imagenet:DIR")
    if kind == "published" and not Path(config.body_weights or "-").is_file():
        raise InputError(
            f"--body_weights={config.body_weights}: --origins=published needs a file that is there"
        )
    if kind != "random" and "regions" in config.views and kind != "simulated":
        raise InputError(f"--origins={origin}: regions of films begin random or simulated")


def _check_some(name: str, given: tuple[str, ...], choices: tuple[str, ...] | None = None) -> None:
    known = given if choices is None else choices
    if not given or not set(given) <= set(known) or len(set(given)) < len(given):
        some = "names" if choices is None else f"ones of {', '.join(choices)}"
        raise InputError(f"--{name}={','.join(given)}: expected different {some}")

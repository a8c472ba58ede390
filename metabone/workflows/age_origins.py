"""Where the weights of a network that tells age come from: chance, other ages, other classes."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.datasets.fingerprints import image_fingerprints
from metabone.datasets.images import Images
from metabone.datasets.memory import choose
from metabone.datasets.source import open_images
from metabone.errors import InputError
from metabone.nets.age_net import age_net
from metabone.nets.film_nets import over_regions
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.regression_bodies import body_of, published_body
from metabone.nets.trainable_blocks import blocks_of, mask_of, top_layers
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import OF_240, fit_scale
from metabone.training.film_augmentation import moved_films
from metabone.training.run import Run
from metabone.workflows.age_parts import AgeParts, check_unseen, part_films
from metabone.workflows.age_settings import AgeSettings, ages_of
from metabone.workflows.age_views import load_aged
from metabone.workflows.backbones import pretrain, seen_fingerprints, without_head
from metabone.workflows.film_learners import jittered
from metabone.workflows.fit_regressor import OPTIMIZERS, Recipe, Stage, fit_regressor
from metabone.workflows.networks import cosine_adam
from metabone.workflows.seeds import seeds_of

_OTHER_HANDS = 1000  # of the seed, so that they are none of those that are measured on


class AgeNetwork(NamedTuple):
    """A network for one view of films.

    Attributes:
      name: of its body, as `nets.trainable_blocks` knows it.
      body: what its maps come from.
      network: the body under its head.
      image_shape: of what it takes, with the row of sex.
    """

    name: str
    body: Network
    network: Network
    image_shape: tuple[int, ...]


def network_of(config: AgeSettings, films: AgedFilms, sex_use: str, published: bool) -> AgeNetwork:
    """The network that settings ask for.

    Args:
      config: of the run.
      films: of the view that it reads.
      sex_use: whether the head looks at sex.
      published: whether its body is that of `--body_weights`, which changes what it does with grey
        levels.
    """
    *before, height, width, channels = films.images.shape[1:]
    shape = (*before, height + 1, width, channels)
    sex_width = config.sex_width if sex_use == "input" else 0
    if before:
        body = conv_net(0, filters=config.region_filters)
        whole = over_regions(body, before[0], average=config.region_pool == "mean")
        network = age_net(whole, sex_width=sex_width, widths=config.region_widths)
        return AgeNetwork("conv4", body, network, shape)
    if published:
        body, _, _ = published_body(config.network, config.body_weights, width=config.width)
    else:
        body = body_of(config.network, width=config.width, size=height)
    pool = config.head_pool or "mean"
    network = age_net(body, sex_width=sex_width, widths=config.head_widths, pool=pool)
    return AgeNetwork(config.network, body, network, shape)


class Origins:
    """Weights that training begins with, learned once a training and view.

    Args:
      config: of the training.
      tests: what is measured on, by view; no origin may learn from it.
      run: of the training; keeps checkpoints.
      data_dir: where prepared records lie.
    """

    def __init__(
        self, config: AgeSettings, tests: dict[str, AgedFilms], run: Run, data_dir: str | None
    ):
        self._config, self._tests, self._run, self._dir = config, tests, run, data_dir
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._seen: dict[tuple[str, str], AgeParts | Images | None] = {}

    def look(self, origin: str, view: str) -> AgeParts | Images | None:
        """Reads what an origin learns from, once, so that it can be done before any training.

        Args:
          origin: of the settings' `origins`.
          view: of the settings' `views`.

        Returns:
          Films in parts, images of classes, or None for an origin that learns from nothing.

        Raises:
          InputError: it cannot be read, is too little, or holds films that are measured on.
        """
        kind, _, _ = origin.partition(":")
        key = (origin, "" if kind == "images" else view)
        if key not in self._seen:
            match kind:
                case "images":
                    self._seen[key] = self._images()
                case "simulated" | "chest":
                    self._seen[key] = self._parts(origin, view)
                case _:
                    self._seen[key] = None
            self._record(origin, self._seen[key])
        return self._seen[key]

    def _record(self, origin: str, seen: AgeParts | Images | None) -> None:
        if seen is not None:
            source = seen.train.provenance if isinstance(seen, AgeParts) else seen.provenance
            results = self._run.results
            results.set(origins=results.get("origins", {}) | {origin: dataclasses.asdict(source)})

    def start(self, origin: str, view: str, made: AgeNetwork, sex_use: str) -> tuple[Any, Any]:
        """Parameters and statistics at first.

        Args:
          origin: of the settings' `origins`.
          view: of the settings' `views`.
          made: the network; its head is new, unless the origin tells age too.
          sex_use: as the network was made for.

        Raises:
          InputError: the origin cannot be had.
        """
        key = (origin, view, sex_use)
        if key not in self._known:
            self._known[key] = self._learn(origin, view, made, sex_use)
        return self._known[key]

    def _learn(self, origin: str, view: str, made: AgeNetwork, sex_use: str) -> tuple[Any, Any]:
        config, (kind, _, _) = self._config, origin.partition(":")
        first = made.network.init(jax.random.key(seeds_of(config).train), made.image_shape)
        match kind:
            case "random":
                return first
            case "published":
                _, params, stats = published_body(
                    config.network, config.body_weights, width=config.width
                )
                return {**params, "head": first[0]["head"]}, stats
            case "images":
                return self._on_classes(made, first, self.look(origin, view))
        parts = self.look(origin, view)
        if sex_use != "input":
            parts = AgeParts(*(part.without_sex() for part in parts))
        return self._on_ages(origin, view, made, first, parts, sex_use)

    def _parts(self, origin: str, view: str) -> AgeParts:
        films = self._other_ages(origin, view)
        check_unseen(films, self._tests[view], origin)
        # Few films give a larger share, so that steps are not chosen on a handful.
        share = min(0.3, max(0.1, 10 / len(set(films.patients.tolist()))))
        return part_films(films, test=share, validation=share, seed=seeds_of(self._config).split)

    def _other_ages(self, origin: str, view: str) -> AgedFilms:
        config = self._config
        own = dict(size=config.size, regions=config.regions, key_points=config.key_points)
        if origin == "simulated":
            seed = (seeds_of(config).split + _OTHER_HANDS) % 2**32
            hands = dict(seed=seed, hands=config.origin_films)
            return load_aged("simulated:hands", view=view, data_dir=self._dir, **own, **hands)
        # A chest has no key points: it is squashed, however hands are seen.
        return load_aged(
            config.chest, view="squashed", data_dir=self._dir, ages=ages_of(origin), **own
        )

    def _on_ages(
        self,
        origin: str,
        view: str,
        made: AgeNetwork,
        first: tuple[Any, Any],
        parts: AgeParts,
        sex_use: str,
    ) -> tuple[Any, Any]:
        config = self._config
        scale = OF_240 if config.output == "of_240" else fit_scale(parts.train.months)
        name = f"origin_{origin.replace(':', '_')}_{view}_{sex_use}"
        stage = Stage(
            name,
            mask_of(first[0], blocks_of(made.name, first[0])),
            config.origin_optimizer,
            config.origin_rate,
            config.origin_steps,
        )
        fitted = fit_regressor(
            made.network,
            first,
            parts,
            [stage],
            recipe_of(config, view, len(parts.train)),
            scale,
            seed=seeds_of(config).train,
            run=self._run,
        )
        return fitted.params, fitted.norm_stats

    def _images(self) -> Images:
        config = self._config
        images = open_images(
            config.images,
            size=config.size,
            channels=1,
            data_dir=self._dir,
            seed=seeds_of(config).split,
        )
        choice = choose(len(images), config.size, 1)
        print(f"{config.images}: {choice.reason}", file=sys.stderr)
        images = images if choice.stream else images.whole()
        learned = {*seen_fingerprints(images)}
        for view, films in self._tests.items():
            if view != "regions" and learned & {*image_fingerprints(films.images)}:
                raise InputError(
                    f"{config.images}: holds a film that is measured on; --origins=images must be "
                    "of other images"
                )
        return images

    def _on_classes(
        self, made: AgeNetwork, first: tuple[Any, Any], images: Images
    ) -> tuple[Any, Any]:
        config = self._config
        classes = with_head(made.body, len(images.class_names), average=True)
        steps = config.origin_steps
        optimizer = cosine_adam(config.origin_rate, steps, 0.02, 1e-3)
        trained = pretrain(
            classes,
            images,
            steps=steps,
            optimizer=optimizer,
            flip=True,
            seed=seeds_of(config).train,
            run=self._run,
        ).best_state
        body = without_head(trained.params)
        return {**body, "head": first[0]["head"]}, trained.norm_stats


def recipe_of(config: AgeSettings, view: str, films: int) -> Recipe:
    """How networks are trained on a view.

    Args:
      config: of the run.
      view: regions are moved by pixels, whole films as the settings say.
      films: to learn from.
    """
    return Recipe(
        batch=min(config.batch, films),
        loss=config.loss,
        schedule=config.schedule,
        validate_every=config.validate_every,
        patience=config.patience,
        choose=config.choose,
        equal_ages=config.equal_ages,
        augment=_augmentation(config, view),
    )


def _augmentation(
    config: AgeSettings, view: str
) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
    if view == "regions":
        return jittered
    if not (config.flip or config.shift or config.rotation or config.zoom):
        return None

    def moved(key, images):
        return moved_films(
            key,
            images,
            shift=config.shift,
            rotation=config.rotation,
            zoom=config.zoom,
            flip=config.flip,
        )

    return moved


def stages_of(
    config: AgeSettings, arm: str, name: str, made: AgeNetwork, params: Any, films: int
) -> Sequence[tuple[str, list[Stage]]]:
    """The rows of an arm and the stages of each.

    Args:
      config: of the run.
      arm: of the settings' `arms`.
      name: of the row without its arm, for checkpoints.
      made: the network.
      params: of it, of any values.
      films: to learn from.

    Returns:
      For each row its arm's name and stages: one but for `paced`.

    Raises:
      InputError: an unknown optimiser, more layers than there are.
    """
    if config.optimizer not in OPTIMIZERS:
        raise InputError(f"--optimizer={config.optimizer}: expected one of {', '.join(OPTIMIZERS)}")
    blocks = blocks_of(made.name, params)
    most = config.most_epochs * films // config.batch if config.most_epochs else config.steps
    all_steps = max(len(blocks), min(config.steps, most))

    def stage(label: str, mask: Any, rate: float, steps: int) -> Stage:
        return Stage(f"{label}_{name}".replace(" ", "_"), mask, config.optimizer, rate, steps)

    def at_once(label: str, mask: Any) -> tuple[str, list[Stage]]:
        return label, [stage(label, mask, config.rate, all_steps)]

    kind, _, count = arm.partition(":")
    match kind:
        case "head":
            return [at_once("head", mask_of(params, blocks[:1]))]
        case "all":
            return [at_once("all", mask_of(params, blocks))]
        case "blocks":
            down_to = range(2, len(blocks))
            return [
                at_once(f"block {blocks[n - 1].name}", mask_of(params, blocks[:n])) for n in down_to
            ]
        case "last":
            mask = mask_of(params, top_layers(made.name, params, int(count)))
            return [at_once(f"last {count} layers", mask)]
    each = np.full(len(blocks), all_steps // len(blocks))
    # What is left over goes to the last stage, which trains the whole network.
    each[-1] += all_steps - each.sum()
    rates = [*config.paced_rates, *config.paced_rates[-1:] * len(blocks)]
    return [
        (
            "paced",
            [
                stage(f"paced {block.name}", mask_of(params, blocks[: n + 1]), rate, int(steps))
                for n, (block, rate, steps) in enumerate(zip(blocks, rates, each, strict=False))
            ],
        )
    ]

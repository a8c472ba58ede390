"""Learners that read all regions of a film at once: one network over the regions, one answer."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.datasets.graded import sex_of
from metabone.episodes.graded import GradedStore, graded_store
from metabone.episodes.sampling import scale
from metabone.episodes.store import ImageStore, build_store
from metabone.learners import roles
from metabone.learners.base import MetaLearner
from metabone.learners.embedding import protonet, r2d2
from metabone.learners.maml import maml
from metabone.learners.ordinal import ordinal_head, score_and_cuts
from metabone.nets.film_nets import over_regions
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.nets.stored_features import stored_features
from metabone.radiograph.films import FilmSet
from metabone.radiograph.sex import with_sex_row
from metabone.training.checkpoints import load_checkpoint
from metabone.training.loop import train
from metabone.training.run import Run
from metabone.training.supervised import SupervisedState, supervised_state, supervised_step
from metabone.workflows.arms import Arm, trained_meta_params
from metabone.workflows.backbones import without_head
from metabone.workflows.film_data import HandParts
from metabone.workflows.film_settings import FilmNetSettings
from metabone.workflows.meta_training import Outer, TaskSizes, meta_train_on
from metabone.workflows.networks import cosine_adam
from metabone.workflows.seeds import seeds_of

# Key points are right to a percent of hand length, a few pixels of a region.
_JITTER = 3
_AT_ONCE = 32


def film_arms(
    config: FilmNetSettings,
    parts: HandParts,
    *,
    ways: int,
    run: Run,
    trained: Path | None = None,
) -> Iterator[Arm]:
    """Yields learners of whole films, each trained on films of other hands.

    Args:
      config: of the networks and their training, and which learners.
      parts: whose films have bone ages and sex; those to learn from are None where `trained` has
        learned.
      ways: classes of a task.
      run: keeps checkpoints and metrics.
      trained: folder of a run whose learners are taken.
    """
    made = _FilmArms(config, parts, ways, run, trained)
    for name in config.film_learners:
        yield made.arm(name)


def film_network(
    config: FilmNetSettings, regions: int, outputs: int, *, ordinal: bool = False
) -> Network:
    """Four blocks on each region, the means of their maps and sex side by side, then a head.

    Args:
      config: its sizes.
      regions: of a film.
      outputs: classes; 1 for a score, 0 for the features that a head would see.
      ordinal: whether classes are ordered.
    """
    body = over_regions(conv_net(0, filters=config.film_filters), regions, average=True)
    beside = config.film_sex_weight
    return with_head(body, outputs, config.film_hidden, ordinal=ordinal, beside=beside)


class _FilmArms:
    def __init__(
        self, config: FilmNetSettings, parts: HandParts, ways: int, run: Run, trained: Path | None
    ):
        self._config, self._ways, self._run, self._trained = config, ways, run, trained
        self._sizes = TaskSizes(ways, config.film_shots, config.film_queries)
        target = parts.target
        pictures = with_sex_row(target.regions, sex_of(target))
        self._shape = pictures.shape[1:]
        self._target: ImageStore = jax.device_put(
            build_store(pictures, target.classes, groups=target.patients)
        )
        self._scored: SupervisedState | None = None
        if trained is None:
            self._months = parts.train.bone_age_months
            self._stores = {
                "train": self._graded(parts.train),
                "validation": self._graded(parts.validation),
            }

    def _graded(self, films: FilmSet) -> GradedStore:
        least = self._sizes.ways * (self._sizes.shots + self._sizes.queries)
        pictures, grades = with_sex_row(films.regions, sex_of(films)), films.bone_age_months
        return graded_store(pictures, grades, groups=films.patients, at_least=least)

    def arm(self, name: str) -> Arm:
        """One learner by its name in `film_settings.FILM_LEARNERS`."""
        network = self._network(self._ways)
        if name.startswith("supervised"):
            learner, store, whole = *self._supervised(name), False
            params = learner.init(jax.random.key(0), store.images.shape[2:])

            def training() -> Any:
                return params
        else:
            learner, store, whole = self._learner(name), self._target, True
            training = partial(self._meta_train, name, learner)
        arm = Arm("all regions, sex", network, learner, training, None, store)
        return arm._replace(learning=name.replace("_", " "), base=False, ordered=True, whole=whole)

    def _network(self, outputs: int, *, ordinal: bool = False) -> Network:
        return film_network(self._config, self._shape[0], outputs, ordinal=ordinal)

    def _learner(self, name: str) -> MetaLearner:
        config = self._config
        if name == "protonet":
            return protonet(self._network(0), self._ways)
        if name == "r2d2":
            return r2d2(self._network(0), self._ways)
        if name == "score_and_cuts":
            return score_and_cuts(self._network(1), self._ways)
        head = name.startswith("anil")
        return maml(
            self._network(self._ways, ordinal=name.endswith("ordinal")),
            inner_rate=config.film_inner_rate,
            inner_steps=config.film_inner_steps,
            test_steps=config.film_test_steps,
            order=2 if head else 1,
            roles=roles.head_adapts if head else roles.everything,
            learn_rates=True,
            remat=not head,
        )

    def _meta_train(self, name: str, learner: MetaLearner) -> Any:
        config = self._config
        outer = Outer(
            cosine_adam(config.film_rate, config.film_tasks, 0.05),
            config.film_tasks,
            config.film_batch,
            clip=1.0,
            mapping="overlap" if config.film_batch > 1 else "scan",
            validate_every=config.film_validate_every,
            validation_tasks=20,
            seed=seeds_of(config).train,
        )
        if self._trained is not None:
            return trained_meta_params(learner, self._trained, f"film_{name}", self._shape, outer)
        trained = meta_train_on(
            learner,
            self._stores,
            self._sizes,
            outer,
            augment=jittered,
            run=self._run,
            phase=f"film_{name}",
        )
        return trained.best_state.meta_params

    def _supervised(self, name: str) -> tuple[MetaLearner, ImageStore]:
        """Bone age learned by ordinary training; a task sees what that makes of each film."""
        score, body = self._network(1), self._network(0)
        state = self._score(score)
        network, params, strength = score, state.params, 1e-3
        if name == "supervised_linear":
            network, strength = body, 1e-2
            params = _of_body(body, state.params, self._shape)
        told = jax.jit(
            lambda films: network.apply(params, state.norm_stats, scale(films), False)[0]
        )
        films = np.asarray(self._target.images)
        starts = range(0, len(films), _AT_ONCE)
        found = np.concatenate([told(films[at : at + _AT_ONCE]) for at in starts])
        # As if of one region: a film is one example.
        store = jax.device_put(self._target._replace(images=found[:, None]))
        return ordinal_head(stored_features(), self._ways, strength=strength), store

    def _score(self, network: Network) -> SupervisedState:
        """A network that tells bone age, standardised, trained once for all that stand on it."""
        if self._scored is not None:
            return self._scored
        config = self._config
        optimizer = cosine_adam(config.film_rate, config.film_steps, 0.01, 1e-3)
        params, stats = network.init(jax.random.key(seeds_of(config).train), self._shape)
        start = supervised_state(params, stats, optimizer)
        if self._trained is not None:
            folder = self._trained / "checkpoints" / "film_supervised"
            self._scored = load_checkpoint(folder, start).state
            return self._scored
        months = np.asarray(self._months, np.float32)
        step = supervised_step(
            network.apply,
            optimizer,
            _distance,
            scale,
            batch_size=min(config.film_minibatch, len(months)),
            augment=jittered,
            clip=1.0,
        )
        pictures = jnp.asarray(self._stores["train"].images)
        self._scored = train(
            step,
            start,
            (pictures, jnp.asarray((months - months.mean()) / months.std())),
            steps=config.film_steps,
            seed=seeds_of(config).train,
            checkpoints=self._run.checkpoints("film_supervised"),
            metrics=self._run.metrics,
            phase="film_supervised",
        ).state
        return self._scored


def _of_body(body: Network, params: Any, shape: Sequence[int]) -> Any:
    """Those parameters that a network without its last layer has."""
    wanted = jax.eval_shape(lambda key: body.init(key, tuple(shape))[0], jax.random.key(0))
    kept = {**without_head(params)}
    if "head" in wanted:
        kept["head"] = {name: params["head"][name] for name in wanted["head"]}
    return kept


def _distance(outputs: jax.Array, grades: jax.Array) -> jax.Array:
    return jnp.abs(outputs[:, 0] - grades).mean()


def jittered(key: jax.Array, films: jax.Array) -> jax.Array:
    """Moves each region by up to three pixels, as key points may be off by.

    Args:
      key: typed PRNG key.
      films: `[n, R, H + 1, W, C]` float32, the last row of which stays where it is.

    Returns:
      The same shape; edges are repeated.
    """
    pictures, row = films[..., :-1, :, :], films[..., -1:, :, :]
    count, regions, height, width, _ = pictures.shape
    room = ((0, 0), (_JITTER, _JITTER), (_JITTER, _JITTER), (0, 0))
    flat = jnp.pad(pictures.reshape(-1, *pictures.shape[2:]), room, mode="edge")
    at = jax.random.randint(key, (count * regions, 2), 0, 2 * _JITTER + 1)
    size = (height, width, pictures.shape[-1])
    moved = jax.vmap(lambda image, first: jax.lax.dynamic_slice(image, (*first, 0), size))(flat, at)
    return jnp.concatenate([moved.reshape(pictures.shape), row], axis=-3)

"""Key points of hands: a network trained on films whose points are known, and films read by it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.errors import InputError
from metabone.nets.heat_map_net import heat_map_net
from metabone.nets.network import NormStats, Params
from metabone.radiograph.hand_views import PointedFilms, draw_view
from metabone.radiograph.heat_maps import heat_map_loss
from metabone.radiograph.landmarks import POINTS
from metabone.training.checkpoints import Checkpoints
from metabone.training.loop import train
from metabone.training.meta import clip_gradient
from metabone.training.randomness import base_key
from metabone.training.supervised import SupervisedState, epoch_batch, supervised_state
from metabone.training.writers import MetricsWriter

NET = heat_map_net(POINTS)
"""The network of all key points."""

_VIEWS = 2  # a stream of the seed beside the order of films
_NORM_MOMENTUM = 0.98


class PointNet(NamedTuple):
    """What reads key points: the weights of `heat_map_net(21)`.

    Attributes:
      params: of the network.
      norm_stats: its smoothed statistics.
    """

    params: Params
    norm_stats: NormStats


def key_point_step(
    optimizer: optax.GradientTransformation, *, batch_size: int, clip: float = 1.0
) -> Callable[[SupervisedState, Any, jax.Array, jax.Array], tuple[SupervisedState, dict]]:
    """Builds the step that trains the network on views of films, drawn anew each time.

    Its `data` is a tuple of `PointedFilms`; each of them gives an equal share of every batch,
    however many films it has.

    Args:
      optimizer: the optimiser.
      batch_size: views a step.
      clip: largest global norm of the gradient.

    Returns:
      A step for `train` with the metrics `loss` and `gradient_norm`.
    """

    def step(state, data, seed, index):
        share = batch_size // len(data)
        parts = []
        for films in data:
            chosen = epoch_batch(seed, index, films.images.shape[0], share)
            parts.append(jax.tree.map(lambda leaf, at=chosen: leaf[at], films))
        batch = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        key = jax.random.fold_in(jax.random.fold_in(base_key(seed), _VIEWS), index)
        views, points = jax.vmap(draw_view)(jax.random.split(key, share * len(data)), *batch)

        def objective(params):
            maps, batch_stats = NET.apply(params, state.norm_stats, views[..., None], True)
            # A cell is two pixels, and its middle lies between them.
            return heat_map_loss(maps, 0.5 * points - 0.25), batch_stats

        (loss, batch_stats), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradient)}
        updates, opt_state = optimizer.update(
            clip_gradient(gradient, clip), state.opt_state, state.params
        )
        norm_stats = jax.tree.map(
            lambda kept, seen: _NORM_MOMENTUM * kept + (1.0 - _NORM_MOMENTUM) * seen,
            state.norm_stats,
            batch_stats,
        )
        params = optax.apply_updates(state.params, updates)
        return SupervisedState(params, norm_stats, opt_state), metrics

    return step


def train_key_points(
    data: Sequence[PointedFilms],
    *,
    steps: int = 1800,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    metrics: MetricsWriter | None = None,
    progress: bool = True,
) -> PointNet:
    """Trains a network that finds the 21 points of a hand, whatever way its film came.

    Args:
      data: films with their points: annotated ones, simulated ones, or both.
      steps: how many; the default takes a quarter of an hour on two cores.
      batch_size: views a step, a multiple of the number of sets in `data`.
      learning_rate: of Adam at its highest, after a short rise; it falls to zero by a cosine.
      seed: of the weights, the order of films and their views.
      checkpoints: where the state is kept, from which training continues; None for nowhere.
      metrics: where metrics are written.
      progress: whether to report on stderr.

    Returns:
      The network's weights.

    Raises:
      InputError: no data, or a set with fewer films than its share of a batch.
    """
    data = tuple(data)
    if not data or batch_size % len(data) or batch_size < 1:
        raise InputError(f"batch size (={batch_size}): expected a multiple of {len(data)} sets")
    schedule = optax.warmup_cosine_decay_schedule(
        0.1 * learning_rate, learning_rate, min(100, max(1, steps // 10)), steps
    )
    optimizer = optax.adam(schedule)
    params, norm_stats = NET.init(jax.random.key(seed), (32, 32, 1))
    result = train(
        key_point_step(optimizer, batch_size=batch_size),
        supervised_state(params, norm_stats, optimizer),
        data,
        steps=steps,
        seed=seed,
        checkpoints=checkpoints,
        metrics=metrics,
        phase="key points",
        progress=progress,
    )
    return PointNet(*jax.tree.map(np.asarray, (result.state.params, result.state.norm_stats)))

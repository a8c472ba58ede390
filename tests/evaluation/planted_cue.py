"""Films with a cue at a known place, and a network that learned to tell it, in seconds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.nets.network import Network
from metabone.nets.networks import conv_net

_BOX, _CELLS = 8, 3
SIDE = _BOX * _CELLS
_STEPS = 150


class Planted(NamedTuple):
    """A network of two outputs, and films that it has not seen, each with the cue.

    Attributes:
      network: output 0 is the logit of the cue's presence, output 1 how bright it is.
      params: learned.
      norm_stats: learned.
      images: `[n, SIDE, SIDE, 1]` float32.
      goals: `[n, 2]` float32.
      boxes: `[n, 4]` where the cue is.
    """

    network: Network
    params: dict
    norm_stats: dict
    images: np.ndarray
    goals: np.ndarray
    boxes: np.ndarray


def learned_cue() -> Planted:
    """Trains it.

    The cue is a bright horizontal bar. Beside it stand a bright vertical, a dark horizontal and a
    dark vertical one, which random weights favour as often as the cue: to transpose or to negate
    what the first layer sees leaves their distribution as it is.
    """
    images, goals, _ = _films(np.random.default_rng(0), 1000)
    network = conv_net(2, blocks=3, filters=8, halvings=2, average=True)
    params, stats = drawn(network, 0)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, _STEPS))

    @jax.jit
    def step(carry, images, goals):
        params, stats, state = carry

        def loss(params):
            outputs, seen = network.apply(params, stats, images, True)
            there = optax.sigmoid_binary_cross_entropy(outputs[:, 0], goals[:, 0]).mean()
            return there + 2 * jnp.abs(outputs[:, 1] - goals[:, 1]).mean(), seen

        gradient, seen = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state, params)
        stats = jax.tree.map(lambda kept, seen: 0.9 * kept + 0.1 * seen, stats, seen)
        return optax.apply_updates(params, updates), stats, state

    carry = params, stats, optimizer.init(params)
    rng = np.random.default_rng(2)
    for _ in range(_STEPS):
        rows = rng.integers(0, len(images), 32)
        carry = step(carry, images[rows], goals[rows])
    images, goals, boxes = _films(np.random.default_rng(1), 160)
    there = goals[:, 0] == 1
    return Planted(network, carry[0], carry[1], images[there], goals[there], boxes[there])


def drawn(network: Network, seed: int) -> tuple[dict, dict]:
    """Parameters and statistics before any training."""
    return jax.jit(network.init, static_argnums=1)(jax.random.key(seed), (SIDE, SIDE, 1))


def _films(rng, count):
    images = rng.normal(0, 0.1, (count, SIDE, SIDE, 1)).astype(np.float32)
    there = rng.integers(0, 2, count)
    bright = rng.uniform(0.4, 1.0, (count, 4))
    boxes = np.zeros((count, 4), int)
    for film in range(count):
        for mark, cell in enumerate(rng.permutation(_CELLS**2)[:4]):
            form = mark if mark or there[film] else rng.integers(1, 4)
            top, left = _BOX * np.array(divmod(cell, _CELLS))
            if mark == 0:
                boxes[film] = top, left, top + _BOX, left + _BOX
            box = images[film, top : top + _BOX, left : left + _BOX, 0]
            grey = bright[film, mark] * (1 if form < 2 else -1)
            if form % 2 == 0:
                box[3:5, 1:7] += grey
            else:
                box[1:7, 3:5] += grey
    return images, np.stack([there, there * bright[:, 0]], -1).astype(np.float32), boxes

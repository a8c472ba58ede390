"""Heat maps of key points: what a network is taught, and how its maps are read."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

TARGET_SIGMA = 1.2
"""Standard deviation in cells of the Gaussian that maps are taught to be."""

# Of the bell through which a peak is looked at; it is moved onto what it sees, which after as many
# rounds is no longer where it started.
_WINDOW_SIGMA = 2.5
_ROUNDS = 4


class Reading(NamedTuple):
    """Points read from maps, in cells of the maps.

    Attributes:
      points: `[..., P, 2]` float32 `(x, y)`.
      spread: `[..., P]` float32, root of the mean squared distance of the map's mass from the
        point: how unsure the map is.
    """

    points: jax.Array
    spread: jax.Array


def heat_map_loss(logits: jax.Array, points: jax.Array, sigma: float = TARGET_SIGMA) -> jax.Array:
    """Cross-entropy between each map's softmax over places and a Gaussian around its point.

    Args:
      logits: `[n, H, W, P]`.
      points: `[n, P, 2]` float32 `(x, y)` cells; a point off the map counts for nothing.
      sigma: standard deviation of the Gaussian in cells.

    Returns:
      `[]` float32, the mean over points that are on their map, less what the Gaussian's own
      entropy leaves in any case.
    """
    height, width = logits.shape[1:3]

    def along(size: int, at: jax.Array) -> jax.Array:
        cells = jnp.arange(size, dtype=jnp.float32)
        bell = jnp.exp(-0.5 * ((cells[None, :, None] - at[:, None, :]) / sigma) ** 2)
        return bell / jnp.maximum(bell.sum(axis=1, keepdims=True), 1e-9)

    # The Gaussian is a product of two, so its maps are never stored.
    across, down = along(width, points[..., 0]), along(height, points[..., 1])
    normaliser = jax.nn.logsumexp(logits, axis=(1, 2))
    meant = jnp.einsum("nhwp,nhp,nwp->np", logits, down, across)
    entropy = -sum((bell * jnp.log(bell + 1e-12)).sum(axis=1) for bell in (across, down))
    inside = (points >= 0) & (points <= jnp.asarray([width - 1, height - 1], jnp.float32))
    counted = inside.all(axis=-1).astype(jnp.float32)
    loss = (normaliser - meant - entropy) * counted
    return loss.sum() / jnp.maximum(counted.sum(), 1.0)


def read_heat_maps(logits: jax.Array) -> Reading:
    """Reads each map: the mean of its mass around the peak.

    Args:
      logits: `[n, H, W, P]`.

    Returns:
      A `Reading` of `[n, P]` points.
    """
    count, height, width, points = logits.shape
    flat = logits.reshape(count, height * width, points)
    mass = jax.nn.softmax(flat, axis=1)
    x = jnp.tile(jnp.arange(width, dtype=jnp.float32), height)[None, :, None]
    y = jnp.repeat(jnp.arange(height, dtype=jnp.float32), width)[None, :, None]
    peak = jnp.argmax(flat, axis=1)
    at_x, at_y = (peak % width).astype(jnp.float32), (peak // width).astype(jnp.float32)
    for _ in range(_ROUNDS):
        away = (x - at_x[:, None]) ** 2 + (y - at_y[:, None]) ** 2
        near = mass * jnp.exp(-0.5 * away / _WINDOW_SIGMA**2)
        near = near / near.sum(axis=1, keepdims=True)
        at_x, at_y = (near * x).sum(axis=1), (near * y).sum(axis=1)
    away = (x - at_x[:, None]) ** 2 + (y - at_y[:, None]) ** 2
    return Reading(jnp.stack([at_x, at_y], axis=-1), jnp.sqrt((mass * away).sum(axis=1)))

"""Several crops of an image, of which a network's outputs are averaged."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metabone.nets.network import Apply, Network, NormStats, Params

CROPS = (1, 5, 10)
"""How many crops there can be: the whole image; its corners and its middle; these and mirrored."""

_SHARE = 0.875


def whole_size(size: int, crops: int) -> int:
    """Pixels a side of an image of which crops of `size` pixels a side are looked at.

    Example:
      >>> whole_size(224, 1), whole_size(224, 5)
      (224, 256)
    """
    return size if crops == 1 else int(size / _SHARE)


def mean_of_crops(network: Network, size: int, crops: int) -> Network:
    """A network whose outputs are the means of its outputs on several crops of each image.

    The crops are those of AlexNet (Krizhevsky et al. 2012, section 4.1): four corners and the
    middle, mirrored too if there are ten.

    Args:
      network: from images `[n, size, size, C]`.
      size: pixels a side of a crop.
      crops: 5 or 10.

    Returns:
      The network; images are `[n, H, W, C]`, of at least `size` pixels a side.
    """

    def wrapped(apply: Apply) -> Apply:
        def over_crops(
            params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
        ) -> tuple[jax.Array, NormStats]:
            places = _places(images.shape[1:3], size, crops)

            def crop(place: jax.Array) -> jax.Array:
                start = (0, place[0], place[1], 0)
                found = lax.dynamic_slice(images, start, (len(images), size, size, images.shape[3]))
                return jnp.where(place[2], found[:, :, ::-1], found)

            if use_batch_stats and norm_stats:
                # Of all crops together, as of a batch.
                every = jax.vmap(crop)(places)
                flat = every.reshape(-1, *every.shape[2:])
                found, norm_stats = apply(params, norm_stats, flat, True)
                found = found.reshape(crops, len(images), *found.shape[1:])
            else:
                found = lax.map(lambda at: apply(params, norm_stats, crop(at), False)[0], places)
            return found.mean(0), norm_stats

        return over_crops

    body = None if network.body is None else wrapped(network.body)
    return network._replace(apply=wrapped(network.apply), body=body)


def _places(sides: tuple[int, int], size: int, crops: int) -> np.ndarray:
    """First row, first column and whether mirrored, of each crop."""
    down, right = (side - size for side in sides)
    middle = (round(down / 2), round(right / 2))
    starts = [(0, 0), (0, right), (down, 0), (down, right), middle]
    mirrored = (0, 1)[: crops // len(starts)]
    return np.array([(*start, flip) for flip in mirrored for start in starts], np.int32)

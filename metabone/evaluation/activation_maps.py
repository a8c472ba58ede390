"""Where in an image a score comes from, by the maps that a network makes of it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError
from metabone.evaluation.chunked import chunked
from metabone.nets.network import Network, NormStats, Params

MapsOf = Callable[[jax.Array], jax.Array]
"""`images [n, H, W, C] -> maps [n, h, w, c]`, each image by itself."""

ScoreOf = Callable[[jax.Array, jax.Array], jax.Array]
"""`(maps [n, h, w, c], images [n, H, W, C]) -> scores [n]`, such as the logit of a class or months.

It has the images beside their maps for what is known of them but not seen, such as sex.
"""

_LINEAR_WITHIN = 1e-3
_FAR = -100.0


def maps_and_score(
    network: Network, params: Params, norm_stats: NormStats, output: int = 0
) -> tuple[MapsOf, ScoreOf]:
    """A network cut between its maps and its head, to be looked into.

    Args:
      network: cut before its head, whose body ends in maps, as that of `conv_net` does; of an
        `age_net` see `nets.age_net.age_maps`.
      params: its parameters.
      norm_stats: its stored statistics.
      output: which of the outputs is the score.

    Returns:
      The maps of images, and the score of maps.

    Raises:
      InputError: a network that is not cut.
    """
    if network.body is None or network.head is None:
        raise InputError("a network without body and head: expected one that is cut at its maps")
    body, head = network.body, network.head
    return (
        lambda images: body(params, norm_stats, images, False)[0],
        lambda maps, images: head(params, maps)[:, output],
    )


def cam(
    maps_of: MapsOf,
    score_of: ScoreOf,
    images: np.ndarray,
    *,
    height: int | None = None,
    together: int = 32,
) -> np.ndarray:
    """Class activation maps, signed: what each place adds to a score.

    At a place it is the sum of all maps, each by its weight in the score: that of its sum over the
    places, which is 1 / (h w) of that of its mean. The sum over the maps' h w places is then the
    score less its bias.

    Args:
      maps_of: see `MapsOf`.
      score_of: see `ScoreOf`; linear in the mean of each map.
      images: `[n, H, W, C]` float32, as the network takes them.
      height: rows of an image that are seen; rows below them, such as one that tells sex, are not.
      together: images that are looked at at once.

    Returns:
      `[n, height, W]` float32, what one of the maps' places adds in the unit of the score, bilinear
      between them.

    Raises:
      InputError: a score that is not linear in the mean of each map; images, maps or scores of
        another shape.

    Source: Zhou et al. 2016, equations 1 and 2.
    """
    images, shape = _checked(maps_of, score_of, images, height)

    @jax.jit
    def weigh(part):
        maps = maps_of(part)
        slopes = jnp.stack([_slopes(score_of, at, part) for at in (maps, _FAR * maps)])
        mean_slopes = slopes[0].mean((1, 2))
        bend = jnp.abs(slopes - mean_slopes[:, None, None]).max((0, 2, 3, 4))
        return _weighted(maps, mean_slopes, shape), bend, jnp.abs(slopes).max((0, 2, 3, 4))

    found, bend, steepest = chunked(weigh, images, size=together)
    if (bend > _LINEAR_WITHIN * steepest).any():
        raise InputError(
            "class activation maps of a score that is not linear in the mean of each map: expected "
            "a linear head on averaged maps; grad_cam (Grad-CAM) takes any head"
        )
    return found


def grad_cam(
    maps_of: MapsOf,
    score_of: ScoreOf,
    images: np.ndarray,
    *,
    signed: bool,
    height: int | None = None,
    together: int = 32,
) -> np.ndarray:
    """Grad-CAM: maps weighted by how steeply a score rises with each, whatever the head.

    A map's weight is the mean over its places of the score's slope, as in the source. Of a score
    that `cam` takes it is the same map.

    Args:
      maps_of: see `MapsOf`.
      score_of: see `ScoreOf`; a logit rather than a probability, whose slope vanishes where it is
        sure.
      images: `[n, H, W, C]` float32, as the network takes them.
      signed: keeps what lowers the score, below 0, as regression needs it; otherwise it is cut off,
        as in the source.
      height: see `cam`.
      together: images that are looked at at once.

    Returns:
      `[n, height, W]` float32, what one of the maps' places adds in the unit of the score, bilinear
      between them.

    Raises:
      InputError: images, maps or scores of another shape.

    Source: Selvaraju et al. 2017, equations 1 and 2.
    """
    images, shape = _checked(maps_of, score_of, images, height)

    @jax.jit
    def weigh(part):
        maps = maps_of(part)
        mean_slopes = _slopes(score_of, maps, part).mean((1, 2))
        return _weighted(maps, mean_slopes, shape, signed)

    return chunked(weigh, images, size=together)


def _slopes(score_of: ScoreOf, maps: jax.Array, images: jax.Array) -> jax.Array:
    return jax.grad(lambda maps: score_of(maps, images).sum())(maps)


def _weighted(
    maps: jax.Array, mean_slopes: jax.Array, shape: tuple[int, int], signed: bool = True
) -> jax.Array:
    found = jnp.einsum("nhwc,nc->nhw", maps, mean_slopes).astype(jnp.float32)
    found = found if signed else jnp.maximum(found, 0)
    return jax.image.resize(found, (len(found), *shape), "linear")


def _checked(
    maps_of: MapsOf, score_of: ScoreOf, images: np.ndarray, height: int | None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Images on the host, and the shape of what is seen of each."""
    images = np.asarray(images)
    seen = check_seen(images, height)
    like = jax.ShapeDtypeStruct(images.shape, images.dtype)
    maps = jax.eval_shape(maps_of, like)
    if maps.ndim != 4:
        raise InputError(
            f"maps of shape {maps.shape}: expected [n, h, w, c], before they are averaged"
        )
    scores = jax.eval_shape(score_of, maps, like)
    if scores.shape != (len(images),):
        raise InputError(f"scores of shape {scores.shape}: expected ({len(images)},), one an image")
    return images, seen


def check_seen(images: np.ndarray, height: int | None) -> tuple[int, int]:
    """Checks images that are to be looked into.

    Args:
      images: expected `[n, H, W, C]` floating point.
      height: rows of an image that are seen; None for all.

    Returns:
      Height and width of what is seen.

    Raises:
      InputError: other images, none, or more rows to be seen than there are.
    """
    if images.ndim != 4 or not np.issubdtype(images.dtype, np.floating) or not len(images):
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}: expected floats [n, H, W, C]"
        )
    rows, width = images.shape[1:3]
    seen = rows if height is None else height
    if not 1 <= seen <= rows:
        raise InputError(f"height (={height}): expected 1 to the {rows} rows of an image")
    return seen, width

"""Bone age by regression: a body, and the head of the 2017 winner that hears sex beside it."""

from collections.abc import Callable, Sequence
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.errors import InputError
from metabone.nets.network import Network, NormStats, Params
from metabone.nets.row_below import shape_above, split_row

Pool = int | Literal["mean"]
"""What a head sees of maps: the mean of each, or the means of squares of so many pixels a side."""


class _AgeHead(nn.Module):
    sex_width: int
    widths: Sequence[int]

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        def hidden_layer(name, width, inputs):
            dense = nn.Dense(width, kernel_init=nn.initializers.he_normal(), name=name)
            return nn.relu(dense(inputs))

        hidden = features
        if self.sex_width:
            sex = hidden_layer("sex", self.sex_width, features[:, -1:])
            hidden = jnp.concatenate([features[:, :-1], sex], axis=-1)
        for index, width in enumerate(self.widths):
            hidden = hidden_layer(f"hidden_{index}", width, hidden)
        # First answers close to zero, which is the mean age of the training films.
        start = nn.initializers.normal(0.01)
        return nn.Dense(1, kernel_init=start, name="age")(hidden)


def age_net(
    body: Network, *, sex_width: int = 32, widths: Sequence[int] = (1000, 1000), pool: Pool = "mean"
) -> Network:
    """A network from films to age, in deviations from the mean age that it was trained with.

    Sex comes as one more row of pixels below an image, as `radiograph.sex.with_sex_row` puts it
    there. The body does not see it. It goes through a dense layer of its own and joins the pooled
    features; dense layers with ReLU follow, and one output (the winner of RSNA's challenge of
    2017; with `widths=()` and `sex_width=0` the head of paced transfer, S4).

    Args:
      body: maps images `[n, H, W, C]` to maps, such as `regression_bodies.body_of` makes, or to
        vectors; or films `[n, R, H, W, C]` to vectors, as `film_nets.over_regions` does. Its
        parameters are a dictionary.
      sex_width: nodes of the dense layer of sex; 0 for a network that does not look at sex.
      widths: nodes of the dense layers.
      pool: see `Pool`; the published head has 2. Vectors stay as they are.

    Returns:
      The network: images `[n, H + 1, W, C]` or films `[n, R, H + 1, W, C]` to `[n, 1]`. Its
      parameters are the body's, and beside them the head's under `head`. It is cut before the
      head: features are the pooled ones and, unless `sex_width` is 0, sex as the last column.

    Raises:
      InputError: a negative `sex_width`, a width or a pool below 1; in use, a body that has a head
        of its own, images without room for a row, maps smaller than the pool.
    """
    if sex_width < 0:
        raise InputError(f"sex_width (={sex_width}): expected 0 or more")
    if any(width < 1 for width in widths):
        raise InputError(f"widths (={tuple(widths)}): expected each at least 1")
    _check_pool(pool)
    module = _AgeHead(sex_width, tuple(widths))

    def features_of(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        seen, _ = split_row(images)
        found, stats = body.apply(_own(params), norm_stats, seen, use_batch_stats)
        return age_features(found, images, pool=pool, sex=sex_width > 0), stats

    def head(params: Params, features: jax.Array) -> jax.Array:
        return module.apply({"params": params["head"]}, features)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> tuple[Params, NormStats]:
        body_key, head_key = jax.random.split(key)
        params, norm_stats = body.init(body_key, shape_above(image_shape))
        if "head" in params:
            raise InputError("the body has a head of its own: expected one without, as conv_net(0)")
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        features = jax.eval_shape(lambda x: features_of(params, norm_stats, x, False)[0], images)
        head_params = module.init(head_key, jnp.zeros(features.shape, features.dtype))["params"]
        return {**params, "head": head_params}, norm_stats

    def apply(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        features, stats = features_of(params, norm_stats, images, use_batch_stats)
        return head(params, features), stats

    return Network(init, apply, features_of, head)


def age_maps(body: Network) -> Callable[[Params, NormStats, jax.Array], jax.Array]:
    """What the body of an `age_net` makes of images, before it is pooled, for activation maps.

    `network.head(params, age_features(maps, images))` are then the network's answers.

    Args:
      body: the network's, of single images: that which `over_regions` was given, if it was.

    Returns:
      `(params, norm_stats, images [n, H + 1, W, C]) -> maps [n, h, w, c]` of the `age_net`'s
      parameters, by stored statistics; of films `[n, R, H + 1, W, C]` maps `[n, R, h, w, c]`.
    """

    def maps_of(params: Params, norm_stats: NormStats, images: jax.Array) -> jax.Array:
        seen, _ = split_row(images)
        each = seen.reshape(-1, *seen.shape[-3:])
        maps, _ = body.apply(_own(params), norm_stats, each, False)
        return maps.reshape(*seen.shape[:-3], *maps.shape[1:])

    return maps_of


def age_features(
    maps: jax.Array, images: jax.Array, *, pool: Pool = "mean", sex: bool = True
) -> jax.Array:
    """What the head of an `age_net` is given: its body's features, pooled, and sex.

    Args:
      maps: the body's `[n, h, w, c]`, or vectors `[n, D]`.
      images: `[n, ..., H + 1, W, C]`, of which the row below is looked at.
      pool: see `Pool`.
      sex: whether sex is joined.

    Returns:
      `[n, D]`, or with sex `[n, D + 1]`.

    Raises:
      InputError: neither maps nor vectors, maps smaller than the pool.
    """
    features = _pooled(maps, pool)
    return jnp.concatenate([features, split_row(images)[1]], axis=-1) if sex else features


def _own(params: Params) -> Params:
    """The body's parameters."""
    return {name: leaf for name, leaf in params.items() if name != "head"}


def _check_pool(pool: Pool) -> None:
    if pool != "mean" and not (isinstance(pool, int) and pool >= 1):
        raise InputError(f"pool {pool!r}: expected 'mean' or a number of pixels, at least 1")


def _pooled(maps: jax.Array, pool: Pool) -> jax.Array:
    _check_pool(pool)
    if maps.ndim == 2:
        return maps
    if maps.ndim != 4:
        raise InputError(f"features of shape {maps.shape}: expected maps [n, h, w, c] or [n, D]")
    if pool == "mean":
        return maps.mean((1, 2))
    count, height, width, channels = maps.shape
    if min(height, width) < pool:
        raise InputError(f"maps of {height}x{width} pixels: expected at least pool (={pool})")
    rows, columns = height // pool, width // pool
    squares = maps[:, : rows * pool, : columns * pool]
    squares = squares.reshape(count, rows, pool, columns, pool, channels)
    return squares.mean((2, 4)).reshape(count, -1)

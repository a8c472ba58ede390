"""A head on any body: softmax or ordered classes, with something known beside the image."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.errors import InputError
from metabone.nets.layers import FullyConnected
from metabone.nets.network import Apply, Network, NormStats, Params
from metabone.nets.ordinal import OrdinalHead
from metabone.nets.row_below import shape_above, split_row


def with_head(
    body: Network,
    ways: int,
    widths: Sequence[int] = (),
    *,
    ordinal: bool = False,
    average: bool = False,
    beside: float | None = None,
) -> Network:
    """A network of a body and a head, to be trained as one.

    What is known beside an image, such as sex, comes as one more row of pixels below it, as
    `radiograph.sex.with_sex_row` puts it there. `beside` takes that row off before the body sees
    the image, and joins its first pixel to the features: once a film, if images are a film's
    regions `[n, R, H + 1, W, C]`. Stored features carry it already (`radiograph.sex.join_sex`).

    Args:
      body: maps images to features `[n, ...]`, such as `conv_net(0)`, `smi_net(0, widths=())`,
        `hog_net()`, `stored_features()` or `film_nets.over_regions` of one of them; its parameters
        are a dictionary.
      ways: classes; 1 for a score, 0 for no last layer: the features, or the last hidden nodes, are
        then the output, for learners that embed.
      widths: hidden nodes of the head.
      ordinal: classes are ordered, see `ordinal.OrdinalHead`; outputs are log-probabilities.
      average: the head sees the mean of each of the body's maps, not all of their pixels.
      beside: weight of the row's value, which is -1 to 1, in the unit of the features; None if
        there is no such row.

    Returns:
      The network: parameters of the body, and beside them the head's under `head`, as those of
      `conv_net(ways)` are; outputs `[n, ways]`. It is cut before the head, unless there is none.

    Raises:
      InputError: fewer than no ways, or two if they are ordered; in use, a body that has a head
        of its own, features that are no maps but to be averaged, images without room for a row.
    """
    least = 2 if ordinal else 0
    if ways < least:
        raise InputError(f"ways (={ways}): expected at least {least}")
    look = _joined(body.apply, average, beside)
    if not ways and not widths:
        return Network(lambda key, shape: body.init(key, _body_shape(shape, beside)), look)
    module: nn.Module = (
        OrdinalHead(ways, tuple(widths)) if ordinal else FullyConnected(tuple(widths), ways)
    )

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> tuple[Params, NormStats]:
        body_key, head_key = jax.random.split(key)
        params, norm_stats = body.init(body_key, _body_shape(image_shape, beside))
        if "head" in params:
            raise InputError("the body has a head of its own: expected one without, as conv_net(0)")
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        features = jax.eval_shape(lambda x: look(params, norm_stats, x, False)[0], images)
        head_params = module.init(head_key, jnp.zeros(features.shape, features.dtype))["params"]
        return {**params, "head": head_params}, norm_stats

    def features_of(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        own = {name: leaf for name, leaf in params.items() if name != "head"}
        return look(own, norm_stats, images, use_batch_stats)

    def head(params: Params, features: jax.Array) -> jax.Array:
        return module.apply({"params": params["head"]}, features)

    def apply(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        features, stats = features_of(params, norm_stats, images, use_batch_stats)
        return head(params, features), stats

    return Network(init, apply, features_of, head)


def flat_features(features: jax.Array, average: bool) -> jax.Array:
    """What a head sees of a body's features.

    Args:
      features: `[n, ...]`, if averaged `[n, H, W, C]`.
      average: takes each map's mean over its pixels; otherwise maps are flattened.

    Returns:
      `[n, D]`.

    Raises:
      InputError: features to be averaged that are no maps.
    """
    if average:
        if features.ndim != 4:
            raise InputError(
                f"average, and features of shape {features.shape}: expected maps [n, H, W, C]"
            )
        features = features.mean((1, 2))
    return features.reshape(len(features), -1)


def _joined(of_body: Apply, average: bool, weight: float | None) -> Apply:
    """The body's features, flat, with what is known beside the image."""

    def look(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        if weight is None:
            features, stats = of_body(params, norm_stats, images, use_batch_stats)
            return flat_features(features, average), stats
        seen, known = split_row(images)
        features, stats = of_body(params, norm_stats, seen, use_batch_stats)
        return jnp.concatenate([flat_features(features, average), weight * known], axis=-1), stats

    return look


def _body_shape(image_shape: tuple[int, ...], weight: float | None) -> tuple[int, ...]:
    """The shape of an image, of which the row below is not the body's."""
    return image_shape if weight is None else shape_above(image_shape)

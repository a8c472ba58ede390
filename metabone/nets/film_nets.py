"""Networks that read one film: all of its regions at once."""

import jax

from metabone.errors import InputError
from metabone.nets.heads import flat_features
from metabone.nets.network import Network, NormStats, Params


def over_regions(body: Network, regions: int, *, average: bool = False) -> Network:
    """A body that looks at every region of a film, for a head that hears them all.

    The regions share the body's weights, and its batch statistics are those of all regions of all
    films together. Their features follow one another, so that a head, `heads.with_head`, has
    weights of its own for each region.

    Args:
      body: maps images to features, such as `conv_net(0)`, `hog_net()` or `stored_features()`.
      regions: of a film.
      average: takes the mean of each of the body's maps, not all of their pixels.

    Returns:
      The network: films `[n, regions, H, W, C]` to features `[n, regions * D]`, region by region;
      parameters and batch statistics are the body's. `init` takes `[regions, H, W, C]`.

    Raises:
      InputError: no regions; in use, films of another number, features that are no maps but to be
        averaged.

    Example:
      >>> from metabone.nets.heads import with_head
      >>> from metabone.nets.networks import conv_net
      >>> network = with_head(over_regions(conv_net(0), 6, average=True), ways=5, beside=0.1)
      >>> params, _ = jax.eval_shape(lambda: network.init(jax.random.key(0), (6, 65, 64, 1)))
      >>> params["head"]["classes"]["kernel"].shape
      (385, 5)
    """
    if regions < 1:
        raise InputError(f"regions (={regions}): expected at least 1")

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> tuple[Params, NormStats]:
        _check(image_shape, regions)
        return body.init(key, image_shape[1:])

    def apply(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        _check(images.shape[1:], regions)
        each = images.reshape(-1, *images.shape[2:])
        features, stats = body.apply(params, norm_stats, each, use_batch_stats)
        return flat_features(features, average).reshape(len(images), -1), stats

    return Network(init, apply)


def _check(film_shape: tuple[int, ...], regions: int) -> None:
    if not film_shape or film_shape[0] != regions:
        raise InputError(
            f"films of shape {tuple(film_shape)}: expected {regions} regions, [{regions}, H, W, C]"
        )

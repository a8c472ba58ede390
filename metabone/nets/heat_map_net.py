"""A small U-Net from a gray image to one map a key point."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.errors import InputError
from metabone.nets.convolution import Form
from metabone.nets.layers import BatchNorm, Conv3x3, conv_block, max_pool_2x2
from metabone.nets.network import Network, from_linen

# Channels at a half, a quarter ... of the image's sides, relative to the width; the last two levels
# see the whole image.
_LEVELS = (1.5, 3, 5, 6, 6)


class _HeatMapNet(nn.Module):
    """Blocks that halve the image, and back up to half its size beside what they saw there."""

    points: int
    width: int
    form: Form

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        def block(name: str, features: float, hidden: jax.Array, pool: bool = False) -> jax.Array:
            conv = Conv3x3(
                round(self.width * features), 1, self.form, use_bias=False, name=f"conv_{name}"
            )
            norm = BatchNorm(name=f"norm_{name}")
            return conv_block(conv, norm, hidden, use_batch_stats, pool)

        hidden = block("image", 1, images, pool=True)
        kept = []
        for level, features in enumerate(_LEVELS):
            hidden = block(f"down_{level}", features, hidden)
            if 0 < level < len(_LEVELS) - 1:
                hidden = block(f"down_{level}_again", features, hidden)
            if level < len(_LEVELS) - 1:
                kept.append(hidden)
                hidden = max_pool_2x2(hidden)
        for level in reversed(range(len(kept))):
            hidden = jnp.concatenate([_twice(hidden), kept[level]], axis=-1)
            hidden = block(f"up_{level}", max(2, _LEVELS[level] - 1), hidden)
        start = nn.initializers.normal(0.01)
        return nn.Dense(self.points, kernel_init=start, name="maps")(hidden)


def _twice(images: jax.Array) -> jax.Array:
    """`[n, H, W, C]` to `[n, 2 H, 2 W, C]`, each pixel four times."""
    return jnp.repeat(jnp.repeat(images, 2, axis=1), 2, axis=2)


def heat_map_net(points: int, *, width: int = 16, form: Form = "auto") -> Network:
    """A U-Net (Ronneberger et al. 2015) of about half a million weights at width 16.

    Args:
      points: maps to give, one a key point.
      width: channels of the first level; others are in proportion.
      form: see `convolution.conv3x3`.

    Returns:
      The network: `[n, H, W, 1]` to `[n, H / 2, W / 2, points]` logits over places; sides are
      multiples of 32.

    Raises:
      InputError: if a size is not positive.
    """
    if min(points, width) < 1:
        raise InputError(f"points (={points}) and width (={width}): expected at least 1")
    return from_linen(_HeatMapNet(points, width, form))

"""Xception: depthwise and pointwise convolutions in turn."""

import flax.linen as nn
import jax

from metabone.nets.conv_norm import (
    ConvNorm,
    Padding,
    backbone_of,
    channels_at,
    check_images,
    convolve,
    convolve_depthwise,
    ended,
)
from metabone.nets.layers import BatchNorm
from metabone.nets.network import Network
from metabone.nets.pools import max_pool_3x3

BLOCKS = (
    (128, 128),
    (256, 256),
    (728, 728),
    *((728, 728, 728),) * 8,
    (728, 1024),
)
"""Channels of each separable convolution; a block of two halves the image."""

LAST = (1536, 2048)
"""Channels of the two separable convolutions after the blocks."""


class SeparableNorm(nn.Module):
    """3x3 depthwise convolution, pointwise convolution, batch normalisation.

    Attributes:
      features: output channels.
    """

    features: int

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        """`[n, H, W, C]` to `[n, H, W, features]`."""
        start, channels = nn.initializers.he_normal(), images.shape[-1]
        depthwise = self.param("depthwise", start, (3, 3, 1, channels))
        pointwise = self.param("pointwise", start, (1, 1, channels, self.features))
        hidden = convolve_depthwise(images, depthwise, 1, "same")
        hidden = convolve(hidden, pointwise, 1, "none")
        return BatchNorm(name="norm")(hidden, use_batch_stats)


class _Xception(nn.Module):
    width: float
    classes: int
    average: bool
    pools: Padding

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        check_images(images, 7)

        def plain(name, hidden, channels, **how):
            layer = ConvNorm(channels, padding="none", name=name, **how)
            return layer(hidden, use_batch_stats)

        def separable(name, hidden, channels):
            layer = SeparableNorm(channels_at(self.width, channels), name=name)
            return layer(hidden, use_batch_stats)

        hidden = plain("stem_1", images, channels_at(self.width, 32), stride=2)
        hidden = plain("stem_2", hidden, channels_at(self.width, 64))
        for block, channels in enumerate(BLOCKS, start=1):
            shortcut = hidden
            for index, each in enumerate(channels, start=1):
                if block > 1 or index > 1:
                    hidden = nn.relu(hidden)
                hidden = separable(f"block_{block}_separable_{index}", hidden, each)
            if len(channels) == 2:
                how = {"kernel": (1, 1), "stride": 2, "activation": None}
                name = f"block_{block}_shortcut"
                shortcut = plain(name, shortcut, hidden.shape[-1], **how)
                hidden = max_pool_3x3(hidden, self.pools)
            hidden = hidden + shortcut
        for index, each in enumerate(LAST, start=1):
            hidden = nn.relu(separable(f"last_{index}", hidden, each))
        return ended(hidden, self.classes, self.average)


def xception(
    classes: int, *, width: float = 1.0, average: bool = True, pools: Padding = "centred"
) -> Network:
    """Xception: a stem, twelve blocks of separable convolutions and two more, 2,048 maps.

    Args:
      classes: outputs; 0 for a backbone.
      width: multiplies all channels.
      average: whether the body ends in the mean of each last map, rather than in the maps.
      pools: padding of the max-pools: `centred` in PyTorch's files, `same` in Keras's.

    Returns:
      The network (Chollet 2017); images of at least 7 pixels a side.

    Raises:
      InputError: a width that is not positive, or a negative number of classes.
    """
    return backbone_of(_Xception(width, classes, average, pools))

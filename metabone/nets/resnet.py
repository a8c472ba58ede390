"""ResNets of 18 and 50 layers."""

from collections.abc import Iterator

import flax.linen as nn
import jax

from metabone.nets.conv_norm import ConvNorm, backbone_of, channels_at, check_images, ended
from metabone.nets.network import Network
from metabone.nets.pools import max_pool_3x3

RESNET18 = (2, 2, 2, 2)
"""Blocks of two convolutions in each stage."""
RESNET50 = (3, 4, 6, 3)
"""Blocks of three convolutions in each stage."""

_CHANNELS = (64, 128, 256, 512)


def blocks_of(stages: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The blocks of a network.

    Args:
      stages: blocks of each, see `RESNET18`.

    Yields:
      The stage, from 1, and the block's number in it, from 0.
    """
    for stage, blocks in enumerate(stages, start=1):
        for index in range(blocks):
            yield stage, index


class _ResNet(nn.Module):
    stages: tuple[int, ...]
    bottleneck: bool
    width: float
    classes: int
    average: bool

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        check_images(images, 1)

        def unit(name, hidden, channels, side, stride=1, activation=nn.relu):
            how = {"stride": stride, "padding": "centred", "activation": activation}
            layer = ConvNorm(channels, (side, side), name=name, **how)
            return layer(hidden, use_batch_stats)

        stem = channels_at(self.width, _CHANNELS[0])
        hidden = max_pool_3x3(unit("stem", images, stem, 7, 2), "centred")
        for stage, index in blocks_of(self.stages):
            name = f"stage_{stage}_block_{index}"
            channels = channels_at(self.width, _CHANNELS[stage - 1])
            outputs = 4 * channels if self.bottleneck else channels
            stride = 2 if stage > 1 and index == 0 else 1
            shortcut = hidden
            if stride > 1 or hidden.shape[-1] != outputs:
                shortcut = unit(f"{name}_shortcut", hidden, outputs, 1, stride, None)
            if self.bottleneck:
                hidden = unit(f"{name}_conv_1", hidden, channels, 1)
                hidden = unit(f"{name}_conv_2", hidden, channels, 3, stride)
                hidden = unit(f"{name}_conv_3", hidden, outputs, 1, 1, None)
            else:
                hidden = unit(f"{name}_conv_1", hidden, channels, 3, stride)
                hidden = unit(f"{name}_conv_2", hidden, outputs, 3, 1, None)
            hidden = nn.relu(hidden + shortcut)
        return ended(hidden, self.classes, self.average)


def resnet18(classes: int, *, width: float = 1.0, average: bool = True) -> Network:
    """ResNet-18: eight blocks of two 3x3 convolutions, 512 maps.

    Args:
      classes: outputs; 0 for a backbone.
      width: multiplies all channels.
      average: whether the body ends in the mean of each last map, rather than in the maps.

    Returns:
      The network (He et al. 2016); images of any size, of which a 32nd remains.

    Raises:
      InputError: a width that is not positive, or a negative number of classes.
    """
    return backbone_of(_ResNet(RESNET18, False, width, classes, average))


def resnet50(classes: int, *, width: float = 1.0, average: bool = True) -> Network:
    """ResNet-50: sixteen blocks of a 3x3 between two 1x1 convolutions, 2,048 maps.

    The 3x3 convolution has the stride, as in PyTorch's packages; the paper gives it to the first.

    Args:
      classes: see `resnet18`.
      width: likewise.
      average: likewise.

    Returns:
      The network (He et al. 2016).

    Raises:
      InputError: see `resnet18`.
    """
    return backbone_of(_ResNet(RESNET50, True, width, classes, average))

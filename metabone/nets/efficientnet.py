"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation, with ReLU6."""

import flax.linen as nn
import jax

from metabone.nets.conv_norm import ConvNorm, backbone_of, channels_at, check_images, ended
from metabone.nets.network import Network

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, side of the depthwise kernel, stride of the first block, expansion, output channels."""

_STEM, _LAST = 32, 1280


class _EfficientNetLite0(nn.Module):
    width: float
    classes: int
    average: bool

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        check_images(images, 1)

        def unit(name, hidden, channels, **what):
            what = {"kernel": (1, 1), "activation": nn.relu6} | what
            return ConvNorm(channels, name=name, **what)(hidden, use_batch_stats)

        hidden = unit("stem", images, channels_at(self.width, _STEM), kernel=(3, 3), stride=2)
        block = 0
        for blocks, side, first_stride, expansion, channels in STAGES:
            outputs = channels_at(self.width, channels)
            for index in range(blocks):
                name, inputs = f"block_{block}", hidden
                stride = first_stride if index == 0 else 1
                wide = inputs.shape[-1] * expansion
                if expansion > 1:
                    hidden = unit(f"{name}_expand", hidden, wide)
                how = {"kernel": (side, side), "stride": stride, "depthwise": True}
                hidden = unit(f"{name}_depthwise", hidden, wide, **how)
                hidden = unit(f"{name}_project", hidden, outputs, activation=None)
                if index:
                    hidden = hidden + inputs
                block += 1
        hidden = unit("last", hidden, channels_at(self.width, _LAST))
        return ended(hidden, self.classes, self.average)


def efficientnet_lite0(classes: int, *, width: float = 1.0, average: bool = True) -> Network:
    """EfficientNet-Lite0: a stem, sixteen inverted residuals, 1,280 maps.

    Args:
      classes: outputs; 0 for a backbone.
      width: multiplies all channels.
      average: whether the body ends in the mean of each last map, `[n, 1280]`, rather than in the
        maps, `[n, H / 32, W / 32, 1280]`, rounded up.

    Returns:
      The network (Tan and Le 2019, with the changes of TensorFlow's `efficientnet/lite`); images of
      any size, padded as TensorFlow does.

    Raises:
      InputError: a width that is not positive, or a negative number of classes.
    """
    return backbone_of(_EfficientNetLite0(width, classes, average))

"""A Flax Linen network of your own."""

from functools import partial

import flax.linen as nn

from metabone.nets.network import network as as_network


class Small(nn.Module):
    """A convolution, a batch norm and a head."""

    classes: int

    @nn.compact
    def __call__(self, images, use_batch_stats):
        """`[n, H, W, C]` to `[n, classes]`."""
        # A momentum of zero: the statistics are those of the last batch, unsmoothed.
        batch_norm = partial(nn.BatchNorm, use_running_average=not use_batch_stats, momentum=0.0)
        hidden = nn.Conv(8, (3, 3), strides=2, use_bias=False)(images)
        hidden = nn.relu(batch_norm(name="norm_0")(hidden))
        # What is named `head` is what ANIL adapts.
        return nn.Dense(self.classes, name="head")(hidden.reshape(len(hidden), -1))


network = as_network(Small(classes=5), (8, 8, 1), outputs=5)

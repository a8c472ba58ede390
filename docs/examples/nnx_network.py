"""A Flax NNX network of your own."""

from flax import nnx

from metabone.nets.network import network as as_network


class Small(nnx.Module):
    """A convolution, a batch norm and a head, for images of 8x8."""

    def __init__(self, classes, channels, rngs):
        self.conv = nnx.Conv(channels, 8, (3, 3), strides=2, use_bias=False, rngs=rngs)
        # A momentum of zero: the statistics are those of the last batch, unsmoothed.
        self.norm_0 = nnx.BatchNorm(8, momentum=0.0, rngs=rngs)
        self.head = nnx.Linear(4 * 4 * 8, classes, rngs=rngs)

    def __call__(self, images):
        """`[n, 8, 8, C]` to `[n, classes]`."""
        hidden = nnx.relu(self.norm_0(self.conv(images)))
        return self.head(hidden.reshape(len(hidden), -1))


network = as_network(lambda shape, key: Small(5, shape[-1], nnx.Rngs(key)), (8, 8, 1), outputs=5)

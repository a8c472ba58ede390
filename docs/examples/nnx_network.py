"""A Flax NNX network of your own, by a small adapter."""

from flax import nnx

from metabone.nets.network import Network


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


def from_nnx(make):
    """The network of `make(image_shape, rngs)`, an NNX module that takes images."""

    def init(key, image_shape):
        return nnx.split(make(image_shape, nnx.Rngs(key)), nnx.Param, nnx.BatchStat)[1:]

    def apply(params, norm_stats, images, use_batch_stats):
        graph = nnx.graphdef(nnx.eval_shape(lambda: make(images.shape[1:], nnx.Rngs(0))))
        model = nnx.merge(graph, params, norm_stats, copy=True)  # not to write to our arguments
        model.set_attributes(use_running_average=not use_batch_stats)
        return model(images), nnx.state(model, nnx.BatchStat)

    return Network(init, apply)


network = from_nnx(lambda shape, rngs: Small(5, shape[-1], rngs))

"""Bodies for regression: networks of grey images whose output is their last maps."""

import os
from collections.abc import Callable

import jax

from metabone.errors import InputError
from metabone.nets.conv_norm import channels_at
from metabone.nets.inception import inception_v3
from metabone.nets.network import Network, NormStats, Params
from metabone.nets.networks import conv_net
from metabone.nets.preprocessing import of_grey
from metabone.nets.published_backbones import load_backbone
from metabone.nets.resnet import resnet18, resnet50
from metabone.nets.xception import xception

# As published, Inception V3 leaves one pixel of an image of 75, and 3x3 of one of 150.
_UNPADDED = 150
_LEAST = 16

_PUBLISHED: dict[str, Callable[..., Network]] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "xception": xception,
    "inception_v3": inception_v3,
}
BODIES = (*_PUBLISHED, "conv4")
"""The names that `body_of` knows."""


def body_of(name: str, *, width: float = 1.0, size: int) -> Network:
    """A body by name, with parameters to be drawn.

    Args:
      name: one of `BODIES`; `conv4` is `networks.conv_net` with 64 filters.
      width: multiplies all channels; `resnet18` at 0.25 is made for two cores.
      size: pixels a side of the images. Inception V3 has the published layers without padding from
        150 on; below, these are padded, since little or nothing would remain.

    Returns:
      The network: images `[n, size, size, 1]` to maps `[n, h, w, c]`, without head.

    Raises:
      InputError: an unknown name, a size below 16, a width that is not positive.
    """
    _check_name(name, BODIES)
    if size < _LEAST:
        raise InputError(f"size (={size}): expected at least {_LEAST} pixels a side")
    if not width > 0:
        raise InputError(f"width (={width}): expected a number above 0")
    if name == "conv4":
        return conv_net(0, filters=channels_at(width, 64))
    if name == "inception_v3":
        padding = "none" if size >= _UNPADDED else "same"
        return inception_v3(0, width=width, average=False, padding=padding)
    return _PUBLISHED[name](0, width=width, average=False)


def published_body(
    name: str, file: str | os.PathLike, *, width: float = 1.0
) -> tuple[Network, Params, NormStats]:
    """A body with published weights, for grey images scaled to -1 .. 1.

    The first kernel is summed over its three channels, so that its parameters have the shapes of
    `body_of`'s. The mean and deviation of what the weights were trained on, averaged over the
    channels, the network applies to its images itself.

    Args:
      name: one of `BODIES` but `conv4`.
      file: safetensors or Keras's HDF5, see `published_backbones.load_backbone`.
      width: of the file's network; published files have 1.

    Returns:
      The network: images `[n, H, W, 1]` to maps `[n, h, w, c]`; its parameters, NumPy float32; and
      its stored statistics.

    Raises:
      InputError: an unknown name, or a file that `load_backbone` refuses.
    """
    _check_name(name, tuple(_PUBLISHED))
    found = load_backbone(name, file, grey="sum", width=width, maps=True)
    expected = of_grey(found.expected)

    def apply(
        params: Params, norm_stats: NormStats, images: jax.Array, use_batch_stats: bool
    ) -> tuple[jax.Array, NormStats]:
        prepared = ((images + 1) / 2 - expected.mean[0]) / expected.deviation[0]
        return found.network.apply(params, norm_stats, prepared, use_batch_stats)

    return Network(found.network.init, apply), found.params, found.norm_stats


def _check_name(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"body {name!r}: expected one of {', '.join(known)}")

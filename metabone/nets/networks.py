"""The networks of the papers."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from metabone.errors import InputError
from metabone.nets.convolution import Form
from metabone.nets.layers import BatchNorm, Conv3x3, FullyConnected, conv_block, max_pool_2x2
from metabone.nets.network import Network, from_linen

_DOWNSAMPLING = ("stride", "pool")


class _ConvNet(nn.Module):
    """Blocks of 3x3 convolution, batch norm, ReLU; the first `halvings` halve the image."""

    blocks: int
    filters: int
    halvings: int
    downsample: str
    widths: Sequence[int]
    classes: int
    average: bool
    norm_scale: bool
    form: Form

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        _check_images(images, 2**self.halvings if self.downsample == "pool" else 1)
        hidden = images
        for index in range(self.blocks):
            halve = index < self.halvings
            stride = 2 if halve and self.downsample == "stride" else 1
            conv = Conv3x3(self.filters, stride, self.form, use_bias=False, name=f"conv_{index}")
            norm = BatchNorm(self.norm_scale, name=f"norm_{index}")
            pool = halve and self.downsample == "pool"
            hidden = conv_block(conv, norm, hidden, use_batch_stats, pool)
        if not self.widths and not self.classes:
            return hidden
        return FullyConnected(self.widths, self.classes, self.average, name="head")(hidden)


class _Vgg16(nn.Module):
    """Thirteen 3x3 convolutions in five stages, each stage ended by a 2x2 max-pool."""

    width: float
    batch_norm: bool
    widths: Sequence[int]
    classes: int
    form: Form

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        _check_images(images, 32)
        hidden = images
        for stage, (convolutions, filters) in enumerate(
            zip((2, 2, 3, 3, 3), (64, 128, 256, 512, 512), strict=True)
        ):
            for index in range(convolutions):
                name = f"{stage + 1}_{index + 1}"
                features = max(1, round(filters * self.width))
                conv = Conv3x3(
                    features, 1, self.form, use_bias=not self.batch_norm, name=f"conv_{name}"
                )
                last = index == convolutions - 1
                if self.batch_norm:
                    norm = BatchNorm(name=f"norm_{name}")
                    hidden = conv_block(conv, norm, hidden, use_batch_stats, pool=last)
                else:
                    hidden = nn.relu(conv(hidden))
                    hidden = max_pool_2x2(hidden) if last else hidden
        if not self.widths and not self.classes:
            return hidden
        return FullyConnected(self.widths, self.classes, name="head")(hidden)


def conv_net(
    classes: int,
    *,
    blocks: int = 4,
    filters: int = 64,
    halvings: int = 4,
    downsample: str = "pool",
    widths: Sequence[int] = (),
    average: bool = False,
    norm_scale: bool = True,
    form: Form = "auto",
) -> Network:
    """Blocks of 3x3 convolution, batch normalisation and ReLU, then fully connected layers.

    The default is MAML's own network for mini-ImageNet, with twice its 32 filters; its published
    code for Omniglot has 64, `downsample="stride"` and `average=True` (Finn et al. 2017).

    Args:
      classes: outputs; with `classes=0` and `widths=()` the last feature maps are the output: a
        backbone.
      blocks: convolutions.
      filters: channels of each.
      halvings: how many of the first blocks halve the image's sides.
      downsample: `pool` halves by a 2x2 max-pool after the block, `stride` by a stride of 2 in its
        convolution, a quarter of the work.
      widths: hidden nodes of the fully connected part.
      average: the fully connected part sees the mean of each last map, not all of its pixels.
      norm_scale: gives batch norms a scale beside their bias; MAML's published code has none.
      form: see `convolution.conv3x3`.

    Returns:
      The network; images may be of any size of at least `2 ** halvings` pixels a side.

    Raises:
      InputError: a size that is not positive, more halvings than blocks, unknown `downsample`.
    """
    _check_positive(blocks=blocks, filters=filters)
    if classes < 0:
        raise InputError(f"classes (={classes}): expected at least 0")
    if downsample not in _DOWNSAMPLING:
        raise InputError(f"downsample {downsample!r}: expected one of {', '.join(_DOWNSAMPLING)}")
    if not 0 <= halvings <= blocks:
        raise InputError(f"halvings (={halvings}): expected 0 to the number of blocks (={blocks})")
    whole = _ConvNet(
        blocks, filters, halvings, downsample, tuple(widths), classes, average, norm_scale, form
    )
    return _with_head(whole, average)


def smi_net(
    classes: int,
    *,
    filters: int = 64,
    widths: Sequence[int] = (256, 256),
    halvings: int = 4,
    downsample: str = "stride",
    form: Form = "auto",
) -> Network:
    """The network of Min and Kang (2018): seven blocks of 64 filters, then 256, 256, classes.

    A 64x64 region does not survive seven halvings and the text leaves pooling open (its figure
    shows 32x32 and 16x16). Four halvings end at 4x4, much as MAML's own four blocks end at 5x5 from
    84x84, and the last three blocks work at that size; strides rather than pools as in MAML's
    Omniglot network.

    Args:
      classes: outputs.
      filters: channels of each block.
      widths: hidden nodes; the text can also be read as `(256, 256, 256)`.
      halvings: see `conv_net`.
      downsample: see `conv_net`.
      form: see `convolution.conv3x3`.

    Returns:
      The network (Min and Kang 2018, section 3, network b).
    """
    return conv_net(
        classes,
        blocks=7,
        filters=filters,
        halvings=halvings,
        downsample=downsample,
        widths=widths,
        form=form,
    )


def vgg16(
    classes: int,
    *,
    width: float = 1.0,
    widths: Sequence[int] = (256, 256),
    batch_norm: bool = False,
    form: Form = "auto",
) -> Network:
    """VGG16 as in Min and Kang (2018): 13 convolutions of 64 to 512 filters, then 256, 256.

    Args:
      classes: outputs; with `classes=0` and `widths=()` the last feature maps
        `[n, H / 32, W / 32, 512 * width]` are the output: a backbone.
      width: multiplies the filters, for small machines.
      widths: hidden nodes of the fully connected part.
      batch_norm: normalises after each convolution, without which thirteen layers barely train from
        scratch in minutes; published weights come in both kinds.
      form: see `convolution.conv3x3`.

    Returns:
      The network; images of at least 32 pixels a side.

    Raises:
      InputError: a width that is not positive.
    """
    if not width > 0:
        raise InputError(f"width (={width}): expected a number above 0")
    return _with_head(_Vgg16(width, batch_norm, tuple(widths), classes, form))


def fully_connected(classes: int, widths: Sequence[int] = (256, 256)) -> Network:
    """The head alone, for images that are stored features of any shape.

    Args:
      classes: outputs.
      widths: hidden nodes; `()` for a linear classifier.

    Returns:
      The network, without batch normalisation.
    """
    _check_positive(classes=classes)
    return from_linen(FullyConnected(tuple(widths), classes))


def _with_head(module: _ConvNet | _Vgg16, average: bool = False) -> Network:
    if not module.widths and not module.classes:
        return from_linen(module)
    body = module.clone(widths=(), classes=0)
    return from_linen(module, body, FullyConnected(module.widths, module.classes, average))


def _check_images(images: jax.Array, least: int) -> None:
    if images.ndim != 4:
        raise InputError(
            f"images of shape {images.shape}: expected [n, H, W, C]; images[..., None] gives grey "
            "images their channel"
        )
    if min(images.shape[1:3]) < least:
        raise InputError(
            f"images of {images.shape[1]}x{images.shape[2]} pixels: this network halves them to "
            f"nothing; expected at least {least}x{least}"
        )


def _check_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} (={size}): expected at least 1")

"""DINOv2: vision transformers on patches of 14x14 pixels, with or without register tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from metabone.errors import InputError
from metabone.nets.layers import FullyConnected
from metabone.nets.network import Network, from_linen

PATCH = 14
BLOCKS = 12
HEAD_CHANNELS = 64
"""Channels of each head of attention, in networks of any width."""

_EPSILON = 1e-6
_TOKEN_START = nn.initializers.normal(0.02)


def dinov2(
    classes: int,
    *,
    channels: int,
    width: float = 1.0,
    registers: int = 0,
    grid: int = 37,
    class_position: bool = True,
    antialias: bool = False,
    patch_mean: bool = False,
) -> Network:
    """A vision transformer of 12 blocks as DINOv2 trains them.

    Its features are the class token after the last normalisation. They take images of any height
    and width that are multiples of 14: learned positions are resized to the images, see
    `resized_positions`.

    Args:
      classes: of a linear classifier on the features; 0 for the features themselves.
      channels: 384 for ViT-S, 768 for ViT-B.
      width: multiplies the channels; the product is a multiple of 64.
      registers: tokens without position that stand beside the class token.
      grid: learned positions a side; 37 for images of 518 pixels.
      class_position: whether there is one of the class token too; timm's files with registers have
        it added to the token.
      antialias: see `resized_positions`.
      patch_mean: whether the mean of the patches' tokens follows the class token in the features,
        which then are twice as many; DINOv2's own linear probes are given both.

    Returns:
      The network, cut before its head if it has classes; it has no batch statistics.

    Raises:
      InputError: channels that are no multiple of 64, or a negative number of classes.

    Source: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2023);
    Darcet et al., "Vision Transformers Need Registers" (2023).
    """
    wide = round(channels * width)
    if wide < HEAD_CHANNELS or wide % HEAD_CHANNELS:
        raise InputError(
            f"width (={width}) times {channels} channels: expected a multiple of {HEAD_CHANNELS}"
        )
    if classes < 0:
        raise InputError(f"classes (={classes}): expected at least 0")
    module = _Dinov2(classes, wide, registers, grid, class_position, antialias, patch_mean)
    if not classes:
        return from_linen(module)
    return from_linen(module, module.clone(classes=0), FullyConnected((), classes))


def resized_positions(positions: jax.Array, rows: int, columns: int, antialias: bool) -> jax.Array:
    """Brings learned positions to the patches of an image, as PyTorch's code does it.

    Two rules are in use. Meta's code takes the first for its networks without registers, as those
    who publish weights for that code do; its networks with registers and all of timm's take the
    second.

    Args:
      positions: `[G, G, D]`.
      rows: of patches.
      columns: likewise.
      antialias: False for bicubic with a = -0.75 and repeated borders, at points that lie as if the
        image had a tenth of a patch more; True for bicubic with a = -0.5 and a kernel that widens
        as the grid shrinks.

    Returns:
      `[rows, columns, D]`; the positions as they are where there are as many.
    """
    size, target = positions.shape[:2], (rows, columns)
    if target == size:
        return positions
    shape = (*target, positions.shape[-1])
    if antialias:
        return jax.image.resize(positions, shape, "cubic")
    scale = (np.array(target, np.float32) + np.float32(0.1)) / np.array(size, np.float32)
    return jax.image.scale_and_translate(
        positions, shape, (0, 1), scale, jnp.zeros(2), "cubic-pytorch", antialias=False
    )


class _Block(nn.Module):
    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        channels, heads = tokens.shape[-1], (-1, HEAD_CHANNELS)

        def normed(name, hidden):
            return nn.LayerNorm(_EPSILON, use_fast_variance=False, name=name)(hidden)

        def gained(name, hidden):
            return hidden * self.param(name, nn.initializers.constant(1e-5), (channels,))

        hidden = nn.Dense(3 * channels, name="attention_in")(normed("norm_1", tokens))
        query, key, value = (
            part.reshape(*part.shape[:-1], *heads) for part in jnp.split(hidden, 3, axis=-1)
        )
        hidden = jax.nn.dot_product_attention(query, key, value).reshape(tokens.shape)
        tokens = tokens + gained("gain_1", nn.Dense(channels, name="attention_out")(hidden))
        hidden = nn.Dense(4 * channels, name="mlp_in")(normed("norm_2", tokens))
        hidden = nn.Dense(channels, name="mlp_out")(nn.gelu(hidden, approximate=False))
        return tokens + gained("gain_2", hidden)


class _Patches(nn.Module):
    features: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        count, height, width, depth = images.shape
        start = nn.initializers.lecun_normal()
        kernel = self.param("kernel", start, (PATCH, PATCH, depth, self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        cut = images.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, depth)
        flat = cut.swapaxes(2, 3).reshape(count, height // PATCH, width // PATCH, -1)
        return flat @ kernel.reshape(-1, self.features) + bias


class _Dinov2(nn.Module):
    classes: int
    channels: int
    registers: int
    grid: int
    class_position: bool
    antialias: bool
    patch_mean: bool

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        del use_batch_stats
        _check_images(images)
        patches = _Patches(self.channels, name="patches")(images)
        count, rows, columns = patches.shape[:3]
        of_class, of_patches = self._positions(rows, columns)
        class_token = self.param("class_token", _TOKEN_START, (1, 1, self.channels)) + of_class
        beside = [class_token]
        if self.registers:
            shape = (1, self.registers, self.channels)
            beside.append(self.param("registers", _TOKEN_START, shape))
        tokens = jnp.concatenate(
            [
                *(jnp.repeat(token, count, axis=0) for token in beside),
                (patches + of_patches).reshape(count, -1, self.channels),
            ],
            axis=1,
        )
        for index in range(BLOCKS):
            tokens = _Block(name=f"block_{index}")(tokens)
        tokens = nn.LayerNorm(_EPSILON, use_fast_variance=False, name="norm")(tokens)
        features = tokens[:, 0]
        if self.patch_mean:
            mean = tokens[:, 1 + self.registers :].mean(1)
            features = jnp.concatenate([features, mean], axis=-1)
        if not self.classes:
            return features
        return FullyConnected((), self.classes, name="head")(features)

    def _positions(self, rows: int, columns: int) -> tuple[jax.Array | float, jax.Array]:
        first = int(self.class_position)
        shape = (1, first + self.grid**2, self.channels)
        positions = self.param("positions", _TOKEN_START, shape)
        of_patches = positions[0, first:].reshape(self.grid, self.grid, self.channels)
        of_class = positions[:, :1] if first else 0.0
        return of_class, resized_positions(of_patches, rows, columns, self.antialias)


def _check_images(images: jax.Array) -> None:
    if images.ndim != 4:
        raise InputError(f"images of shape {images.shape}: expected [n, H, W, C]")
    if images.shape[1] % PATCH or images.shape[2] % PATCH:
        raise InputError(
            f"images of {images.shape[1]}x{images.shape[2]} pixels: DINOv2 expects multiples of "
            f"{PATCH}"
        )

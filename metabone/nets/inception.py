"""Inception V3."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metabone.nets.conv_norm import (
    ConvNorm,
    Padding,
    backbone_of,
    channels_at,
    check_images,
    ended,
)
from metabone.nets.network import Network
from metabone.nets.pools import average_pool_3x3, max_pool_3x3


class Unit(NamedTuple):
    """A convolution with what follows it.

    Attributes:
      name: PyTorch's within its block.
      channels: at width 1.
      kernel: height and width.
      stride: in both directions.
      shrinks: whether it is published without padding.
    """

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    shrinks: bool = False


Step = Unit | tuple[Unit, Unit] | Literal["average", "max"]
"""Two units look at the same maps, and their own are joined."""


def _mixed_a(pooled: int) -> tuple[tuple[Step, ...], ...]:
    return (
        (Unit("branch1x1", 64),),
        (Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, (5, 5))),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3)),
        ),
        ("average", Unit("branch_pool", pooled)),
    )


def _mixed_b() -> tuple[tuple[Step, ...], ...]:
    return (
        (Unit("branch3x3", 384, (3, 3), 2, True),),
        (
            Unit("branch3x3dbl_1", 64),
            Unit("branch3x3dbl_2", 96, (3, 3)),
            Unit("branch3x3dbl_3", 96, (3, 3), 2, True),
        ),
        ("max",),
    )


def _mixed_c(inner: int) -> tuple[tuple[Step, ...], ...]:
    return (
        (Unit("branch1x1", 192),),
        (
            Unit("branch7x7_1", inner),
            Unit("branch7x7_2", inner, (1, 7)),
            Unit("branch7x7_3", 192, (7, 1)),
        ),
        (
            Unit("branch7x7dbl_1", inner),
            Unit("branch7x7dbl_2", inner, (7, 1)),
            Unit("branch7x7dbl_3", inner, (1, 7)),
            Unit("branch7x7dbl_4", inner, (7, 1)),
            Unit("branch7x7dbl_5", 192, (1, 7)),
        ),
        ("average", Unit("branch_pool", 192)),
    )


def _mixed_d() -> tuple[tuple[Step, ...], ...]:
    return (
        (Unit("branch3x3_1", 192), Unit("branch3x3_2", 320, (3, 3), 2, True)),
        (
            Unit("branch7x7x3_1", 192),
            Unit("branch7x7x3_2", 192, (1, 7)),
            Unit("branch7x7x3_3", 192, (7, 1)),
            Unit("branch7x7x3_4", 192, (3, 3), 2, True),
        ),
        ("max",),
    )


def _mixed_e() -> tuple[tuple[Step, ...], ...]:
    return (
        (Unit("branch1x1", 320),),
        (
            Unit("branch3x3_1", 384),
            (Unit("branch3x3_2a", 384, (1, 3)), Unit("branch3x3_2b", 384, (3, 1))),
        ),
        (
            Unit("branch3x3dbl_1", 448),
            Unit("branch3x3dbl_2", 384, (3, 3)),
            (Unit("branch3x3dbl_3a", 384, (1, 3)), Unit("branch3x3dbl_3b", 384, (3, 1))),
        ),
        ("average", Unit("branch_pool", 192)),
    )


_STEM: tuple[Step, ...] = (
    Unit("Conv2d_1a_3x3", 32, (3, 3), 2, True),
    Unit("Conv2d_2a_3x3", 32, (3, 3), 1, True),
    Unit("Conv2d_2b_3x3", 64, (3, 3)),
    "max",
    Unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, (3, 3), 1, True),
    "max",
)

BLOCKS: dict[str, tuple[tuple[Step, ...], ...]] = {
    "": (_STEM,),
    "Mixed_5b": _mixed_a(32),
    "Mixed_5c": _mixed_a(64),
    "Mixed_5d": _mixed_a(64),
    "Mixed_6a": _mixed_b(),
    "Mixed_6b": _mixed_c(128),
    "Mixed_6c": _mixed_c(160),
    "Mixed_6d": _mixed_c(160),
    "Mixed_6e": _mixed_c(192),
    "Mixed_7a": _mixed_d(),
    "Mixed_7b": _mixed_e(),
    "Mixed_7c": _mixed_e(),
}
"""By PyTorch's names: the branches of each block, whose maps are joined."""


def units() -> Iterator[tuple[str, str]]:
    """All convolutions in the order of the code behind the published files.

    Yields:
      PyTorch's names of the block, empty for the stem, and of the convolution.
    """
    for block, branches in BLOCKS.items():
        for branch in branches:
            for step in branch:
                for unit in (step,) if isinstance(step, Unit) else step:
                    if isinstance(unit, Unit):
                        yield block, unit.name


class _InceptionV3(nn.Module):
    width: float
    classes: int
    average: bool
    padding: Padding
    count_padding: bool

    @nn.compact
    def __call__(self, images: jax.Array, use_batch_stats: bool) -> jax.Array:
        check_images(images, 75 if self.padding == "none" else 1)

        def apply(block: str, unit: Unit, hidden: jax.Array) -> jax.Array:
            layer = ConvNorm(
                channels_at(self.width, unit.channels),
                unit.kernel,
                unit.stride,
                self.padding if unit.shrinks else "same",
                name=f"{block}_{unit.name}".lstrip("_"),
            )
            return layer(hidden, use_batch_stats)

        hidden = images
        for block, branches in BLOCKS.items():
            found = []
            for branch in branches:
                inner = hidden
                for step in branch:
                    if step == "average":
                        inner = average_pool_3x3(inner, self.count_padding)
                    elif step == "max":
                        inner = max_pool_3x3(inner, self.padding)
                    elif isinstance(step, Unit):
                        inner = apply(block, step, inner)
                    else:
                        inner = jnp.concatenate([apply(block, unit, inner) for unit in step], -1)
                found.append(inner)
            hidden = jnp.concatenate(found, axis=-1)
        return ended(hidden, self.classes, self.average)


def inception_v3(
    classes: int,
    *,
    width: float = 1.0,
    average: bool = True,
    padding: Padding = "none",
    count_padding: bool = True,
) -> Network:
    """Inception V3: a stem and eleven blocks of parallel convolutions, 2,048 maps.

    Args:
      classes: outputs; 0 for a backbone.
      width: multiplies all channels.
      average: whether the body ends in the mean of each last map, rather than in the maps.
      padding: of the convolutions and pools that are published without any, `none`; `same` lets
        images below 75 pixels a side through.
      count_padding: whether the zeros around an image count in average pools, as in PyTorch's
        files and not in Keras's.

    Returns:
      The network (Szegedy et al. 2016), without its auxiliary classifier.

    Raises:
      InputError: a width that is not positive, or a negative number of classes.
    """
    return backbone_of(_InceptionV3(width, classes, average, padding, count_padding))

"""What is known beside an image, such as sex, as one more row of pixels below it."""

import jax

from metabone.errors import InputError


def shape_above(image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image without the row below it.

    Args:
      image_shape: `[..., H + 1, W, C]`.

    Returns:
      `(..., H, W, C)`.

    Raises:
      InputError: no room for a row.
    """
    if len(image_shape) < 3 or image_shape[-3] < 2:
        raise InputError(
            f"images of shape {tuple(image_shape)}: expected [..., H + 1, W, C], the last row what "
            "is known beside the image"
        )
    *before, height, width, channels = image_shape
    return (*before, height - 1, width, channels)


def split_row(images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Takes the row off images, as `radiograph.sex.with_sex_row` puts it there.

    Args:
      images: `[n, ..., H + 1, W, C]`; of a film's regions `[n, R, H + 1, W, C]` the first tells.

    Returns:
      The images `[n, ..., H, W, C]`, and `[n, 1]` the first pixel of each one's row.

    Raises:
      InputError: no room for a row.
    """
    shape_above(images.shape[1:])
    known = images[..., -1, 0, 0].reshape(len(images), -1)[:, :1]
    return images[..., :-1, :, :], known

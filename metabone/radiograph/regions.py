"""The six regions of a hand film whose epiphyses tell maturity."""

import jax
import jax.numpy as jnp

# Min and Kang 2018 fix region 2 (middle finger, last joint) and region 4 (middle finger, first
# joint) and name thumb, middle and ring finger; the other four are our reading.
REGION_NAMES = (
    "thumb, distal phalanx",
    "middle finger, distal phalanx",
    "ring finger, distal phalanx",
    "middle finger, proximal phalanx",
    "ring finger, proximal phalanx",
    "thumb, proximal phalanx",
)

REGION_SIZE = 64


def crop_regions(image: jax.Array, centres: jax.Array, size: int = REGION_SIZE) -> jax.Array:
    """Cuts square regions out of a film.

    The centre lies on pixel `size // 2` of the crop, after rounding to whole pixels. Beyond the
    border the film is mirrored (without repeating the border pixel); a
    centre outside the film is moved to its border, so a crop never leaves the film altogether.

    Args:
      image: `[H, W]`, any dtype, both sides at least `size`.
      centres: `[R, 2]` float32, `(x, y)` pixels.
      size: side of a region in pixels.

    Returns:
      `[R, size, size]` of the dtype of `image`.

    >>> import jax.numpy as jnp
    >>> ramp = jnp.broadcast_to(jnp.arange(100), (100, 100))
    >>> crop = crop_regions(ramp, jnp.array([[50.0, 0.0]]), size=4)
    >>> crop[0, 0].tolist()
    [48, 49, 50, 51]
    """
    image, centres = jnp.asarray(image), jnp.asarray(centres)
    # Half a pixel is always rounded up; rounding to even would move neighbouring crops unequally.
    at = jnp.floor(centres + 0.5).astype(jnp.int32)
    steps = jnp.arange(size) - size // 2

    def mirrored(middle: jax.Array, length: int) -> jax.Array:
        index = jnp.abs(jnp.clip(middle, 0, length - 1) + steps)
        return length - 1 - jnp.abs(length - 1 - index)

    def crop(centre: jax.Array) -> jax.Array:
        rows = mirrored(centre[1], image.shape[0])
        columns = mirrored(centre[0], image.shape[1])
        return image[rows[:, None], columns[None, :]]

    return jax.vmap(crop)(at)

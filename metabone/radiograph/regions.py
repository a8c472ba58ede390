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
    height, width = image.shape
    half = size // 2
    padded = jnp.pad(image, half, mode="reflect")
    # Half a pixel is always rounded up; rounding to even would move neighbouring crops unequally.
    at = jnp.floor(centres + 0.5).astype(jnp.int32)

    def crop(centre: jax.Array) -> jax.Array:
        # Padding has moved the film by `half`, which is just what the crop's corner is short of.
        corner = (jnp.clip(centre[1], 0, height - 1), jnp.clip(centre[0], 0, width - 1))
        return jax.lax.dynamic_slice(padded, corner, (size, size))

    return jax.vmap(crop)(at)

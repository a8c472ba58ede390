"""From the seed a step is given to the key it draws from."""

import jax

from metabone.episodes.streams import seed_key


def base_key(seed: jax.Array | int) -> jax.Array:
    """The key of a seed; a key is returned as it is.

    Args:
      seed: an integer scalar (int32 or uint32 when it is an array), or a typed key.

    Returns:
      A typed scalar key.
    """
    dtype = getattr(seed, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return seed
    return seed_key(seed)

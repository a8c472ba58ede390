"""Simulated films for a network that finds key points: hands of all shapes, from small children on.

They are not the films of `simulated:smi`, whose hands are alike but for their maturity.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.chunks import render_chunks
from metabone.radiograph.hand_views import PointedFilms, pointed_films
from metabone.radiograph.simulation import simulate_film

# From about the second year, by the affine relation of `growth`, to adulthood.
_YOUNGEST, _OLDEST = -0.4, 1.05
_CHUNK = 16


@jax.jit
def _chunk(key: jax.Array, index: jax.Array) -> tuple[jax.Array, jax.Array]:
    def one(index):
        age_key, film_key = jax.random.split(jax.random.fold_in(key, index))
        maturity = _YOUNGEST + (_OLDEST - _YOUNGEST) * jax.random.uniform(age_key)
        film = simulate_film(film_key, maturity, index % 2, varied=True)
        return film.image, film.key_points

    return jax.lax.map(one, index)


def simulate_pointed_films(
    seed: int, count: int, progress: Callable[[int, int], None] | None = None
) -> PointedFilms:
    """Renders films of varied hands with their 21 points.

    Args:
      seed: of the set; a film depends on it and on its place in the set alone.
      count: how many.
      progress: called as `progress(done, count)` after each chunk.

    Returns:
      The films, on the host.
    """
    key = jax.random.key(seed)

    def render(first: int) -> PointedFilms:
        index = np.minimum(np.arange(first, first + _CHUNK, dtype=np.int32), count - 1)
        images, points = (np.asarray(leaf) for leaf in _chunk(key, jnp.asarray(index)))
        used = min(_CHUNK, count - first)
        return pointed_films(images[:used], points[:used])

    chunks = render_chunks(render, count, _CHUNK, progress)
    return PointedFilms(*(np.concatenate(leaves) for leaves in zip(*chunks, strict=True)))

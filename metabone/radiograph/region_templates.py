"""Templates that regions are registered to, from simulated films alone.

So a region's crop depends on no other real film: neither on what is asked with it, nor on what was
learned from.
"""

import functools
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.canonical import normal_exposure
from metabone.radiograph.chunks import render_chunks
from metabone.radiograph.cutting import ROOM, cut_regions
from metabone.radiograph.region_sets import REGION_SETS, Region
from metabone.radiograph.registration import make_template, register
from metabone.radiograph.simulation import simulate_film
from metabone.stored_arrays import load_arrays

SHIPPED = "region_templates.npz"
"""What `python -m benchmarks.region_templates` wrote: float16, of `min_kang_6`."""

_SEED = 5
_CHUNK = 16


@jax.jit
def _chunk(index: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    def one(index):
        maturity_key, film_key = jax.random.split(jax.random.fold_in(jax.random.key(_SEED), index))
        film = simulate_film(film_key, jax.random.uniform(maturity_key), index % 2, varied=True)
        return film.image, film.key_points, film.inverted

    return jax.lax.map(one, index)


@functools.lru_cache(maxsize=8)
def simulated_templates(regions: tuple[Region, ...]) -> np.ndarray:
    """Templates of regions, as `registration.make_template` makes them.

    Of 240 simulated hands of varied shape and any maturity. Those of `min_kang_6` come with the
    package; others take about 20 seconds on two cores, once a process.

    Args:
      regions: such as `region_sets.REGION_SETS["min_kang_6"]`.

    Returns:
      `[R, 64, 64, 2]` float32, not to be written to.
    """
    if regions == REGION_SETS["min_kang_6"]:
        with resources.as_file(resources.files("metabone.radiograph") / SHIPPED) as path:
            templates = load_arrays(path, ("templates",))["templates"].astype(np.float32)
    else:
        templates = render_templates(regions)
    templates.flags.writeable = False
    return templates


def render_templates(regions: tuple[Region, ...], films: int = 240) -> np.ndarray:
    """`simulated_templates` anew, of so many films."""

    def render(first: int) -> np.ndarray:
        drawn = zip(*map(np.asarray, _chunk(jnp.arange(first, first + _CHUNK))), strict=True)
        crops = [
            cut_regions(
                normal_exposure(255 - film if inverted else film), points, regions, room=ROOM
            )
            for film, points, inverted in drawn
        ]
        return np.stack(crops)

    crops = np.concatenate(list(render_chunks(render, films, _CHUNK, None)))
    return np.stack([make_template(crops[:, place]) for place in range(len(regions))])


def registered_regions(
    films: list[np.ndarray],
    points: np.ndarray,
    regions: tuple[Region, ...],
    templates: np.ndarray,
) -> np.ndarray:
    """Regions of films, each turned along its bone and moved onto its template.

    Args:
      films: `n` films `[H, W]`, bones bright.
      points: `[n, 21, 2]` float `(x, y)` pixels of each film.
      regions: `R` of them.
      templates: `[R, S, S, 2]`, such as `simulated_templates(regions)`.

    Returns:
      `[n, R, S, S]` uint8, each stretched on its own.
    """
    size = templates.shape[1]
    crops = [
        cut_regions(film, at, regions, size, ROOM) for film, at in zip(films, points, strict=True)
    ]
    crops = np.stack(crops)
    moved = [
        register(crops[:, place], template).regions for place, template in enumerate(templates)
    ]
    return np.stack(moved, axis=1)

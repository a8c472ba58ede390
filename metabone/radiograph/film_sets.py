"""Sets of simulated films for experiments, rendered in chunks and kept as regions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.canonical import is_inverted
from metabone.radiograph.chunks import render_chunks
from metabone.radiograph.cutting import cut_regions, stretched
from metabone.radiograph.growth import maturity_for_stage
from metabone.radiograph.region_sets import REGION_SETS, Region
from metabone.radiograph.simulation import Film, simulate_film

SMI_COUNTS = (188, 145, 277, 68, 10, 48, 75, 2, 11, 29, 12)
"""Films in stages 1..11 (Min and Kang 2018, Table 1); their sum is 865."""

_SIX = REGION_SETS["min_kang_6"]
_YOUNGEST = -0.2
"""Maturity of the youngest of `simulate_hands`: about three years, by the relation of `growth`."""

_CHUNK = 16


class SimulatedFilms(NamedTuple):
    """Regions of n simulated films with their ground truth, on the host.

    Attributes:
      regions: `[n, R, 64, 64]` uint8, cut along the bones as those of real films are, bones bright.
      centres: `[n, 6, 2]` float32 `(x, y)` pixels of the film, the true growth plates that the
        regions of `REGION_NAMES` are to show.
      stages: `[n]` int32, 1..11.
      sexes: `[n]` int32, 0 female, 1 male.
      bone_ages_months: `[n]` float32.
      maturities: `[n]` float32 in [0, 1].
      inverted: `[n]` bool.
      bone_maturities: `[n, 21]` float32 in [0, 1], order of `anatomy.BONES`.
      key_points: `[n, 21, 2]` float32 `(x, y)` pixels of the film, order of
        `landmarks.POINT_NAMES`.
      kept: `[m]` int32, which films were kept whole.
      films: `[m, 512, 512]` uint8, those films.
    """

    regions: np.ndarray
    centres: np.ndarray
    stages: np.ndarray
    sexes: np.ndarray
    bone_ages_months: np.ndarray
    maturities: np.ndarray
    inverted: np.ndarray
    bone_maturities: np.ndarray
    key_points: np.ndarray
    kept: np.ndarray
    films: np.ndarray


def _of_stage(key: jax.Array, index: jax.Array, stage: jax.Array, sex: jax.Array) -> Film:
    stage_key, film_key = jax.random.split(jax.random.fold_in(key, index))
    return simulate_film(film_key, maturity_for_stage(stage_key, stage), sex)


def _of_any_age(key: jax.Array, index: jax.Array, stage: jax.Array, sex: jax.Array) -> Film:
    del stage
    age_key, film_key = jax.random.split(jax.random.fold_in(key, index))
    maturity = jax.random.uniform(age_key, minval=_YOUNGEST, maxval=1.0)
    return simulate_film(film_key, maturity, sex, varied=True)


@partial(jax.jit, static_argnums=0)
def _chunk(
    draw: Callable[..., Film], key: jax.Array, index: jax.Array, stages: jax.Array, sexes: jax.Array
) -> Film:
    # Nobody asks for the outline here, so nobody pays for it.
    return jax.lax.map(lambda row: draw(key, *row)._replace(outline=None), (index, stages, sexes))


def simulate_films(
    seed: int,
    stages: np.ndarray,
    *,
    sexes: np.ndarray | None = None,
    regions: tuple[Region, ...] = _SIX,
    keep: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedFilms:
    """Renders a set of films and cuts out their regions.

    A film depends on the seed, its place in the set, its stage and its sex, and on nothing else.

    Args:
      seed: of the set.
      stages: `[n]` int, 1..11.
      sexes: `[n]` int, 0 female, 1 male; every second film by default.
      regions: `R` of them, such as `REGION_SETS["min_kang_6"]`, which is the default.
      keep: which films to keep whole.
      progress: called as `progress(done, n)` after each chunk.

    Returns:
      A `SimulatedFilms`.
    """
    stages = np.asarray(stages, np.int32)
    count = len(stages)
    sexes = np.arange(count, dtype=np.int32) % 2 if sexes is None else np.asarray(sexes, np.int32)
    if stages.ndim != 1 or count == 0 or stages.min() < 1 or stages.max() > 11:
        raise ValueError(f"stages must be a vector of 1..11, not empty; given {stages!r:.80}")
    if sexes.shape != stages.shape:
        raise ValueError(f"{len(sexes)} sexes for {count} films; one for each is needed")
    return _films(_of_stage, seed, stages, sexes, regions, keep, progress)


def simulate_hands(
    seed: int,
    count: int,
    *,
    regions: tuple[Region, ...] = _SIX,
    keep: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedFilms:
    """Renders hands of varied shape and of any bone age from about three years on.

    They are what a reading of maturity is learned from: `simulate_films` has hands that are alike
    but for their maturity, in stages.

    Args:
      seed: of the set; a film depends on it and on its place in the set alone.
      count: how many; sexes take turns.
      regions: as of `simulate_films`.
      keep: which films to keep whole.
      progress: called as `progress(done, count)` after each chunk.

    Returns:
      A `SimulatedFilms`; stages follow from maturities.
    """
    if count < 1:
        raise ValueError(f"count (={count}): expected at least 1")
    sexes = np.arange(count, dtype=np.int32) % 2
    return _films(_of_any_age, seed, np.ones(count, np.int32), sexes, regions, keep, progress)


def _films(draw, seed, stages, sexes, regions, keep, progress) -> SimulatedFilms:
    count = len(stages)
    kept = np.asarray(sorted(set(keep)), np.int32)
    if kept.size and not (0 <= kept[0] and kept[-1] < count):
        raise ValueError(f"films to keep must lie in 0..{count - 1}; given {kept.tolist()!r:.80}")
    key = jax.random.key(seed)

    def render(first: int) -> tuple[Film, np.ndarray, np.ndarray]:
        # The last chunk repeats the last film, so that one compilation serves all.
        index = np.minimum(np.arange(first, first + _CHUNK, dtype=np.int32), count - 1)
        found = _chunk(
            draw, key, jnp.asarray(index), jnp.asarray(stages[index]), jnp.asarray(sexes[index])
        )
        used = min(_CHUNK, count - first)
        images = np.asarray(found.image)[:used]
        truth = jax.tree.map(lambda leaf: np.asarray(leaf)[:used], found._replace(image=None))
        crops = [
            cut_regions(255 - image if is_inverted(image, points) else image, points, regions)
            for image, points in zip(images, truth.key_points, strict=True)
        ]
        here = kept[(kept >= first) & (kept < first + used)] - first
        return truth, stretched(np.stack(crops)), images[here]

    chunks = render_chunks(render, count, _CHUNK, progress)
    film, crops, films = jax.tree.map(lambda *leaves: np.concatenate(leaves), *chunks)
    return SimulatedFilms(
        regions=crops,
        centres=film.regions,
        stages=film.stage,
        sexes=film.sex,
        bone_ages_months=film.bone_age_months,
        maturities=film.maturity,
        inverted=film.inverted,
        bone_maturities=film.bone_maturity,
        key_points=film.key_points,
        kept=kept,
        films=films,
    )


def smi_stages() -> np.ndarray:
    """Stages of the 865 films of `simulated:smi`, ascending.

    Returns:
      `[865]` int32, 1..11, with the counts of `SMI_COUNTS`.
    """
    return np.repeat(np.arange(1, 12, dtype=np.int32), SMI_COUNTS)


def simulate_smi(
    seed: int = 0,
    *,
    keep: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedFilms:
    """Renders `simulated:smi`: 865 films with the stage counts of Min and Kang 2018.

    Args:
      seed: of the set.
      keep: which films to keep whole; by default the first of each stage and the very last.
      progress: called as `progress(done, 865)` after each chunk.

    Returns:
      A `SimulatedFilms` ordered by stage, sexes taking turns.
    """
    stages = smi_stages()
    if keep is None:
        keep = [*np.searchsorted(stages, np.arange(1, 12)).tolist(), len(stages) - 1]
    return simulate_films(seed, stages, keep=keep, progress=progress)

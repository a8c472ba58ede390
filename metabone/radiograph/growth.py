"""How skeletal maturity is scored, and what it does to an epiphysis."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

FEMALE, MALE = 0, 1

STAGES = 11

# Upper ends of stages 1..10 on the maturity axis. Even spacing keeps every stage as hard as its
# neighbours; how many films a stage has is the data set's business, not the axis's.
STAGE_CUTS = np.linspace(0.0, 1.0, STAGES + 1, dtype=np.float32)[1:-1]

# Bone age is affine in maturity: 5 years at 0, and skeletal adulthood (the radius fused) at 1.
_AGE_AT_ZERO = np.array([60.0, 60.0], np.float32)
_AGE_AT_ONE = np.array([204.0, 222.0], np.float32)


class Epiphysis(NamedTuple):
    """An epiphysis and its growth plate, relative to the half width of the metaphysis.

    Every leaf is float32 of one shape.

    Attributes:
      width: half width of the epiphysis over that of the metaphysis.
      thickness: thickness over the thickness this bone's epiphysis has when grown.
      gap: height of the dark growth plate over the half width of the metaphysis.
      capping: 0 flat disc, 1 its rims reach round the metaphysis.
      fusion: 0 open plate, 1 bridged over the whole width; bridging starts in the middle.
      scar: strength of the bright line that fusion leaves and remodelling removes.
    """

    width: jax.Array
    thickness: jax.Array
    gap: jax.Array
    capping: jax.Array
    fusion: jax.Array
    scar: jax.Array


def _ramp(value: jax.Array, start: float, end: float) -> jax.Array:
    t = jnp.clip((value - start) / (end - start), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def epiphysis_at(bone_maturity: jax.Array) -> Epiphysis:
    """Shape of an epiphysis whose bone has reached a maturity.

    The order (widening to the metaphysis, capping, fusion, fading scar) is that of Fishman 1982;
    thickness and gap change all along, so no part of the axis is without a sign.

    Args:
      bone_maturity: any shape, float32 in [0, 1]; values outside are clipped.

    Returns:
      An `Epiphysis` of that shape.
    """
    b = jnp.clip(bone_maturity, 0.0, 1.0)
    fusion = _ramp(b, 0.58, 0.86)
    return Epiphysis(
        width=0.48 + 0.40 * jnp.clip(b / 0.36, 0.0, 1.0) + 0.20 * _ramp(b, 0.30, 0.58),
        thickness=0.40 + 0.60 * jnp.clip(b / 0.75, 0.0, 1.0),
        gap=(0.32 - 0.24 * jnp.clip(b / 0.8, 0.0, 1.0)) * (1.0 - 0.6 * fusion),
        capping=_ramp(b, 0.34, 0.60),
        fusion=fusion,
        scar=fusion * (1.0 - 0.95 * _ramp(b, 0.80, 1.0)),
    )


def stage_of(maturity: jax.Array) -> jax.Array:
    """Skeletal maturity stage by cut points.

    Args:
      maturity: any shape, float32 in [0, 1].

    Returns:
      int32 in 1..11 of that shape.

    >>> [int(stage_of(jnp.float32(m))) for m in (0.0, 0.5, 1.0)]
    [1, 6, 11]
    """
    cuts = jnp.asarray(STAGE_CUTS)
    return 1 + jnp.searchsorted(cuts, maturity, side="right").astype(jnp.int32)


def maturity_for_stage(key: jax.Array, stage: jax.Array) -> jax.Array:
    """Draws a maturity uniformly inside one stage's interval.

    Args:
      key: typed PRNG key.
      stage: `[]` int, 1..11.

    Returns:
      `[]` float32.
    """
    edges = jnp.concatenate([jnp.zeros(1), jnp.asarray(STAGE_CUTS), jnp.ones(1)])
    low, high = edges[stage - 1], edges[stage]
    # Off the edges by a hair, so that rounding never lands in the neighbouring stage.
    inside = jax.random.uniform(key, minval=1e-4, maxval=1.0 - 1e-4)
    return low + (high - low) * inside


def bone_age_months(maturity: jax.Array, sex: jax.Array) -> jax.Array:
    """Bone age that a maturity stands for: girls reach each maturity earlier.

    Args:
      maturity: any shape, float32 in [0, 1].
      sex: int of the same shape, 0 female, 1 male.

    Returns:
      float32 months of that shape: 60 at 0; 204 (female) or 222 (male) at 1.
    """
    first, last = jnp.asarray(_AGE_AT_ZERO)[sex], jnp.asarray(_AGE_AT_ONE)[sex]
    return first + (last - first) * maturity

"""Hands of other proportions and postures than the standard one: what key points are trained on."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph import anatomy


class Proportions(NamedTuple):
    """The lengths and places of one hand, as the tables of `anatomy`, float32 millimetres.

    Attributes:
      lengths: `[5, 4]` of the segments as they show on the film.
      carpometacarpal: `[5, 2]` the digits' first joints.
      fixed: `[19, 2]` carpals, forearm and soft tissue, order of `anatomy.FIXED`.
    """

    lengths: jax.Array
    carpometacarpal: jax.Array
    fixed: jax.Array


# Where hands differ from the standard one, by eye on films of children: the thumb lies closer, its
# base further from the carpus, the knuckles lie wider.
_METACARPAL_DEGREES = np.array([33.0, 11.0, 1.0, -9.0, -21.0], np.float32)
_FINGER_DEGREES = np.array([29.0, 3.0, 0.0, -3.0, -12.0], np.float32)
_SPREAD_DEGREES = np.array([6.0, 7.0, 1.0, -5.0, -12.0], np.float32)
_THUMB_BASE = np.array([22.0, 7.0], np.float32)
_FOREARM = np.array([9, 11, 16, 18])
# Children's proximal phalanges are a little shorter for their metacarpals than adults'.
_LENGTHS = anatomy.LENGTHS * np.array([1.02, 0.965, 1.0, 0.99], np.float32)


def draw_proportions(key: jax.Array) -> Proportions:
    """Draws the proportions of a hand: slender or broad, its carpus, bent fingers foreshortened.

    Args:
      key: typed PRNG key.

    Returns:
      The proportions.
    """
    key, carpus_key, bend_key, arm_key = jax.random.split(key, 4)
    lengths = jnp.asarray(_LENGTHS) * (1.0 + 0.04 * jax.random.normal(key, (5, 4)))
    # Every eighth hand has fingers that are bent towards or away from the film.
    bends = jax.random.uniform(bend_key, (6,))
    short = jnp.where(bends[5] < 0.125, 1.0 - 0.45 * bends[:5] ** 2, 1.0)
    lengths = lengths * jnp.stack([jnp.ones(5), short, short, 0.5 + 0.5 * short], axis=1)

    normal = jax.random.normal(carpus_key, (4,))
    broad = jnp.stack([1.10 + 0.05 * normal[0], 1.0 + 0.06 * normal[1]])
    bases = jnp.asarray(anatomy.CARPOMETACARPAL).at[0].set(_THUMB_BASE)
    bases = bases.at[0].add(jnp.stack([1.5 * normal[2], 2.0 * normal[3]]))
    fixed = jnp.asarray(anatomy.FIXED) * broad
    # The hand is bent at the wrist towards either side.
    turn = 0.14 * jax.random.normal(arm_key, ())
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    arm = fixed[_FOREARM] @ jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
    return Proportions(lengths, bases * broad, fixed.at[_FOREARM].set(arm))


def draw_angles(key: jax.Array) -> jax.Array:
    """Draws how the digits are spread: closed and even crossing, or wide.

    Args:
      key: typed PRNG key.

    Returns:
      `[5, 4]` float32 radians of each segment from the hand's axis, positive towards the thumb.
    """
    digit_key, bend_key, spread_key = jax.random.split(key, 3)
    spread = -1.1 + 2.7 * jax.random.uniform(spread_key, ())
    digit = jax.random.normal(digit_key, (5, 2)) * jnp.asarray(
        [[9.0, 6.0], [1.5, 3.0], [1.0, 2.0], [1.5, 3.0], [2.0, 4.0]], jnp.float32
    )
    metacarpal = jnp.asarray(_METACARPAL_DEGREES) + digit[:, 0]
    metacarpal = metacarpal + 0.25 * (spread - 0.6) * jnp.asarray(_SPREAD_DEGREES)
    finger = jnp.asarray(_FINGER_DEGREES) + digit.sum(axis=1)
    finger = finger + spread * jnp.asarray(_SPREAD_DEGREES)
    degrees = jnp.stack([metacarpal, finger, finger, finger], axis=1)
    bend = 3.0 * jax.random.normal(bend_key, (5, 4)) * jnp.asarray([0.0, 1.0, 1.0, 1.0])
    # The thumb's joints bend more than the fingers'.
    bend = bend * jnp.asarray([[2.5], [1.0], [1.0], [1.0], [1.0]], jnp.float32)
    return jnp.deg2rad(degrees + bend)

"""Simulated hand-wrist radiographs with their ground truth, drawn from a key."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.anatomy import BONES, REGION_BONES
from metabone.radiograph.growth import bone_age_months, stage_of
from metabone.radiograph.hand import Hand, draw_pose, pose_hand
from metabone.radiograph.rendering import (
    BONE_WEIGHT,
    FLESH_WEIGHT,
    blur,
    bone_attenuation,
    expose,
    grain,
    half_chord,
    nucleus_attenuation,
    stamp,
)
from metabone.radiograph.soft_tissue import flesh_depth, hand_outline
from metabone.radiograph.varied_hands import draw_proportions

FILM_SIZE = 512


INVERTED_SHARE = 0.12

# What biology adds to maturity: to the hand as a whole (the truth is one examiner's, and examiners
# differ), and to each bone. Together they leave the mean of six regions about 0.04 from the truth,
# which is a quarter of a merged class.
_HAND_SIGMA = 0.025
_BONE_SIGMA = 0.065


class Film(NamedTuple):
    """One simulated radiograph of a left hand and what is true of it.

    Attributes:
      image: `[512, 512]` uint8.
      maturity: `[]` float32 in [0, 1].
      stage: `[]` int32, 1..11.
      bone_age_months: `[]` float32.
      sex: `[]` int32, 0 female, 1 male.
      key_points: `[21, 2]` float32 `(x, y)` pixels, order of `landmarks.POINT_NAMES`.
      outline: `[164, 2]` float32 `(x, y)` pixels, polygon round the soft tissue on the film.
      regions: `[6, 2]` float32 `(x, y)` pixels, centres of the regions of `REGION_NAMES`.
      inverted: `[]` bool, bones dark on bright.
      bone_maturity: `[21]` float32 in [0, 1], each growth plate's own; order of `anatomy.BONES`.
    """

    image: jax.Array
    maturity: jax.Array
    stage: jax.Array
    bone_age_months: jax.Array
    sex: jax.Array
    key_points: jax.Array
    outline: jax.Array
    regions: jax.Array
    inverted: jax.Array
    bone_maturity: jax.Array


def _schedule() -> tuple[np.ndarray, np.ndarray]:
    """Lead of each bone `[2, 21]` by sex, and its pace `[21]`."""
    digits = np.array([0, 0, 0] + [d for d in (1, 2, 3, 4) for _ in range(4)] + [5, 5])
    segment = np.array([0, 1, 3] + [0, 1, 2, 3] * 4 + [0, 0])
    # Distal phalanges fuse first, then proximal, then middle ones; the radius closes the series.
    lead = np.select([segment == 3, segment == 1, segment == 2], [0.05, 0.0, -0.02], -0.03)
    lead = lead + np.array([0.02, 0.0, 0.01, 0.0, -0.01, -0.05])[digits]
    # Thumb and little finger lead in girls, the middle of the hand in boys.
    by_sex = np.array([0.02, 0.0, -0.02, -0.01, 0.015, 0.0])[digits]
    pace = np.where(segment == 3, 0.97, 1.0) + np.where(digits == 5, 0.03, 0.0)
    return np.stack([lead + by_sex, lead - by_sex]).astype(np.float32), pace.astype(np.float32)


_LEAD, _PACE = _schedule()


def draw_bone_maturity(key: jax.Array, maturity: jax.Array, sex: jax.Array) -> jax.Array:
    """Draws how far each bone of one hand has got.

    Args:
      key: typed PRNG key.
      maturity: `[]` float32 in [0, 1].
      sex: `[]` int, 0 female, 1 male.

    Returns:
      `[21]` float32 in [0, 1].
    """
    normal = jax.random.normal(key, (1 + BONES,))
    expected = maturity * jnp.asarray(_PACE) + jnp.asarray(_LEAD)[sex]
    noise = _HAND_SIGMA * normal[0] + _BONE_SIGMA * normal[1:]
    return jnp.clip(expected + noise, 0.0, 1.0)


def _attenuation(
    key: jax.Array,
    hand: Hand,
    scale: jax.Array,
    mottle: jax.Array,
    flesh_weight: jax.Array | float = FLESH_WEIGHT,
) -> jax.Array:
    """Attenuation of marker and hand in millimetres of cortical half chord, `[512, 512]`."""
    # The marker first: what is stamped last is fused with what follows and drawn everywhere.
    canvas = _mark(key, jnp.zeros((FILM_SIZE, FILM_SIZE)))

    def part(tree, index):
        return jax.tree.map(lambda leaf: leaf[index], tree)

    # Two sizes of window: small ones save drawing, and every size costs a compilation.
    long = np.array([0, 3, 7, 11, 15, 19, 20])
    groups = ((np.setdiff1d(np.arange(BONES), long), 112), (long, 192))
    for index, window in groups:
        canvas = stamp(
            canvas, part(hand.bones, index), hand.bone_centres[index], window, bone_attenuation
        )
    nuclei = jnp.stack([hand.nuclei.x, hand.nuclei.y], axis=1)
    canvas = stamp(canvas, hand.nuclei, nuclei, 56, nucleus_attenuation)
    # Trabeculae: the marrow's mesh shows as mottle in proportion to the bone in the way.
    bone = canvas * (1.0 + 0.13 * mottle) / scale
    flesh = half_chord(flesh_depth(hand, FILM_SIZE), 15.0 * scale) / scale
    return BONE_WEIGHT * bone + flesh_weight * flesh


def _mark(key: jax.Array, canvas: jax.Array) -> jax.Array:
    """Adds a lead 'L' on its plate at the film's lower left or right."""
    uniform = jax.random.uniform(key, (4,))
    x = jnp.where(uniform[0] < 0.5, 44.0, FILM_SIZE - 50.0) + 30.0 * (uniform[1] - 0.5)
    y = 270.0 + 170.0 * uniform[2]
    turn = 0.6 * (uniform[3] - 0.5)

    def letter(px, py, _):
        u = (px - x) * jnp.cos(turn) + (py - y) * jnp.sin(turn)
        v = (py - y) * jnp.cos(turn) - (px - x) * jnp.sin(turn)

        def box(left, right, top, bottom):
            inside = jnp.minimum(jnp.minimum(u - left, right - u), jnp.minimum(v - top, bottom - v))
            return jnp.clip(inside + 0.5, 0.0, 1.0)

        strokes = jnp.maximum(box(-9.0, -4.0, -15.0, 15.0), box(-9.0, 9.0, 10.0, 15.0))
        # Lead stops nearly everything, its plastic plate as much as a little flesh.
        return 60.0 * strokes + 1.6 * box(-16.0, 16.0, -24.0, 24.0)

    return stamp(canvas, jnp.zeros(1), jnp.stack([x, y])[None], 72, letter)


def _develop(key: jax.Array, attenuation: jax.Array, noise: jax.Array):
    """Turns attenuation into gray levels; returns the uint8 image and whether it is inverted."""
    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.normal(normal_key, (3,))
    uniform = jax.random.uniform(uniform_key, (11,))
    axis = jnp.arange(FILM_SIZE, dtype=jnp.float32)
    x, y = jnp.meshgrid(axis, axis)

    # The beam is not even over the plate (heel effect).
    tilt = 0.06 * normal[:2] / FILM_SIZE
    unevenness = tilt[0] * (x - 256.0) + tilt[1] * (y - 256.0)
    gray = expose(uniform[:5], attenuation, noise) + unevenness

    inset = 22.0 * uniform[5:9] - 8.0
    lean = 0.03 * normal[2]
    last = FILM_SIZE - 1.0
    u, v = x - lean * (y - 256.0), y + lean * (x - 256.0)
    field = jnp.minimum(
        jnp.minimum(u - inset[0], last - inset[1] - u),
        jnp.minimum(v - inset[2], last - inset[3] - v),
    )
    blades = jnp.where(uniform[9] < 0.3, 0.9, 0.0) + 0.003 * noise
    gray = blades + (gray - blades) * jnp.clip(0.3 * field + 0.5, 0.0, 1.0)

    inverted = uniform[10] < INVERTED_SHARE
    gray = jnp.clip(jnp.where(inverted, 1.0 - gray, gray), 0.0, 1.0)
    return (255.0 * gray + 0.5).astype(jnp.uint8), inverted


def simulate_film(
    key: jax.Array, maturity: jax.Array, sex: jax.Array, *, varied: bool = False
) -> Film:
    """Renders one radiograph. Map it with `jax.lax.map`; `jax.vmap` is right but slow on CPU.

    Args:
      key: typed PRNG key; the same key, maturity and sex give the same film to the bit.
      maturity: `[]` float32 in [0, 1]; below 0 is a small child, if `varied`.
      sex: `[]` int, 0 female, 1 male.
      varied: a hand of its own proportions and posture (`varied_hands`), instead of the standard
        one.

    Returns:
      A `Film`.
    """
    maturity, sex = jnp.asarray(maturity, jnp.float32), jnp.asarray(sex, jnp.int32)
    biology, pose_key, build, grain_key, marker_key, exposure = jax.random.split(key, 6)
    bone_maturity = draw_bone_maturity(biology, maturity, sex)
    proportions, flesh_weight = None, FLESH_WEIGHT
    if varied:
        proportions = draw_proportions(jax.random.fold_in(pose_key, 0))
        # Thick and thin hands, hard and soft beams.
        flesh_weight *= jnp.exp(0.4 * jax.random.normal(jax.random.fold_in(pose_key, 1)))
    pose = draw_pose(pose_key, maturity, FILM_SIZE, proportions)
    hand = pose_hand(build, maturity, bone_maturity, pose, proportions)
    noise, mottle = grain(grain_key, (FILM_SIZE, FILM_SIZE))
    attenuation = _attenuation(marker_key, hand, pose.scale, 2.0 * blur(mottle), flesh_weight)
    image, inverted = _develop(exposure, attenuation, noise)
    return Film(
        image=image,
        maturity=maturity,
        stage=stage_of(maturity),
        bone_age_months=bone_age_months(maturity, sex),
        sex=sex,
        key_points=hand.key_points,
        outline=hand_outline(hand, FILM_SIZE),
        regions=hand.plates[REGION_BONES],
        inverted=inverted,
        bone_maturity=bone_maturity,
    )

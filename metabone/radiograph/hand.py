"""The left hand as film sees it: joints, bones and soft tissue from maturity and pose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.growth import Epiphysis, epiphysis_at
from metabone.radiograph.rendering import Bone, Nucleus

# Hand frame: millimetres of an adult, origin in the carpus (capitate), x towards the thumb, y
# towards the fingertips. Digits run from thumb to little finger; segments are metacarpal,
# proximal, middle and distal phalanx, and the thumb's middle phalanx is a hole in every table.
# Lengths: Buryanov and Kotiuk 2010, Int. J. Morphol. 28(3).
_LENGTHS = np.array(
    [
        [46.2, 31.6, 0.0, 21.7],
        [68.1, 39.8, 22.4, 15.8],
        [64.6, 44.6, 26.3, 17.4],
        [58.0, 41.4, 25.7, 17.3],
        [53.7, 32.7, 18.1, 16.0],
    ],
    np.float32,
)
_CARPOMETACARPAL = np.array(
    [[19.5, 1.0], [9.5, 14.5], [0.5, 16.0], [-8.0, 14.0], [-15.0, 10.5]], np.float32
)
_METACARPAL_DEGREES = np.array([44.0, 9.0, 1.0, -8.0, -17.0], np.float32)
_FINGER_DEGREES = np.array([46.0, 8.0, 1.0, -7.0, -18.0], np.float32)
_SPREAD_DEGREES = np.array([6.0, 7.0, 1.0, -5.0, -12.0], np.float32)

# Half widths at the growth plate, the waist and the other end.
_HALF_WIDTHS = np.array(
    [
        [[7.6, 5.0, 7.2], [7.4, 4.5, 6.2], [1.0, 1.0, 1.0], [6.8, 3.4, 4.0]],
        [[7.2, 4.2, 7.4], [7.3, 4.5, 5.6], [6.0, 3.8, 4.8], [5.0, 2.5, 3.4]],
        [[7.3, 4.3, 7.2], [7.6, 4.7, 5.9], [6.4, 4.1, 5.1], [5.2, 2.6, 3.6]],
        [[6.7, 3.8, 6.0], [7.1, 4.3, 5.6], [6.0, 3.8, 4.9], [5.1, 2.5, 3.5]],
        [[6.3, 3.7, 6.0], [6.3, 3.7, 4.8], [5.0, 3.0, 4.1], [4.4, 2.1, 3.0]],
    ],
    np.float32,
)
_SOFT_RADII = np.array(
    [
        [15.5, 11.5, 10.5, 10.0, 8.2],
        [14.0, 11.5, 9.8, 8.6, 7.2],
        [14.0, 11.5, 10.0, 8.8, 7.4],
        [14.0, 11.0, 9.7, 8.5, 7.2],
        [14.0, 10.5, 8.8, 7.8, 6.5],
    ],
    np.float32,
)
_ULNA, _RADIUS = np.array([-14.5, -19.5]), np.array([5.5, -17.5])

BONES = 21
"""Bones with a growth plate: 19 in digit order (thumb first, base to tip), radius, ulna."""

KEY_POINTS = 21
"""Wrist, then per digit from the thumb: its first joint, two more joints, and the bone's tip."""

_REAL = np.array([0, 1, 3, *range(4, 20)])
_IS_METACARPAL = np.array([k % 4 == 0 for k in _REAL])
_IS_DISTAL = np.array([k % 4 == 3 for k in _REAL])
# Only the finger metacarpals grow at the far end; the thumb's behaves like a phalanx.
_GROWS_FAR = np.array([k % 4 == 0 and k > 0 for k in _REAL])

REGION_BONES = np.array([2, 10, 14, 8, 12, 1])
"""Which bone's growth plate each of the six regions looks at; order of `REGION_NAMES`."""

# Carpals and the thumb's sesamoid: x, y, half axes, degrees, maturity at which ossification starts
# and how long it takes. Capitate and hamate are there from the beginning.
_NUCLEI = np.array(
    [
        [0.5, 1.5, 6.6, 10.8, 5, -0.6, 0.7],
        [-9.3, 1.5, 6.3, 8.6, -10, -0.5, 0.7],
        [-14.6, -7.3, 5.6, 4.8, 30, -0.3, 0.7],
        [-5.2, -10.5, 6.6, 5.2, 15, -0.2, 0.65],
        [7.8, -6.6, 5.4, 8.2, -38, -0.08, 0.6],
        [15.4, 0.6, 5.6, 5.2, -30, -0.10, 0.6],
        [9.0, 6.8, 4.8, 5.0, 0, -0.12, 0.6],
        [-15.6, -5.4, 3.6, 4.2, 0, 0.30, 0.4],
        [0.0, 0.0, 2.4, 1.9, 40, 0.30, 0.25],
    ],
    np.float32,
)


class Pose(NamedTuple):
    """Where a hand lies on the film, every leaf float32.

    Attributes:
      scale: `[]` pixels a millimetre.
      rotation: `[]` radians, positive turns the fingertips towards the thumb's side.
      wrist: `[2]` pixels `(x, y)` of the hand frame's origin.
      angles: `[5, 4]` radians of each segment from the hand's axis, positive towards the thumb.
    """

    scale: jax.Array
    rotation: jax.Array
    wrist: jax.Array
    angles: jax.Array


def to_film(points: jax.Array, pose: Pose) -> jax.Array:
    """Puts points of the hand frame onto the film.

    Args:
      points: `[..., 2]` float32 millimetres.
      pose: a `Pose`.

    Returns:
      `[..., 2]` float32 pixels `(x, y)`.
    """
    cos, sin = jnp.cos(pose.rotation), jnp.sin(pose.rotation)
    x, y = points[..., 0], points[..., 1]
    return jnp.stack(
        [
            pose.wrist[0] + pose.scale * (x * cos + y * sin),
            pose.wrist[1] - pose.scale * (y * cos - x * sin),
        ],
        axis=-1,
    )


def _joints(angles: jax.Array) -> jax.Array:
    steps = jnp.asarray(_LENGTHS)[..., None] * jnp.stack(
        [jnp.sin(angles), jnp.cos(angles)], axis=-1
    )
    start = jnp.asarray(_CARPOMETACARPAL)[:, None, :]
    return jnp.concatenate([start, start + jnp.cumsum(steps, axis=1)], axis=1)


def draw_pose(key: jax.Array, maturity: jax.Array, film_size: int = 512) -> Pose:
    """Draws how a hand was laid down, such that fingers and thumb stay on the film.

    Args:
      key: typed PRNG key.
      maturity: `[]` float32; small hands fill a film less.
      film_size: side of the film in pixels.

    Returns:
      A `Pose`.
    """
    keys = jax.random.split(key, 6)
    radians = np.float32(np.pi / 180)
    spread = jax.random.uniform(keys[0], minval=-0.5, maxval=1.6)
    bend = 2.0 * jax.random.normal(keys[1], (5, 4))
    finger = jnp.asarray(_FINGER_DEGREES) + spread * jnp.asarray(_SPREAD_DEGREES)
    metacarpal = jnp.asarray(_METACARPAL_DEGREES) + 0.25 * spread * jnp.asarray(_SPREAD_DEGREES)
    degrees = jnp.stack([metacarpal, finger, finger, finger], axis=1)
    # A metacarpal is held by its neighbours, the thumb's is free.
    angles = radians * (degrees + bend * jnp.asarray([[0.4, 1.0, 1.0, 1.0]], jnp.float32))

    rotation = radians * jnp.clip(7.0 * jax.random.normal(keys[2]), -18.0, 18.0)
    fill = jax.random.uniform(keys[3], minval=0.80, maxval=1.0)
    scale = (film_size / 512.0) * 1.95 * fill * (0.92 + 0.08 * maturity)
    pose = Pose(scale, rotation, jnp.zeros(2), angles)

    reach = to_film(_joints(angles).reshape(-1, 2), pose)
    flesh = 10.0 * scale
    low, high = reach.min(axis=0) - flesh, reach.max(axis=0) + flesh
    # Between both fingertips and border, and carpus with a piece of forearm and border.
    room = film_size - (high - low) - jnp.stack([jnp.float32(0), 34.0 * scale])
    at = jax.random.uniform(keys[4], (2,), minval=0.25, maxval=0.75)
    at = at.at[1].multiply(0.8)
    return pose._replace(wrist=jnp.maximum(room, 0.0) * at - low)


class Hand(NamedTuple):
    """A posed hand on the film, lengths in pixels, every leaf float32.

    Attributes:
      bones: `Bone` with leaves `[21]`, order of `BONES`.
      bone_centres: `[21, 2]` about the middle of each bone.
      nuclei: `Nucleus` with leaves `[9]`: capitate, hamate, triquetrum, lunate, scaphoid,
        trapezium, trapezoid, pisiform, the thumb's sesamoid.
      plates: `[21, 2]` middle of each growth plate (of its remnant, once fused).
      key_points: `[21, 2]`, order of `KEY_POINTS`.
      flesh_from, flesh_to: `[n, 2]` ends of the soft tissue's capsules.
      flesh_radii: `[n, 2]` their radii at both ends.
    """

    bones: Bone
    bone_centres: jax.Array
    nuclei: Nucleus
    plates: jax.Array
    key_points: jax.Array
    flesh_from: jax.Array
    flesh_to: jax.Array
    flesh_radii: jax.Array


def pose_hand(
    key: jax.Array, maturity: jax.Array, bone_maturity: jax.Array, pose: Pose
) -> Hand:
    """Builds the bones and soft tissue of one hand.

    Args:
      key: typed PRNG key, of what differs between hands of the same maturity.
      maturity: `[]` float32 in [0, 1], of the carpals.
      bone_maturity: `[21]` float32 in [0, 1], of the bones with growth plates.
      pose: a `Pose`.

    Returns:
      A `Hand`.
    """
    build_key, width_key, round_key, flesh_key = jax.random.split(key, 4)
    joints = _joints(pose.angles)
    stature = 1.0 + 0.05 * jax.random.normal(build_key)

    near = joints[:, :-1].reshape(20, 2)[_REAL]
    far = joints[:, 1:].reshape(20, 2)[_REAL]
    swap = jnp.asarray(_GROWS_FAR)[:, None]
    grows, other = jnp.where(swap, far, near), jnp.where(swap, near, far)
    # Forearm bones leave the film; 150 mm is more than is ever on it.
    forearm = jnp.asarray(np.stack([_RADIUS, _ULNA]), jnp.float32)
    grows = jnp.concatenate([grows, forearm])
    other = jnp.concatenate(
        [other, jnp.asarray([[3.5, -167.0], [-9.5, -169.0]], jnp.float32)]
    )
    grows, other = to_film(grows, pose), to_film(other, pose)

    halves = np.concatenate(
        [_HALF_WIDTHS.reshape(20, 3)[_REAL], [[12.6, 7.6, 8.0], [7.0, 5.4, 6.0]]]
    ).astype(np.float32)
    slender = stature * (1.0 + 0.03 * jax.random.normal(width_key, (BONES, 1)))
    # Bones grow in width after they have their length.
    grown = 0.90 + 0.10 * bone_maturity[:, None]
    halves = jnp.asarray(halves) * slender * grown * pose.scale
    base, shaft, head = halves[:, 0], halves[:, 1], halves[:, 2]

    epi = epiphysis_at(bone_maturity)
    bones, plates = _long_bones(round_key, grows, other, base, shaft, head, bone_maturity, epi)

    middle = 0.5 * (grows + other)
    reach = jnp.minimum(jnp.linalg.norm(other - grows, axis=1), 55.0 * pose.scale)
    axis = jnp.stack([jnp.cos(bones.angle), jnp.sin(bones.angle)], axis=1)
    bone_centres = jnp.concatenate([middle[:19], (grows + reach[:, None] * axis)[19:]])

    key_points = jnp.concatenate(
        [
            jnp.zeros((1, 2)),
            # The thumb's joints without the hole where its middle phalanx would be.
            joints[0, np.array([0, 1, 2, 4])],
            joints[1:, 1:].reshape(16, 2),
        ]
    )
    flesh_from, flesh_to, flesh_radii = _soft_tissue(joints)
    plump = stature * (1.0 + 0.05 * jax.random.normal(flesh_key)) * (1.05 - 0.05 * maturity)
    return Hand(
        bones=bones,
        bone_centres=bone_centres,
        nuclei=_round_bones(round_key, maturity, joints, pose),
        plates=plates,
        key_points=to_film(key_points, pose),
        flesh_from=to_film(flesh_from, pose),
        flesh_to=to_film(flesh_to, pose),
        flesh_radii=flesh_radii * plump * pose.scale,
    )


def _long_bones(
    key: jax.Array,
    grows: jax.Array,
    other: jax.Array,
    base: jax.Array,
    shaft: jax.Array,
    head: jax.Array,
    bone_maturity: jax.Array,
    epi: Epiphysis,
) -> tuple[Bone, jax.Array]:
    reach = jnp.linalg.norm(other - grows, axis=1)
    axis = (other - grows) / reach[:, None]
    is_metacarpal = np.append(_IS_METACARPAL, [False, False])
    is_distal = np.append(_IS_DISTAL, [False, False])
    round_head = np.append(_GROWS_FAR, [False, False])
    forearm = np.arange(BONES) >= 19

    def choose(phalanx, metacarpal, distal, arm) -> jax.Array:
        kinds = [round_head, is_distal, forearm]
        return jnp.asarray(np.select(kinds, [metacarpal, distal, arm], phalanx), jnp.float32)

    grown_thickness = choose(0.62, 1.15, 0.62, 0.62)
    thickness = base * grown_thickness * epi.thickness
    gap = base * epi.gap
    space = base * (0.20 - 0.08 * bone_maturity)
    setback = space + thickness + gap
    far_space = jnp.where(jnp.asarray(is_distal | forearm), 0.0, 0.5 * space)
    start = grows + axis * setback[:, None]
    plates = grows + axis * (space + thickness + 0.5 * gap)[:, None]
    length = reach - setback - far_space
    wobble = 1.0 + 0.15 * jax.random.normal(key, (BONES,))
    bones = Bone(
        x=start[:, 0],
        y=start[:, 1],
        angle=jnp.arctan2(axis[:, 1], axis[:, 0]),
        length=length,
        base=base,
        shaft=shaft,
        head=head,
        flare_base=jnp.minimum(base * choose(1.5, 1.5, 1.3, 2.0), 0.5 * length),
        flare_head=jnp.minimum(head * choose(1.2, 1.9, 0.8, 2.0), 0.4 * length),
        cortex=shaft * choose(0.36, 0.40, 0.45, 0.34),
        roundness=choose(0.35, 0.25, 0.75, 0.2) * wobble,
        notch=jnp.asarray(np.where(is_metacarpal | is_distal | forearm, 0.0, 0.16), jnp.float32)
        * wobble,
        dome=choose(-0.10, 0.85, -0.12, 0.15) * wobble,
        epi_width=base * epi.width,
        epi_thickness=thickness,
        gap=gap,
        capping=epi.capping,
        fusion=epi.fusion,
        scar=epi.scar,
    )
    return bones, plates


def _round_bones(key: jax.Array, maturity: jax.Array, joints: jax.Array, pose: Pose) -> Nucleus:
    table = jnp.asarray(_NUCLEI)
    late = 0.05 * jax.random.normal(key, (9,))
    grown = jnp.clip((maturity - table[:, 5] - late) / table[:, 6], 0.0, 1.0)
    size = jnp.sqrt(grown) * pose.scale
    # The sesamoid lies beside the thumb's metacarpal head, on the side of the fingers.
    at = table[:, :2].at[8].set(joints[0, 1] + jnp.asarray([-8.0, 1.5], jnp.float32))
    at = to_film(at, pose)
    return Nucleus(
        x=at[:, 0],
        y=at[:, 1],
        angle=jnp.deg2rad(table[:, 4]) + pose.rotation,
        a=table[:, 2] * size,
        b=table[:, 3] * size,
        skew=0.12 * jax.random.normal(key, (9,)),
    )


def _soft_tissue(joints: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    radii = jnp.asarray(_SOFT_RADII)
    starts = [joints[:, :-1].reshape(20, 2)]
    ends = [joints[:, 1:].reshape(20, 2)]
    sizes = [jnp.stack([radii[:, :-1], radii[:, 1:]], axis=-1).reshape(20, 2)]
    # Webs between neighbouring knuckles, carpus, forearm.
    knuckles = joints[1:, 1]
    thumb_web = 0.45 * joints[0, 0] + 0.55 * joints[0, 1]
    starts.append(jnp.concatenate([knuckles[:-1], thumb_web[None]]))
    ends.append(jnp.concatenate([knuckles[1:], (0.5 * (joints[1, 0] + joints[1, 1]))[None]]))
    sizes.append(jnp.asarray([[13.0, 13.0]] * 3 + [[11.0, 13.0]], jnp.float32))
    wrist = [
        [[-10.0, 2.0], [11.0, 2.0], [18.0, 17.0]],
        [[8.0, -16.0], [4.0, -167.0], [17.0, 21.0]],
        [[-12.0, -16.0], [-9.0, -167.0], [15.0, 19.0]],
    ]
    starts.append(jnp.asarray([w[0] for w in wrist], jnp.float32))
    ends.append(jnp.asarray([w[1] for w in wrist], jnp.float32))
    sizes.append(jnp.asarray([w[2] for w in wrist], jnp.float32))
    return jnp.concatenate(starts), jnp.concatenate(ends), jnp.concatenate(sizes)

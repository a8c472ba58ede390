"""The left hand as film sees it: joints, bones and soft tissue from maturity and pose."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph import anatomy
from metabone.radiograph.growth import Epiphysis, epiphysis_at
from metabone.radiograph.rendering import Bone, Nucleus
from metabone.radiograph.varied_hands import Proportions, draw_angles


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


_STANDARD = Proportions(anatomy.LENGTHS, anatomy.CARPOMETACARPAL, anatomy.FIXED)


def _joints(angles: jax.Array, proportions: Proportions) -> jax.Array:
    steps = jnp.asarray(proportions.lengths)[..., None] * jnp.stack(
        [jnp.sin(angles), jnp.cos(angles)], axis=-1
    )
    start = jnp.asarray(proportions.carpometacarpal)[:, None, :]
    return jnp.concatenate([start, start + jnp.cumsum(steps, axis=1)], axis=1)


def draw_pose(
    key: jax.Array,
    maturity: jax.Array,
    film_size: int = 512,
    proportions: Proportions | None = None,
) -> Pose:
    """Draws how a hand was laid down, such that fingers and thumb stay on the film.

    Args:
      key: typed PRNG key.
      maturity: `[]` float32; small hands fill a film less.
      film_size: side of the film in pixels.
      proportions: of a hand whose digits are spread by `draw_angles`; None for the standard hand.

    Returns:
      A `Pose`.
    """
    # One draw of each kind: every separate draw costs a quarter of a second of compilation.
    normal_key, uniform_key = jax.random.split(key)
    normal = jax.random.normal(normal_key, (21,))
    uniform = jax.random.uniform(uniform_key, (4,))
    radians = np.float32(np.pi / 180)
    spread = 0.1 + 1.5 * uniform[0]
    bend = 2.0 * normal[:20].reshape(5, 4)
    finger = jnp.asarray(anatomy.FINGER_DEGREES) + spread * jnp.asarray(anatomy.SPREAD_DEGREES)
    metacarpal = jnp.asarray(anatomy.METACARPAL_DEGREES) + 0.25 * spread * jnp.asarray(
        anatomy.SPREAD_DEGREES
    )
    degrees = jnp.stack([metacarpal, finger, finger, finger], axis=1)
    # A metacarpal is held by its neighbours, the thumb's is free.
    angles = radians * (degrees + bend * jnp.asarray([[0.4, 1.0, 1.0, 1.0]], jnp.float32))
    if proportions is not None:
        angles = draw_angles(jax.random.fold_in(key, 1))

    rotation = radians * jnp.clip(9.0 * normal[20], -22.0, 22.0)
    fill = 0.78 + 0.22 * uniform[1]
    scale = (film_size / 512.0) * 2.15 * fill * (0.95 + 0.05 * maturity)
    pose = Pose(scale, rotation, jnp.zeros(2), angles)

    joints = _joints(angles, _STANDARD if proportions is None else proportions)
    reach = to_film(joints.reshape(-1, 2), pose)
    flesh = 10.0 * scale
    low, high = reach.min(axis=0) - flesh, reach.max(axis=0) + flesh
    # Between both fingertips and border, and carpus with a piece of forearm and border.
    room = film_size - (high - low) - jnp.stack([jnp.float32(0), 34.0 * scale])
    at = jnp.asarray([0.25, 0.2], jnp.float32) + jnp.asarray([0.5, 0.4], jnp.float32) * uniform[2:]
    return pose._replace(wrist=jnp.maximum(room, 0.0) * at - low)


class Hand(NamedTuple):
    """A posed hand on the film, lengths in pixels, every leaf float32.

    Attributes:
      bones: `Bone` with leaves `[21]`, order of `anatomy.BONES`.
      bone_centres: `[21, 2]` about the middle of each bone.
      nuclei: `Nucleus` with leaves `[9]`: capitate, hamate, triquetrum, lunate, scaphoid,
        trapezium, trapezoid, pisiform, the thumb's sesamoid.
      plates: `[21, 2]` middle of each growth plate (of its remnant, once fused).
      key_points: `[21, 2]`, order of `anatomy.KEY_POINTS`.
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
    key: jax.Array,
    maturity: jax.Array,
    bone_maturity: jax.Array,
    pose: Pose,
    proportions: Proportions | None = None,
) -> Hand:
    """Builds the bones and soft tissue of one hand.

    Args:
      key: typed PRNG key, of what differs between hands of the same maturity.
      maturity: `[]` float32 in [0, 1], of the carpals.
      bone_maturity: `[21]` float32 in [0, 1], of the bones with growth plates.
      pose: a `Pose`.
      proportions: of the hand; None for the standard hand.

    Returns:
      A `Hand`.
    """
    sizes = _STANDARD if proportions is None else proportions
    normal = jax.random.normal(key, (2 + 2 * anatomy.BONES + 2 * 9,))
    slimness, wobble = (
        normal[2 : 2 + anatomy.BONES],
        normal[2 + anatomy.BONES : 2 + 2 * anatomy.BONES],
    )
    stature = 1.0 + 0.07 * normal[0]
    joints = _joints(pose.angles, sizes).reshape(25, 2)
    landmarks = to_film(jnp.concatenate([joints, jnp.asarray(sizes.fixed)]), pose)
    grows, other = landmarks[anatomy.GROWING_END], landmarks[anatomy.OTHER_END]

    halves = np.concatenate(
        [anatomy.HALF_WIDTHS.reshape(20, 3)[anatomy.SEGMENTS], [[12.6, 7.6, 8.0], [7.0, 5.4, 6.0]]]
    ).astype(np.float32)
    slender = stature * (1.0 + 0.03 * slimness[:, None])
    # Bones grow in width after they have their length.
    grown = 0.90 + 0.10 * bone_maturity[:, None]
    halves = jnp.asarray(halves) * slender * grown * pose.scale
    base, shaft, head = halves[:, 0], halves[:, 1], halves[:, 2]

    epi = epiphysis_at(bone_maturity)
    bones, plates = _long_bones(wobble, grows, other, base, shaft, head, bone_maturity, epi)

    # The window of a bone that leaves the film lies at the end that is on it.
    reach = jnp.minimum(0.5 * jnp.linalg.norm(other - grows, axis=1), 84.0)
    axis = jnp.stack([jnp.cos(bones.angle), jnp.sin(bones.angle)], axis=1)

    first, last = landmarks[anatomy.FLESH_FROM], landmarks[anatomy.FLESH_TO]
    metacarpals = np.array([0, 4])
    inner = 0.5 * (first[metacarpals] + last[metacarpals])
    plump = stature * (1.0 + 0.05 * normal[1]) * (1.05 - 0.05 * maturity)
    return Hand(
        bones=bones,
        bone_centres=grows + reach[:, None] * axis,
        nuclei=_round_bones(normal[-18:].reshape(2, 9), maturity, landmarks, pose),
        plates=plates,
        key_points=_key_points(landmarks),
        flesh_from=first.at[anatomy.THENAR].set(inner[0]),
        flesh_to=last.at[anatomy.THENAR].set(inner[1]),
        flesh_radii=jnp.asarray(anatomy.FLESH_RADII) * plump * pose.scale,
    )


def _key_points(landmarks: jax.Array) -> jax.Array:
    """The points as annotators set them, which is not where two bones' axes meet."""
    points = landmarks[anatomy.KEY_POINT_LANDMARKS]
    bones = points[anatomy.KEY_POINT_BONES[:, 1]] - points[anatomy.KEY_POINT_BONES[:, 0]]
    thumbwards = jnp.stack([-bones[:, 1], bones[:, 0]], axis=1)
    shift = jnp.asarray(anatomy.KEY_POINT_SHIFTS)
    points = points + shift[:, :1] * bones + shift[:, 1:] * thumbwards
    # The wrist's lies between the ends of radius and ulna, nearer to the radius.
    radius, ulna = landmarks[anatomy.GROWING_END[-2:]]
    lunate = landmarks[anatomy.AT_NUCLEI + 3]
    return points.at[0].set(0.3 * lunate + 0.7 * (0.7 * radius + 0.3 * ulna))


def _long_bones(
    normal: jax.Array,
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

    def choose(phalanx, metacarpal, distal, arm) -> jax.Array:
        kinds = [anatomy.GROWS_FAR, anatomy.IS_DISTAL, anatomy.IS_FOREARM]
        return jnp.asarray(np.select(kinds, [metacarpal, distal, arm], phalanx), jnp.float32)

    grown_thickness = choose(0.62, 1.15, 0.62, 0.62)
    thickness = base * grown_thickness * epi.thickness
    gap = base * epi.gap
    space = base * (0.20 - 0.08 * bone_maturity)
    setback = space + thickness + gap
    far_space = jnp.where(jnp.asarray(anatomy.IS_DISTAL | anatomy.IS_FOREARM), 0.0, 0.5 * space)
    start = grows + axis * setback[:, None]
    plates = grows + axis * (space + thickness + 0.5 * gap)[:, None]
    length = reach - setback - far_space
    wobble = 1.0 + 0.15 * normal
    bones = Bone(
        x=start[:, 0],
        y=start[:, 1],
        angle=jnp.arctan2(axis[:, 1], axis[:, 0]),
        length=length,
        base=base,
        shaft=shaft,
        head=head,
        flare_base=jnp.minimum(base * choose(1.45, 1.5, 0.95, 2.0), 0.5 * length),
        flare_head=jnp.minimum(head * choose(1.2, 1.9, 0.75, 2.0), 0.4 * length),
        cortex=shaft * choose(0.36, 0.40, 0.45, 0.34),
        roundness=choose(0.35, 0.25, 0.75, 0.2) * wobble,
        notch=jnp.asarray(
            np.where(anatomy.IS_METACARPAL | anatomy.IS_DISTAL | anatomy.IS_FOREARM, 0.0, 0.16),
            jnp.float32,
        )
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


def _round_bones(
    normal: jax.Array, maturity: jax.Array, landmarks: jax.Array, pose: Pose
) -> Nucleus:
    table = jnp.asarray(anatomy.NUCLEI)
    late = 0.05 * normal[0]
    grown = jnp.clip((maturity - table[:, 5] - late) / table[:, 6], 0.0, 1.0)
    size = 0.97 * jnp.sqrt(grown) * pose.scale
    # The sesamoid lies beside the thumb's metacarpal head, on the side of the fingers.
    sesamoid = landmarks[1] + 0.22 * (0.5 * (landmarks[5] + landmarks[6]) - landmarks[1])
    at = jnp.concatenate([landmarks[anatomy.AT_NUCLEI : anatomy.AT_NUCLEI + 8], sesamoid[None]])
    return Nucleus(
        x=at[:, 0],
        y=at[:, 1],
        angle=jnp.deg2rad(table[:, 4]) + pose.rotation,
        a=table[:, 2] * size,
        b=table[:, 3] * size,
        skew=0.12 * normal[1],
    )

"""`simulated:bones`: a meta-training set of bone joints that look like a hand film's regions."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.chunks import render_chunks
from metabone.radiograph.growth import epiphysis_at
from metabone.radiograph.regions import REGION_SIZE
from metabone.radiograph.rendering import (
    BONE_WEIGHT,
    FLESH_WEIGHT,
    Bone,
    blur,
    bone_attenuation,
    expose,
    grain,
    half_chord,
)
from metabone.radiograph.simulation import INVERTED_SHARE

CLASSES = 300

_PIXELS_A_MM = 2.0
# Rows of images drawn one after the other; those of a row together.
_CHUNK = (16, 32)


class JointClass(NamedTuple):
    """What the images of one class share; every leaf `[]` float32.

    Attributes:
      maturity: of the growth plate, in [0, 1].
      epi_width, epi_thickness, gap, capping: this class's own deviation from what its maturity
        would make of the epiphysis, around 0.
      knuckle: 1 for a joint within the palm, between a domed metacarpal and a proximal phalanx,
        with neighbours beside it; 0 for one between phalanges.
      base: half width of the metaphysis in pixels.
      waist, head: half widths of shaft and far end, relative to `base`.
      length: of the shaft, relative to `base`.
      flare: reach of the metaphysis's widening, relative to `base`.
      cortex: thickness, relative to the shaft's half width.
      space: height of the joint space, relative to `base`.
      bend: angle between the two bones in radians.
      angle: of the bone from upright in radians, positive towards the thumb.
      notch: depth of the furrow between the condyles.
      coarse, mottle: scale and strength of the trabecular texture.
      flesh: half thickness of the finger in pixels.
    """

    maturity: jax.Array
    epi_width: jax.Array
    epi_thickness: jax.Array
    gap: jax.Array
    capping: jax.Array
    knuckle: jax.Array
    base: jax.Array
    waist: jax.Array
    head: jax.Array
    length: jax.Array
    flare: jax.Array
    cortex: jax.Array
    space: jax.Array
    bend: jax.Array
    angle: jax.Array
    notch: jax.Array
    coarse: jax.Array
    mottle: jax.Array
    flesh: jax.Array


# Lowest and highest value of each attribute over classes, and the standard deviation within one.
# What a film's pose and stature decide (angle, width, length) varies within a class about as much
# as between classes, so that a class is told by its growth plate above all.
_RANGES = JointClass(
    maturity=(0.0, 1.0, 0.03),
    epi_width=(-0.10, 0.10, 0.02),
    epi_thickness=(-0.20, 0.20, 0.04),
    gap=(-0.25, 0.25, 0.05),
    capping=(-0.20, 0.20, 0.05),
    knuckle=(0.0, 1.0, 0.0),
    base=(9.0, 16.0, 1.5),
    waist=(0.46, 0.64, 0.04),
    head=(0.68, 0.90, 0.05),
    length=(1.8, 5.0, 0.6),
    flare=(0.85, 1.65, 0.12),
    cortex=(0.22, 0.46, 0.03),
    space=(0.10, 0.26, 0.02),
    bend=(-0.12, 0.12, 0.09),
    angle=(-0.2, 0.6, 0.25),
    notch=(0.0, 0.22, 0.03),
    coarse=(0.0, 1.0, 0.08),
    mottle=(0.05, 0.22, 0.02),
    flesh=(0.0, 1.0, 0.25),
)


def joint_class(key: jax.Array, class_id: jax.Array) -> JointClass:
    """The point of shape and texture space that a class stands for.

    Args:
      key: typed PRNG key of the whole set.
      class_id: `[]` int.

    Returns:
      A `JointClass`.
    """
    ranges = jnp.asarray(np.array(_RANGES, np.float32))
    at = jax.random.uniform(jax.random.fold_in(key, class_id), (len(_RANGES),))
    drawn = JointClass(*(ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * at))
    return drawn._replace(knuckle=(drawn.knuckle < 0.4).astype(jnp.float32))


def _vary(joint: JointClass, normal: jax.Array) -> JointClass:
    spread = jnp.asarray(np.array(_RANGES, np.float32)[:, 2])
    return JointClass(*(jnp.stack(joint) + spread * normal))


def _joint_bones(joint: JointClass, centre: jax.Array, beside: jax.Array) -> Bone:
    """The bone with the growth plate, the one it meets, and a neighbour; leaves `[3]`."""
    epi = epiphysis_at(joint.maturity)
    base, knuckle = joint.base, joint.knuckle > 0.5
    thickness = 0.62 * base * epi.thickness * (1.0 + joint.epi_thickness)
    gap = base * epi.gap * (1.0 + joint.gap)
    open_plate = 1.0 - epi.fusion
    axis = jnp.stack([jnp.sin(joint.angle), -jnp.cos(joint.angle)])
    facing = joint.angle + joint.bend
    away = jnp.stack([-jnp.sin(facing), jnp.cos(facing)])
    across = jnp.stack([-axis[1], axis[0]])

    start = centre + 0.5 * gap * axis
    contact = centre - (0.5 * gap + thickness + joint.space * base) * axis
    # A metacarpal meets the joint with an epiphysis of its own, a phalanx with its condyles.
    dome_thickness = 1.1 * base * epi.thickness
    dome_start = contact + (dome_thickness + gap) * away
    condyle_start = contact + 60.0 * away
    met_start = jnp.where(knuckle, dome_start, condyle_start)
    met_axis = jnp.where(knuckle, away, -away)
    # Outside the palm nothing is beside a finger.
    neighbour = start + across * jnp.where(knuckle, beside, 500.0) - 4.0 * axis

    def three(main, met, neighbour) -> jax.Array:
        return jnp.stack([jnp.asarray(v, jnp.float32) for v in (main, met, neighbour)])

    def same(value) -> jax.Array:
        return three(value, value, value)

    shaft = base * joint.waist
    head = base * joint.head
    length = base * joint.length
    wide = base * jnp.clip(epi.width + joint.epi_width, 0.3, 1.15)
    heading = jnp.arctan2(axis[1], axis[0])
    return Bone(
        x=three(start[0], met_start[0], neighbour[0]),
        y=three(start[1], met_start[1], neighbour[1]),
        angle=three(heading, jnp.arctan2(met_axis[1], met_axis[0]), heading),
        length=three(jnp.where(knuckle, 60.0, length), 60.0, 60.0),
        base=same(base),
        shaft=three(shaft, jnp.where(knuckle, shaft, 0.92 * shaft), shaft),
        head=same(head),
        flare_base=same(base * joint.flare),
        flare_head=same(head * 1.1),
        cortex=same(shaft * joint.cortex),
        roundness=same(0.35),
        notch=same(joint.notch),
        dome=three(-0.1, 0.85, -0.1),
        epi_width=same(wide),
        epi_thickness=three(thickness, dome_thickness, thickness),
        gap=same(gap),
        capping=same(jnp.clip(epi.capping + open_plate * joint.capping, 0.0, 1.0)),
        fusion=same(epi.fusion),
        scar=same(epi.scar),
    )


def joint_patch(key: jax.Array, joint: JointClass) -> jax.Array:
    """Draws one image of a class.

    Args:
      key: typed PRNG key.
      joint: the class.

    Returns:
      `[64, 64]` uint8.
    """
    normal_key, uniform_key, grain_key = jax.random.split(key, 3)
    normal = jax.random.normal(normal_key, (len(_RANGES) + 3,))
    uniform = jax.random.uniform(uniform_key, (7,))
    joint = _vary(joint, normal[3:])
    joint = joint._replace(
        base=jnp.clip(joint.base, 7.0, 18.0), length=jnp.maximum(joint.length, 1.4)
    )

    pixels = jnp.arange(REGION_SIZE, dtype=jnp.float32)
    x, y = jnp.meshgrid(pixels, pixels)
    centre = 0.5 * REGION_SIZE + 2.0 * normal[:2]
    beside = jnp.where(uniform[6] < 0.5, -1.0, 1.0) * (2.35 * joint.base + 1.5 * normal[2])
    bones = _joint_bones(joint, centre, beside)

    def add(total, bone):
        return total + bone_attenuation(x, y, bone), None

    bone, _ = jax.lax.scan(add, jnp.zeros_like(x), bones)

    # Flesh: a finger as a cylinder with a round tip, a palm as a slab.
    sin, cos = jnp.sin(joint.angle), jnp.cos(joint.angle)
    along = (x - centre[0]) * sin - (y - centre[1]) * cos
    across = (x - centre[0]) * cos + (y - centre[1]) * sin
    palm = joint.knuckle > 0.5
    thickness = jnp.where(palm, 60.0, joint.base * (1.35 + 0.35 * joint.flesh))
    beyond = jnp.maximum(along - jnp.where(palm, 60.0, joint.base * joint.length), 0.0)
    depth = thickness - jnp.sqrt(across * across + beyond * beyond + 1e-6)
    flesh = half_chord(depth, jnp.float32(15.0 * _PIXELS_A_MM))

    noise, fine = grain(grain_key, (REGION_SIZE, REGION_SIZE))
    once = blur(fine)
    texture = 2.0 * once + joint.coarse * (4.5 * blur(blur(blur(once))) - 2.0 * once)
    bone = bone * (1.0 + joint.mottle * texture)
    attenuation = (BONE_WEIGHT * bone + FLESH_WEIGHT * flesh) / _PIXELS_A_MM
    gray = expose(uniform[:5], attenuation, noise)
    gray = jnp.clip(jnp.where(uniform[5] < INVERTED_SHARE, 1.0 - gray, gray), 0.0, 1.0)
    return (255.0 * gray + 0.5).astype(jnp.uint8)


@jax.jit
def _patches(key: jax.Array, class_ids: jax.Array, image_ids: jax.Array) -> jax.Array:
    """`[r, m]` class and image numbers to `[r, m, 64, 64]` uint8, a row at a time."""
    class_key, image_key = jax.random.split(key)

    def image(class_id: jax.Array, image_id: jax.Array) -> jax.Array:
        its_key = jax.random.fold_in(jax.random.fold_in(image_key, class_id), image_id)
        return joint_patch(its_key, joint_class(class_key, class_id))

    return jax.lax.map(lambda row: jax.vmap(image)(*row), (class_ids, image_ids))


def bone_patches(
    seed: int,
    class_ids: np.ndarray,
    images_per_class: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Renders images of classes of `simulated:bones`.

    An image depends on the seed, its class and its place in the class alone: asking for more
    classes or more images leaves those already seen as they were.

    Args:
      seed: of the set.
      class_ids: `[n]` int, usually `range(CLASSES)`.
      images_per_class: how many images of each.
      progress: called as `progress(classes done, n)` after each chunk.

    Returns:
      `[n, images_per_class, 64, 64, 1]` uint8.
    """
    class_ids = np.asarray(class_ids, np.int32)
    if class_ids.ndim != 1 or len(class_ids) == 0 or images_per_class < 1:
        raise ValueError(
            f"a set needs a vector of classes and at least one image of each; "
            f"given {class_ids.shape} classes, {images_per_class} images"
        )
    key = jax.random.key(seed)
    # One list of images, whatever class they are of: one compiled shape serves every request, so
    # an image is the same to the bit in all of them.
    count = len(class_ids) * images_per_class
    chunk = int(np.prod(_CHUNK))

    def render(first: int) -> np.ndarray:
        index = np.minimum(np.arange(first, first + chunk), count - 1).reshape(_CHUNK)
        classes, images = np.divmod(index, images_per_class)
        drawn = _patches(key, jnp.asarray(class_ids[classes]), jnp.asarray(images))
        return np.asarray(drawn).reshape(chunk, REGION_SIZE, REGION_SIZE)[: count - first]

    def told(done: int, _: int) -> None:
        if progress is not None:
            progress(done // images_per_class, len(class_ids))

    patches = np.concatenate(render_chunks(render, count, chunk, told))
    return patches.reshape(len(class_ids), images_per_class, REGION_SIZE, REGION_SIZE, 1)

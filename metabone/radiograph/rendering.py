"""What a bone does to an X-ray: attenuation of single bones, and their sum on a film."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# Attenuation per pixel of half chord, cortical bone being the unit. The film's own weights make
# a finger's shaft about twice as bright as its soft tissue.
_MARROW = 0.24
BONE_WEIGHT, FLESH_WEIGHT = 0.85, 0.22


class Bone(NamedTuple):
    """A long bone with its growth plate; lengths in pixels, every leaf float32.

    The bone's own frame starts at the middle of the metaphysis's end face; its axis runs along the
    shaft to the other end, and the epiphysis lies on the negative side.

    Attributes:
      x, y: where the frame starts.
      angle: radians from +x towards +y (down on the film) of the axis.
      length: from the metaphysis to the other end.
      base, shaft, head: half widths at the metaphysis, the waist and the other end.
      flare_base, flare_head: how far the widening of the ends reaches into the shaft.
      cortex: thickness of the cortex at the waist.
      roundness: how far the other end curves back at its rim, relative to `head`.
      notch: depth of the furrow between the condyles of that end, relative to `head`.
      dome: how far the joint face of the epiphysis curves, relative to its thickness.
      epi_width, epi_thickness: half width and thickness of the epiphysis.
      gap: height of the growth plate.
      capping, fusion, scar: as in `growth.Epiphysis`.
    """

    x: jax.Array
    y: jax.Array
    angle: jax.Array
    length: jax.Array
    base: jax.Array
    shaft: jax.Array
    head: jax.Array
    flare_base: jax.Array
    flare_head: jax.Array
    cortex: jax.Array
    roundness: jax.Array
    notch: jax.Array
    dome: jax.Array
    epi_width: jax.Array
    epi_thickness: jax.Array
    gap: jax.Array
    capping: jax.Array
    fusion: jax.Array
    scar: jax.Array


class Nucleus(NamedTuple):
    """A round bone (carpal or sesamoid); lengths in pixels, every leaf float32.

    Attributes:
      x, y: centre.
      angle: radians, direction of the first half axis.
      a, b: half axes; zero before the bone ossifies.
      skew: irregularity, around 0.
    """

    x: jax.Array
    y: jax.Array
    angle: jax.Array
    a: jax.Array
    b: jax.Array
    skew: jax.Array


def _rounded_min(a: jax.Array, b: jax.Array, radius: jax.Array) -> jax.Array:
    h = jnp.maximum(radius - jnp.abs(a - b), 0.0)
    return jnp.minimum(a, b) - 0.25 * h * h / radius


def half_chord(depth: jax.Array, radius: jax.Array) -> jax.Array:
    """Half the way a ray goes through a cylinder, by its depth below the outline.

    Args:
      depth: distance inside the outline, negative outside, any shape, float32.
      radius: the cylinder's radius, broadcast; deeper than this the chord no longer grows.

    Returns:
      float32 of the shape of `depth`, 0 outside.
    """
    d = jnp.clip(depth, 0.0, radius)
    return jnp.sqrt(d * (2.0 * radius - d))


def _hollow(depth: jax.Array, radius: jax.Array, cortex: jax.Array) -> jax.Array:
    outer = half_chord(depth, radius)
    inner = half_chord(depth - cortex, radius - cortex)
    return (outer - inner) + _MARROW * inner


def bone_attenuation(x: jax.Array, y: jax.Array, bone: Bone) -> jax.Array:
    """Attenuation of one long bone, with epiphysis and growth plate.

    A bone is a hollow tube of varying width: the ray's way through its wall counts fully, through
    its marrow less, so cortices shine where a ray runs along them. Metaphysis and epiphysis are
    two closed bodies with the dark plate between them; where fusion has bridged the plate they are
    one body, with a scar line.

    Args:
      x: pixel column of each point, any shape, float32.
      y: pixel row of each point, same shape.
      bone: scalar leaves.

    Returns:
      Attenuation in pixels of cortical half chord, float32, of the shape of `x`.
    """
    cos, sin = jnp.cos(bone.angle), jnp.sin(bone.angle)
    along = (x - bone.x) * cos + (y - bone.y) * sin
    across = jnp.abs((y - bone.y) * cos - (x - bone.x) * sin)

    on_shaft = jnp.clip(along, 0.0, bone.length)
    width = (
        bone.shaft
        + (bone.base - bone.shaft) * jnp.exp(-((on_shaft / bone.flare_base) ** 2))
        + (bone.head - bone.shaft) * jnp.exp(-(((bone.length - on_shaft) / bone.flare_head) ** 2))
    )
    corner = 0.45 * bone.base
    from_rim = (across / bone.head) ** 2
    end = (
        bone.length
        - along
        - bone.head
        * (bone.roundness * from_rim + bone.notch * jnp.clip(1.0 - 5.0 * from_rim, 0.0, 1.0))
    )
    tube = _rounded_min(width - across, end, corner)
    metaphysis = _rounded_min(tube, along - 0.12 * bone.base * (across / bone.base) ** 2, corner)
    # The cortex thins towards the flared ends, as the same bone is spread over a wider ring.
    cortex = bone.cortex * bone.shaft / width
    # Ends widen less from front to back than across.
    radius = 0.5 * (width + bone.shaft)

    from_edge = (across / bone.epi_width) ** 2
    lip = bone.capping * (bone.gap + 0.30 * bone.base) * from_edge * from_edge
    near = lip - bone.gap
    far = bone.epi_thickness * (bone.dome * from_edge - 1.0) - bone.gap
    epi_corner = 0.7 * bone.epi_thickness
    joint_side = along - far
    epiphysis = _rounded_min(
        _rounded_min(bone.epi_width - across, near - along, epi_corner), joint_side, epi_corner
    )
    merged = _rounded_min(tube, joint_side, epi_corner)

    bridged = jnp.clip((1.8 * bone.fusion - across / bone.base) / 0.5, 0.0, 1.0)
    shell = 0.10 * bone.shaft + 0.4
    open_plate = _hollow(metaphysis, radius, cortex) + _hollow(epiphysis, 0.7 * bone.base, shell)
    fused = _hollow(merged, radius, cortex)
    offset = (along - 0.5 * near) / (0.09 * bone.base)
    line = bone.scar * 0.22 * bone.base / (1.0 + offset * offset * offset * offset)
    fused = fused + line * jnp.clip(0.5 * merged, 0.0, 1.0)
    return open_plate + bridged * (fused - open_plate)


def nucleus_attenuation(x: jax.Array, y: jax.Array, nucleus: Nucleus) -> jax.Array:
    """Attenuation of one round bone.

    Args:
      x: pixel column of each point, any shape, float32.
      y: pixel row of each point, same shape.
      nucleus: scalar leaves.

    Returns:
      Attenuation in pixels of cortical half chord, float32, of the shape of `x`.
    """
    cos, sin = jnp.cos(nucleus.angle), jnp.sin(nucleus.angle)
    a, b = jnp.maximum(nucleus.a, 1e-3), jnp.maximum(nucleus.b, 1e-3)
    p = ((x - nucleus.x) * cos + (y - nucleus.y) * sin) / a
    q = ((y - nucleus.y) * cos - (x - nucleus.x) * sin) / b
    # Between an ellipse and its box, pulled to one side: carpals are neither.
    p = p * (1.0 + nucleus.skew * q)
    p2, q2 = p * p, q * q
    r = jnp.sqrt(jnp.sqrt(p2 * p2 + q2 * q2 + 1.3 * p2 * q2))
    size = jnp.minimum(a, b)
    return _hollow((1.0 - r) * size, size, 0.10 * size + 0.05)


def stamp(
    canvas: jax.Array,
    bones: Any,
    centres: jax.Array,
    window: int,
    attenuation: Callable[[jax.Array, jax.Array, Any], jax.Array],
) -> jax.Array:
    """Adds bones to a film, each evaluated only in a window around it.

    A film has some thirty bones and each covers a few percent of it; evaluating every bone
    everywhere would cost ten times as much.

    Args:
      canvas: `[H, W]` float32, attenuation so far.
      bones: a pytree whose leaves are `[n]`.
      centres: `[n, 2]` float32 `(x, y)` pixels, the middle of each bone's window; windows are
        moved inside the canvas.
      window: side of the square window in pixels, at most `min(H, W)`.
      attenuation: `(x, y, bone) -> attenuation`, as `bone_attenuation`.

    Returns:
      `[H, W]` float32.
    """
    height, width = canvas.shape
    rows, columns = jnp.meshgrid(jnp.arange(window), jnp.arange(window), indexing="ij")

    def add(canvas, bone_and_centre):
        bone, centre = bone_and_centre
        corner = jnp.floor(centre - 0.5 * window).astype(jnp.int32)
        left = jnp.clip(corner[0], 0, width - window)
        top = jnp.clip(corner[1], 0, height - window)
        patch = jax.lax.dynamic_slice(canvas, (top, left), (window, window))
        drawn = attenuation(
            (columns + left).astype(jnp.float32), (rows + top).astype(jnp.float32), bone
        )
        return jax.lax.dynamic_update_slice(canvas, patch + drawn, (top, left)), None

    return jax.lax.scan(add, canvas, (bones, centres))[0]


def grain(key: jax.Array, shape: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Two independent fields of white noise from half a random word a pixel.

    Each pixel is a byte, so uniformly distributed: gray levels are too coarse for the difference
    to a normal distribution to show, and random words are the dearest part of a film.

    Args:
      key: typed PRNG key.
      shape: `(H, W)`, W even.

    Returns:
      Two `[H, W]` float32 of mean 0 and standard deviation 1.
    """
    height, width = shape
    words = jax.random.bits(key, (height, width // 2), jnp.uint32)
    quarters = [(words >> shift) & 0xFF for shift in (0, 8, 16, 24)]

    def field(left: jax.Array, right: jax.Array) -> jax.Array:
        return (jnp.concatenate([left, right], axis=1).astype(jnp.float32) - 127.5) / 73.9

    return field(*quarters[:2]), field(*quarters[2:])


def blur(image: jax.Array) -> jax.Array:
    """Smooths with the 1-2-1 binomial filter along both axes, borders repeated.

    Args:
      image: `[H, W]` float32.

    Returns:
      `[H, W]` float32.
    """
    for axis in (0, 1):
        size = image.shape[axis]
        padded = jnp.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        before = jax.lax.slice_in_dim(padded, 0, size, axis=axis)
        after = jax.lax.slice_in_dim(padded, 2, size + 2, axis=axis)
        image = 0.25 * (before + after) + 0.5 * image
    return image


def expose(uniform: jax.Array, attenuation: jax.Array, noise: jax.Array) -> jax.Array:
    """Gray levels of a film from attenuation, for one drawn exposure and development.

    Args:
      uniform: `[5]` float32 in [0, 1): contrast, black, white, curve, grain.
      attenuation: any shape, float32, millimetres of cortical half chord.
      noise: same shape, white noise of standard deviation 1.

    Returns:
      float32 of that shape, gray levels of a film that shows about 0..1.
    """

    def between(low: float, high: float, index: int) -> jax.Array:
        return low + (high - low) * uniform[index]

    seen = 1.0 - jnp.exp(-between(0.11, 0.23, 0) * attenuation)
    # A parabola for the film's gamma: a power would cost more than all bones together.
    seen = seen * (1.0 + between(-0.5, 0.2, 3) * (1.0 - seen))
    black = between(0.01, 0.18, 1)
    gray = black + (between(0.80, 1.20, 2) - black) * seen
    # Less light through bone, more grain.
    return gray + between(0.004, 0.018, 4) * (0.5 + gray) * noise

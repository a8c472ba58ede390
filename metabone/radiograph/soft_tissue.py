"""The hand's soft tissue: its extent on the film, and the outline that bounds it."""

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.hand import Hand

OUTLINE_POINTS = 164
"""Points of the outline polygon, from the forearm's little-finger side round to its thumb side."""

_BLEND_PIXELS = 3.5
_STEPS = 8
# The forearm's two capsules come last.
_RADIAL, _ULNAR = -2, -1


def flesh_distance(points: jax.Array, hand: Hand) -> jax.Array:
    """Distance inside the soft tissue: a smooth union of tapered capsules along the bones.

    Args:
      points: `[n, 2]` float32 `(x, y)` pixels.
      hand: a posed `Hand`.

    Returns:
      `[n]` float32 pixels, positive inside; exact enough near the surface.
    """

    def nearest(blended, capsule):
        start, end, radii = capsule
        axis = end - start
        x, y = points[:, 0] - start[0], points[:, 1] - start[1]
        along = jnp.clip((x * axis[0] + y * axis[1]) / jnp.maximum(axis @ axis, 1e-6), 0.0, 1.0)
        x, y = x - along * axis[0], y - along * axis[1]
        away = jnp.sqrt(x * x + y * y + 1e-6)
        inside = radii[0] + (radii[1] - radii[0]) * along - away
        # Capped before exp overflows; so deep inside, attenuation no longer depends on depth.
        return blended + jnp.exp(jnp.clip(inside / _BLEND_PIXELS, -60.0, 60.0)), None

    zero = jnp.full(points.shape[:1], 1e-30)
    total, _ = jax.lax.scan(nearest, zero, (hand.flesh_from, hand.flesh_to, hand.flesh_radii))
    return _BLEND_PIXELS * jnp.log(total)


def flesh_depth(hand: Hand, size: int) -> jax.Array:
    """Depth below the skin on the whole film, computed at a quarter of its resolution.

    Distances are smooth where attenuation is not: interpolating them keeps the outline sharp.

    Args:
      hand: a posed `Hand`.
      size: side of the film in pixels, a multiple of 4.

    Returns:
      `[size, size]` float32 pixels, positive inside.
    """
    coarse = 4.0 * jnp.arange(size // 4, dtype=jnp.float32) + 1.5
    x, y = jnp.meshgrid(coarse, coarse)
    depth = flesh_distance(jnp.stack([x.ravel(), y.ravel()], axis=1), hand)
    return jax.image.resize(depth.reshape(x.shape), (size, size), "linear")


def hand_outline(hand: Hand, size: int) -> jax.Array:
    """Outline polygon of the soft tissue, cut off at the film's border.

    Points walk along both sides of every digit at their radius, and are then moved onto the
    surface by Newton steps along the distance's gradient.

    Args:
      hand: a posed `Hand`.
      size: side of the film in pixels.

    Returns:
      `[OUTLINE_POINTS, 2]` float32 `(x, y)` pixels.
    """
    points = _walk(hand)

    right, down = jnp.asarray([[0.5, 0.0]]), jnp.asarray([[0.0, 0.5]])

    def step(points, _):
        # Differences, not autodiff: the same function once, at three times the points.
        at = jnp.concatenate([points, points + right, points + down])
        depth, beside, below = jnp.split(flesh_distance(at, hand), 3)
        slope = 2.0 * jnp.stack([beside - depth, below - depth], axis=1)
        norm = jnp.maximum(jnp.sum(slope * slope, axis=1), 0.1)
        move = jnp.clip(depth / norm, -12.0, 12.0)
        return points - move[:, None] * slope, None

    points, _ = jax.lax.scan(step, points, None, length=_STEPS)
    return jnp.clip(points, 0.0, size - 1.0)


def _sides(chain: jax.Array, radii: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Points left and right of a polyline `[m, 2]`, walking it from first to last."""
    reach = jnp.linalg.norm(jnp.diff(chain, axis=0), axis=1)
    at = jnp.concatenate([jnp.zeros(1), jnp.cumsum(reach)])
    where = jnp.linspace(0.0, 1.0, count) * at[-1]
    table = jnp.concatenate([chain, radii[:, None]], axis=1)
    sampled = jax.vmap(lambda column: jnp.interp(where, at, column), 1, 1)(table)
    middle, radius = sampled[:, :2], sampled[:, 2:]
    axis = jnp.gradient(middle, axis=0)
    axis = axis / jnp.linalg.norm(axis, axis=1, keepdims=True)
    # Turned towards the little finger when the chain points at the fingertips and y points down.
    left = jnp.stack([axis[:, 1], -axis[:, 0]], axis=1) * radius
    return middle + left, middle - left


def _between(start: jax.Array, end: jax.Array, count: int) -> jax.Array:
    inner = np.linspace(0.0, 1.0, count + 2, dtype=np.float32)[1:-1, None]
    return start[None] + jnp.asarray(inner) * (end - start)[None]


def _walk(hand: Hand) -> jax.Array:
    """Starting points of the outline, in the order of the walk."""
    chains = jnp.concatenate(
        [hand.flesh_from[:20].reshape(5, 4, 2), hand.flesh_to[3:20:4][:, None]], axis=1
    )
    radii = jnp.concatenate(
        [hand.flesh_radii[:20, 0].reshape(5, 4), hand.flesh_radii[3:20:4, 1:]], axis=1
    )
    # Fingers come apart at the webs, some way up the proximal phalanx; the thumb below it.
    up = jnp.asarray([0.05, 0.5, 0.5, 0.5, 0.5], jnp.float32)[:, None]
    web = chains[:, 1] + up * (chains[:, 2] - chains[:, 1])
    free = jnp.concatenate([web[:, None], chains[:, 2:]], axis=1)
    left, right = jax.vmap(lambda c, r: _sides(c, r, 11))(free, radii[:, 1:])

    axis = chains[:, 4] - chains[:, 3]
    axis = axis / jnp.linalg.norm(axis, axis=1, keepdims=True)
    side = jnp.stack([-axis[:, 1], axis[:, 0]], axis=1)
    turn = jnp.asarray(np.linspace(-np.pi / 2, np.pi / 2, 5)[1:-1], jnp.float32)[None, :, None]
    round_tip = jnp.sin(turn) * side[:, None] + jnp.cos(turn) * axis[:, None]
    tips = chains[:, 4][:, None] + radii[:, 4][:, None, None] * round_tip

    # Forearm (both bones) and the outer metacarpals, as straight pieces towards the fingers.
    straight = jnp.stack(
        [
            jnp.stack([hand.flesh_to[_ULNAR], hand.flesh_from[_ULNAR]]),
            chains[4, :2],
            jnp.stack([hand.flesh_to[_RADIAL], hand.flesh_from[_RADIAL]]),
            chains[0, :2],
            chains[1, :2],
        ]
    )
    thickness = jnp.stack(
        [
            hand.flesh_radii[_ULNAR, ::-1],
            radii[4, :2],
            hand.flesh_radii[_RADIAL, ::-1],
            radii[0, :2],
            radii[1, :2],
        ]
    )
    little_side, thumb_side = jax.vmap(lambda c, r: _sides(c, r, 8))(straight, thickness)

    path = [little_side[0], little_side[1]]
    for digit in (4, 3, 2, 1, 0):
        path += [left[digit], tips[digit], right[digit][::-1]]
        if digit == 1:
            knuckle = thumb_side[4][::-1][:4]
            path += [knuckle, _between(knuckle[-1], left[0, 0], 3)]
    path += [thumb_side[3][::-1], thumb_side[2][::-1]]
    return jnp.concatenate(path)

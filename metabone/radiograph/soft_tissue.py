"""The hand's soft tissue: its extent on the film, and the outline that bounds it."""

import jax
import jax.numpy as jnp
import numpy as np

from metabone.radiograph.hand import Hand

OUTLINE_POINTS = 150
"""Points of the outline polygon, from the forearm's little-finger side round to its thumb side."""

_BLEND_PIXELS = 5.0
_STEPS = 6


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
        # Capped far below exp's overflow; so deep inside nothing depends on the exact depth.
        return blended + jnp.exp(jnp.clip(inside / _BLEND_PIXELS, -80.0, 80.0 - 40.0)), None

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
    return jax.image.resize(depth.reshape(size // 4, size // 4), (size, size), "linear")


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

    def step(points, _):
        def depth_of(p):
            return flesh_distance(p[None], hand)[0]

        depth, slope = jax.vmap(jax.value_and_grad(depth_of))(points)
        norm = jnp.maximum(jnp.sum(slope * slope, axis=1), 0.1)
        move = jnp.clip(depth / norm, -12.0, 12.0)
        return points - move[:, None] * slope, None

    points, _ = jax.lax.scan(step, points, None, length=_STEPS)
    return jnp.clip(points, 0.0, size - 1.0)


def _sides(chain: jax.Array, radii: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Points left and right of a polyline `[m, 2]`, walking it from first to last."""
    lengths = jnp.linalg.norm(jnp.diff(chain, axis=0), axis=1)
    at = jnp.concatenate([jnp.zeros(1), jnp.cumsum(lengths)])
    where = jnp.linspace(0.0, 1.0, count) * at[-1]
    middle = jnp.stack([jnp.interp(where, at, chain[:, k]) for k in (0, 1)], axis=1)
    radius = jnp.interp(where, at, radii)
    ahead = jnp.stack([jnp.interp(where + 2.0, at, chain[:, k]) for k in (0, 1)], axis=1)
    behind = jnp.stack([jnp.interp(where - 2.0, at, chain[:, k]) for k in (0, 1)], axis=1)
    axis = (ahead - behind) / jnp.linalg.norm(ahead - behind, axis=1, keepdims=True)
    # Turned towards the little finger when the chain points at the fingertips and y points down.
    left = jnp.stack([axis[:, 1], -axis[:, 0]], axis=1) * radius[:, None]
    return middle + left, middle - left


def _walk(hand: Hand) -> jax.Array:
    joints = jnp.concatenate(
        [
            jnp.stack([hand.flesh_from[4 * d + k] for d in range(5) for k in range(4)]),
            hand.flesh_to[3:20:4],
        ]
    )
    chains = [joints[np.array([4 * d, 4 * d + 1, 4 * d + 2, 4 * d + 3, 20 + d])] for d in range(5)]
    sizes = [
        jnp.append(hand.flesh_radii[4 * d : 4 * d + 4, 0], hand.flesh_radii[4 * d + 3, 1])
        for d in range(5)
    ]
    radial_arm = jnp.stack([hand.flesh_to[25], hand.flesh_from[25]])
    ulnar_arm = jnp.stack([hand.flesh_to[26], hand.flesh_from[26]])
    turn = np.linspace(-np.pi / 2, np.pi / 2, 5)[1:-1].astype(np.float32)

    path = [_sides(ulnar_arm, hand.flesh_radii[26, ::-1], 10)[0]]
    for digit in (4, 3, 2, 1, 0):
        chain, radii = chains[digit], sizes[digit]
        # Fingers come apart at the webs, some way up the proximal phalanx.
        web = chain[1] + 0.45 * (chain[2] - chain[1])
        free = jnp.concatenate([web[None], chain[2:]]).at[0].set(web)
        free_radii = radii.at[1].get()[None]
        free_radii = jnp.concatenate([free_radii, radii[2:]])
        if digit == 4:
            path.append(_sides(chain[:2], radii[:2], 4)[0])
        left, right = _sides(free, free_radii, 11)
        axis = (chain[4] - chain[3]) / jnp.linalg.norm(chain[4] - chain[3])
        side = jnp.stack([-axis[1], axis[0]])
        tip = chain[4] + radii[4] * (
            jnp.sin(turn)[:, None] * side[None] + jnp.cos(turn)[:, None] * axis[None]
        )
        path += [left, tip, right[::-1]]
        if digit == 1:
            path.append(_sides(chain[:2], radii[:2], 3)[1][:0:-1])
    path.append(_sides(chains[0][:3], sizes[0][:3], 7)[1][::-1])
    path.append(_sides(radial_arm, hand.flesh_radii[25, ::-1], 10)[1][::-1])
    return jnp.concatenate(path)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph import anatomy
from metabone.radiograph.hand import draw_pose, pose_hand
from metabone.radiograph.hand_gate import shape_residual
from metabone.radiograph.landmarks import hand_length, is_right_hand, point_number
from metabone.radiograph.varied_hands import draw_proportions

COUNT = 100


@pytest.fixture(scope="module")
def hands():
    """Key points `[2, 100, 21, 2]` of standard and of varied hands, and scales `[2, 100]`."""

    def one(key):
        sizes = draw_proportions(key)
        found = []
        for proportions in (None, sizes):
            pose = draw_pose(key, jnp.float32(0.5), 512, proportions)
            hand = pose_hand(key, jnp.float32(0.5), jnp.full(21, 0.5), pose, proportions)
            found.append((hand.key_points, pose.scale))
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    points, scales = jax.jit(lambda keys: jax.lax.map(one, keys))(
        jax.random.split(jax.random.key(0), COUNT)
    )
    return np.asarray(points).swapaxes(0, 1), np.asarray(scales).T


def _segment(points, start, end):
    between = points[..., point_number(start), :] - points[..., point_number(end), :]
    return np.linalg.norm(between, axis=-1)


def test_every_hand_is_a_left_one_with_its_fingers_on_the_film(hands):
    points, _ = hands
    assert not is_right_hand(points).any()
    fingers = points[:, :, 2:]
    assert fingers.min() > 0 and fingers.max() < 511


def test_the_standard_hand_has_the_lengths_of_the_table(hands):
    points, scales = hands
    between = _segment(points[0], "middle MCP", "middle PIP") / scales[0]
    # Both joints' points lie a little along the bone that follows them.
    proximal, middle = anatomy.LENGTHS[2, 1:3]
    knuckle, joint = anatomy.KEY_POINT_SHIFTS[[9, 10], 0]
    expected = (1 - knuckle) * proximal + joint * middle
    np.testing.assert_allclose(between, expected, rtol=2e-3)


def test_proportions_of_varied_hands_differ_around_the_standard_ones(hands):
    points, _ = hands
    for start, end in (
        ("wrist", "middle MCP"),
        ("thumb CMC", "thumb MCP"),
        ("ring MCP", "ring PIP"),
    ):
        standard, varied = (_segment(p, start, end) / hand_length(p) for p in points)
        assert standard.std() < 0.005 < varied.std()
        np.testing.assert_allclose(varied.mean(), standard.mean(), rtol=0.2)


def test_the_wrists_point_lies_below_the_carpus_where_half_the_hand_ends(hands):
    points, _ = hands
    share = _segment(points, "wrist", "middle MCP") / hand_length(points)
    assert 0.50 < share.mean(axis=1).min() and share.mean(axis=1).max() < 0.55


def test_varied_hands_pass_as_hands(hands):
    points, _ = hands
    assert np.quantile([shape_residual(p) for p in points[1]], 0.97) < 0.12

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageDraw

from metabone.radiograph.anatomy import REGION_BONES
from metabone.radiograph.growth import bone_age_months, stage_of
from metabone.radiograph.hand import draw_pose, pose_hand
from metabone.radiograph.rendering import bone_attenuation
from metabone.radiograph.simulation import FILM_SIZE, draw_bone_maturity, simulate_film
from metabone.radiograph.soft_tissue import flesh_depth, hand_outline

MATURITIES = np.linspace(0.02, 0.98, 12).astype(np.float32)
SEXES = np.arange(12, dtype=np.int32) % 2


@jax.jit
def _films(keys, maturities, sexes):
    return jax.lax.map(lambda a: simulate_film(*a), (keys, maturities, sexes))


@pytest.fixture(scope="module")
def films():
    drawn = _films(jax.random.split(jax.random.key(7), 12), MATURITIES, SEXES)
    return jax.tree.map(np.asarray, drawn)


@pytest.fixture(scope="module")
def hands():
    def one(key, maturity):
        pose_key, build = jax.random.split(key)
        pose = draw_pose(pose_key, maturity)
        hand = pose_hand(build, maturity, jnp.full(21, maturity), pose)
        return hand, flesh_depth(hand, FILM_SIZE), hand_outline(hand, FILM_SIZE)

    keys = jax.random.split(jax.random.key(1), 6)
    return jax.jit(lambda k, m: jax.lax.map(lambda a: one(*a), (k, m)))(keys, MATURITIES[::2])


def test_shapes_and_types_are_those_documented(films):
    shapes = {name: (leaf.shape[1:], leaf.dtype.name) for name, leaf in films._asdict().items()}
    assert shapes == {
        "image": ((512, 512), "uint8"),
        "maturity": ((), "float32"),
        "stage": ((), "int32"),
        "bone_age_months": ((), "float32"),
        "sex": ((), "int32"),
        "key_points": ((21, 2), "float32"),
        "outline": ((164, 2), "float32"),
        "regions": ((6, 2), "float32"),
        "inverted": ((), "bool"),
        "bone_maturity": ((21,), "float32"),
    }


def test_the_same_key_gives_the_same_film_and_another_key_another(films):
    keys = jax.random.split(jax.random.key(7), 12)
    again = _films(keys, MATURITIES, SEXES)
    np.testing.assert_array_equal(again.image, films.image)
    other = _films(keys[::-1], MATURITIES, SEXES)
    assert np.mean(np.asarray(other.image) != films.image) > 0.5


def test_truth_follows_maturity(films):
    np.testing.assert_array_equal(films.stage, stage_of(jnp.asarray(MATURITIES)))
    ages = bone_age_months(jnp.asarray(MATURITIES), jnp.asarray(SEXES))
    np.testing.assert_allclose(films.bone_age_months, ages, rtol=1e-6)
    assert np.all(np.diff(films.stage) >= 0)


def test_inverted_films_have_a_bright_background():
    keys = jax.random.split(jax.random.key(11), (4, 12))
    drawn = [_films(rows, MATURITIES, SEXES) for rows in keys]
    drawn = jax.tree.map(lambda *leaves: np.concatenate(leaves), *drawn)
    # Between the collimated border and the hand, left of the fingers.
    margin = drawn.image[:, 60:200, 24:40].mean(axis=(1, 2))
    inverted = drawn.inverted
    assert 0 < inverted.sum() < 16
    assert margin[inverted].min() > 170 > 90 > margin[~inverted].max()


def test_key_points_and_regions_lie_on_the_film_and_inside_the_hand(hands, films):
    points = np.concatenate([films.key_points, films.regions], axis=1)
    assert points.min() > 0
    assert points.max() < FILM_SIZE - 1
    hand, depth, _ = hands
    inside = [
        np.asarray(depth)[i, y, x]
        for i in range(6)
        for x, y in np.round(np.asarray(hand.key_points[i])).astype(int)
    ]
    assert min(inside) > 3.0


def test_bones_are_brighter_than_flesh_and_flesh_than_air(films):
    for i in np.flatnonzero(~films.inverted):
        image = films.image[i].astype(float)
        # Middle of the middle finger's proximal phalanx, between knuckle and next joint.
        x, y = np.round(films.key_points[i, 9:11].mean(axis=0)).astype(int)
        across = image[y - 3 : y + 4, x - 40 : x + 41].mean(axis=0)
        shaft, flesh = across[36:45].mean(), np.sort(across)[:20].mean()
        assert shaft > flesh + 8


@pytest.mark.parametrize("region", range(6))
def test_an_open_growth_plate_is_dark_at_the_region_s_centre_between_two_bright_bodies(
    hands, region
):
    hand, *_ = hands
    bone = jax.tree.map(lambda leaf: leaf[1, REGION_BONES[region]], hand.bones)
    centre = np.asarray(hand.plates[1, REGION_BONES[region]])
    step = np.linspace(-8, 8, 33)
    line = bone_attenuation(
        jnp.asarray(centre[0] + step * np.cos(bone.angle), jnp.float32),
        jnp.asarray(centre[1] + step * np.sin(bone.angle), jnp.float32),
        bone,
    )
    line = np.asarray(line)
    dark = step[line < 0.2 * line.max()]
    dark = dark[np.abs(dark) < 0.75 * float(bone.gap)]
    assert dark.size > 0
    assert abs(dark.mean()) < 1.0
    assert line[step < -float(bone.gap) / 2].max() > 1.0
    assert line[step > float(bone.gap) / 2].max() > 1.0


def test_a_fused_bone_has_no_gap(hands):
    hand, *_ = hands
    bone = jax.tree.map(lambda leaf: leaf[-1, 8], hand.bones)
    centre = np.asarray(hand.plates[-1, 8])
    step = np.linspace(-2, 12, 30)
    x = jnp.asarray(centre[0] + step * np.cos(bone.angle), jnp.float32)
    y = jnp.asarray(centre[1] + step * np.sin(bone.angle), jnp.float32)
    line = np.asarray(bone_attenuation(x, y, bone))
    assert line.min() > 0.6 * np.median(line)


def test_the_outline_bounds_the_soft_tissue(hands):
    _, depth, outline = hands
    for i in range(6):
        mask = np.asarray(depth[i]) > 0
        canvas = Image.new("1", (FILM_SIZE, FILM_SIZE))
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in outline[i].tolist()], fill=1)
        filled = np.asarray(canvas)
        assert (mask & filled).sum() / (mask | filled).sum() > 0.95


def test_bones_of_one_hand_differ_and_neighbouring_stages_overlap():
    draw = jax.jit(jax.vmap(draw_bone_maturity, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), 400)
    low, high = (np.asarray(draw(keys, jnp.float32(m), jnp.int32(0))) for m in (0.45, 0.54))
    assert low.std(axis=1).mean() > 0.04
    # One stage apart, one bone is in the wrong order in a good share of pairs of films.
    wrong = np.mean(low[:200, 8] > high[200:, 8])
    assert 0.1 < wrong < 0.4


def test_girls_and_boys_differ_in_the_order_of_their_bones():
    draw = jax.jit(jax.vmap(draw_bone_maturity, (0, None, None)))
    keys = jax.random.split(jax.random.key(0), 500)
    girls, boys = (
        np.asarray(draw(keys, jnp.float32(0.5), jnp.int32(s))).mean(axis=0) for s in (0, 1)
    )
    assert girls[1] - girls[8] > boys[1] - boys[8] + 0.05

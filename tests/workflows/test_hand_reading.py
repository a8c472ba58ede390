"""Reading hands with the weights that come with the package, on films of the simulation."""

import jax
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph.cutting import cut_regions, stretched
from metabone.radiograph.landmarks import hand_length, mirrored
from metabone.radiograph.pointed_simulation import simulate_pointed_films
from metabone.radiograph.region_sets import REGION_SETS
from metabone.training.supervised import supervised_state
from metabone.workflows.canonical_hands import canonical_hands
from metabone.workflows.hand_reading import read_key_points
from metabone.workflows.key_points import NET, key_point_step, train_key_points
from metabone.workflows.point_net_files import shipped_point_net

pytestmark = [pytest.mark.slow, pytest.mark.optimized]
SIX = REGION_SETS["min_kang_6"]
# Films that training has not seen.
SEED = 77


@pytest.fixture(scope="module")
def net():
    return shipped_point_net()


@pytest.fixture(scope="module")
def drawn():
    films = simulate_pointed_films(SEED, 16)
    boxes = films.boxes.astype(int)
    cut = [
        (image[y0 : y1 + 1, x0 : x1 + 1], points - [x0, y0])
        for image, points, (x0, y0, x1, y1) in zip(films.images, films.points, boxes, strict=True)
    ]
    return [film for film, _ in cut], np.stack([points for _, points in cut])


@pytest.fixture(scope="module")
def made(net, drawn):
    return canonical_hands(net, drawn[0], SIX)


def test_points_of_unseen_simulated_hands_are_found(net, drawn):
    films, points = drawn
    read = read_key_points(net, films)
    error = np.linalg.norm(read.points - points, axis=-1) / hand_length(points)[:, None]
    assert np.median(error) < 0.015 and np.mean(error > 0.05) < 0.05
    # What the network is less sure of is further off.
    assert error[read.uncertainty > 0.04].mean() > error[read.uncertainty <= 0.04].mean()


def test_a_hand_is_found_on_a_copy_that_is_larger_and_mirrored(net, drawn):
    films, points = drawn
    film = np.kron(films[0], np.ones((3, 3), np.uint8))[:, ::-1]
    read = read_key_points(net, [film])
    expected = mirrored(3 * points[0] + 1, film.shape[1])
    away = np.linalg.norm(read.points[0] - expected, axis=-1) / hand_length(expected)
    assert np.median(away) < 0.02


@pytest.mark.parametrize(
    "change",
    {
        "inverted": lambda film: 255 - film,
        "mirrored": lambda film: film[:, ::-1],
        "turned by 90": np.rot90,
        "turned by 180": lambda film: np.rot90(film, 2),
        "padded": lambda film: np.pad(film, 20, constant_values=200),
    }.items(),
    ids=lambda change: change[0],
)
def test_a_copy_becomes_the_same_film(net, drawn, made, change):
    others = canonical_hands(net, [change[1](film) for film in drawn[0]], SIX)
    same = [
        other.film.shape == plain.film.shape
        and np.abs(other.film.astype(int) - plain.film).max() <= 2
        and np.abs(other.points - plain.points).max() < 0.2
        for other, plain in zip(others, made, strict=True)
        if plain.refusal is None
    ]
    assert len(same) >= 12 and np.mean(same) >= 0.9


def test_a_dimmed_copy_is_turned_alike_and_read_at_the_same_places(net, drawn, made):
    others = canonical_hands(net, [np.rint(0.8 * f).astype(np.uint8) for f in drawn[0]], SIX)
    # Rounding decides at which row even air begins, so boxes may differ; what is read may not.
    same = [
        other.turn == plain.turn and np.abs(other.raw_points - plain.raw_points).max() < 0.5
        for other, plain in zip(others, made, strict=True)
        if plain.refusal is None
    ]
    assert len(same) >= 12 and np.mean(same) >= 0.9


def test_the_regions_of_a_dimmed_copy_are_the_same_to_rounding(net, drawn, made):
    others = canonical_hands(net, [np.rint(0.8 * f).astype(np.uint8) for f in drawn[0]], SIX)
    differ = [
        np.abs(
            stretched(cut_regions(other.film, other.points, SIX)).astype(int)
            - stretched(cut_regions(plain.film, plain.points, SIX))
        ).mean()
        for other, plain in zip(others, made, strict=True)
        if plain.refusal is None
    ]
    assert np.median(differ) < 4 and np.max(differ) < 8


def test_what_is_no_hand_is_refused_with_a_reason(net):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :160]
    films = [
        rng.integers(0, 256, (200, 160)).astype(np.uint8),
        np.full((100, 90), 7, np.uint8),
        (255 * np.exp(-(((x - 80) / 30) ** 2))).astype(np.uint8),
        (x + y).clip(0, 255).astype(np.uint8),
    ]
    refusals = [hand.refusal for hand in canonical_hands(net, films, SIX)]
    assert all(refusals), refusals


def test_hands_cut_off_between_the_middle_fingers_joints_are_refused(net, drawn, made):
    films, points = drawn
    below = [int(0.5 * (at[10, 1] + at[11, 1])) for at in points]
    cut = [film[at:] for film, at, hand in zip(films, below, made, strict=True) if not hand.refusal]
    refused = [hand.refusal is not None for hand in canonical_hands(net, cut, SIX)]
    assert np.mean(refused) >= 0.75


def test_two_hands_on_a_film_are_refused(net, drawn, made):
    films = [film for film, hand in zip(drawn[0], made, strict=True) if hand.refusal is None]
    pairs = [
        np.concatenate([np.pad(f, ((0, max(0, h - len(f))), (0, 0)), mode="edge") for f in pair], 1)
        for pair in zip(films[::2], films[1::2], strict=False)
        if (h := max(map(len, pair)))
    ]
    refused = [hand.refusal is not None for hand in canonical_hands(net, pairs, SIX)]
    assert len(pairs) >= 6 and np.mean(refused) >= 0.8


def test_a_cut_hand_is_refused_whatever_border_is_put_around_it(net, drawn, made):
    films = [
        np.pad(film[int(0.5 * (at[11, 1] + at[12, 1])) :], 15, constant_values=level)
        for film, at, hand, level in zip(*drawn, made, [0, 60, 255] * 6, strict=False)
        if hand.refusal is None
    ]
    refused = [hand.refusal is not None for hand in canonical_hands(net, films, SIX)]
    assert len(films) >= 12 and np.mean(refused) >= 0.8


def test_a_film_of_colour_is_an_error(net):
    with pytest.raises(InputError, match=r"film 0: 40 x 40 x 3; expected a gray film"):
        canonical_hands(net, [np.zeros((40, 40, 3), np.uint8)])


def test_training_lowers_the_loss_and_a_step_is_a_function_of_its_index():
    import optax

    films = simulate_pointed_films(SEED, 16)
    optimizer = optax.adam(3e-3)
    step = jax.jit(key_point_step(optimizer, batch_size=4))
    params, norm_stats = NET.init(jax.random.key(0), (32, 32, 1))
    state = supervised_state(params, norm_stats, optimizer)
    first, metrics = step(state, (films,), np.uint32(0), np.int32(5))
    again, _ = step(state, (films,), np.uint32(0), np.int32(5))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
    _, other = step(state, (films,), np.uint32(0), np.int32(6))
    assert metrics["loss"] != other["loss"]
    # The same views again and again are soon known.
    for _ in range(15):
        state, last = step(state, (films,), np.uint32(0), np.int32(5))
    assert last["loss"] < metrics["loss"] - 0.1


def test_more_sets_than_a_batch_is_an_error_before_training():
    with pytest.raises(InputError, match="multiple of 3 sets"):
        train_key_points([None] * 3, batch_size=4)

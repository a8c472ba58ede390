"""Checks of maps, and by them the maps of a network that learned a planted cue."""

import jax
import numpy as np
import pytest
from scipy import stats

from metabone.errors import InputError
from metabone.evaluation.activation_maps import cam, grad_cam, maps_and_score
from metabone.evaluation.map_checks import pointing_game, weights_randomised_change
from metabone.evaluation.metrics import mean_interval
from metabone.evaluation.occlusion import occlusion
from metabone.nets.trainable_blocks import blocks_of, mask_of
from tests.evaluation.planted_cue import drawn, learned_cue


@pytest.fixture(scope="module")
def planted():
    return learned_cue()


def maps_by(method, planted, params, norm_stats, output):
    maps_of, score_of = maps_and_score(planted.network, params, norm_stats, output)
    if method == "cam":
        return cam(maps_of, score_of, planted.images, together=128)
    if method == "grad_cam":
        return grad_cam(maps_of, score_of, planted.images, signed=False, together=128)
    return occlusion(
        lambda images: score_of(maps_of(images), images), planted.images, patch=8, stride=4
    )


@pytest.mark.parametrize("output", [0, 1], ids=["classification", "regression"])
@pytest.mark.parametrize("method", ["cam", "grad_cam", "occlusion"])
def test_every_map_finds_the_planted_cue(planted, method, output):
    found = maps_by(method, planted, planted.params, planted.norm_stats, output)
    game = pointing_game(found, planted.boxes)
    assert game.n > 60 and game.chance == pytest.approx(1 / 9)
    assert game.low > 0.9, game


def test_the_network_has_learned_both_answers(planted):
    apply = jax.jit(planted.network.apply, static_argnums=3)
    found, _ = apply(planted.params, planted.norm_stats, planted.images, False)
    assert (np.asarray(found[:, 0]) > 0).mean() > 0.95
    assert np.corrcoef(found[:, 1], planted.goals[:, 1])[0, 1] > 0.9


@pytest.fixture(scope="module")
def by_random_weights(planted):
    draws = [drawn(planted.network, seed) for seed in range(10, 14)]
    return [(draw, maps_by("cam", planted, *draw, 1)) for draw in draws]


def test_maps_of_random_weights_find_the_cue_no_more_often_than_its_three_decoys(
    planted, by_random_weights
):
    shares = [pointing_game(maps, planted.boxes).share for _, maps in by_random_weights]
    estimate = mean_interval(shares)
    assert estimate.mean - estimate.ci95 <= 1 / 4
    assert estimate.mean < 1 / 2


def test_the_map_changes_as_weights_are_randomised_from_the_top_down(planted, by_random_weights):
    fresh = by_random_weights[0][0][0]
    blocks = blocks_of("conv4", fresh)
    top_down = {"head": mask_of(fresh, blocks[:1]), "body": mask_of(fresh, blocks[1:])}
    found = weights_randomised_change(
        lambda params: maps_by("cam", planted, params, planted.norm_stats, 1),
        *(planted.params, fresh, top_down),
    )
    assert list(found) == ["head", "body"]
    assert abs(found["body"]) < 0.5, found


def test_change_is_the_rank_correlation_with_blocks_randomised_one_after_the_other():
    rng = np.random.default_rng(0)
    params, fresh = ({k: rng.normal(size=(3, 4, 5)) for k in "ab"} for _ in range(2))
    masks = {"top": {"a": False, "b": True}, "rest": {"a": True, "b": False}}
    found = weights_randomised_change(
        lambda params: np.exp(params["a"] + 2 * params["b"]), params, fresh, masks
    )
    learned = params["a"] + 2 * params["b"]
    for name, other in (
        ("top", params["a"] + 2 * fresh["b"]),
        ("rest", fresh["a"] + 2 * fresh["b"]),
    ):
        pairs = zip(learned, other, strict=True)
        each = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in pairs]
        assert found[name] == pytest.approx(np.mean(each))


def test_a_map_that_does_not_hear_the_weights_stays_and_a_flat_one_counts_nothing():
    image = np.random.default_rng(0).normal(size=(1, 4, 4))
    mask = {"all": {"w": True}}
    edges = weights_randomised_change(lambda params: image, {"w": 1}, {"w": 2}, mask)
    assert edges["all"] == pytest.approx(1)
    flat = weights_randomised_change(lambda params: 0 * image, {"w": 1}, {"w": 2}, mask)
    assert flat == {"all": 0}
    with pytest.raises(ValueError, match="no blocks"):
        weights_randomised_change(lambda params: image, {"w": 1}, {"w": 2}, {})


@pytest.mark.parametrize("hits", [0, 1, 13, 20])
def test_the_interval_of_the_pointing_game_is_exact(hits):
    maps = np.zeros((20, 4, 5))
    maps[:hits, 3, 4] = 1
    maps[hits:, 0, 0] = 1
    found = pointing_game(maps, [[2, 3, 4, 5]] * 20)
    expected = stats.binomtest(hits, 20).proportion_ci(0.95, "exact")
    assert (found.share, found.n) == (hits / 20, 20) and found.chance == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_a_map_points_by_all_of_its_highest_pixels():
    flat, inside, across = np.zeros((3, 4, 4))
    inside[:2, 0] = 1
    across[1:3, 0] = 1
    assert pointing_game([flat, inside, across], [[0, 0, 2, 2]] * 3).share == pytest.approx(1 / 3)


def test_a_game_that_cannot_be_played_is_refused():
    with pytest.raises(InputError, match=r"box \(0, 0, 5, 2\): expected pixels of 4x4"):
        pointing_game(np.zeros((1, 4, 4)), [[0, 0, 5, 2]])
    with pytest.raises(InputError, match="box"):
        pointing_game(np.zeros((1, 4, 4)), [[2, 0, 2, 2]])
    with pytest.raises(InputError, match="finite"):
        pointing_game(np.full((1, 4, 4), np.nan), [[0, 0, 2, 2]])
    with pytest.raises(ValueError, match="expected"):
        pointing_game(np.zeros((2, 4, 4)), [[0, 0, 2, 2]])

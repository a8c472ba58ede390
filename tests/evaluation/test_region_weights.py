import numpy as np
import pytest

from metabone.evaluation.region_weights import learn_region_weights


def test_of_two_regions_of_which_one_is_right_the_weights_are_those_of_the_closed_form():
    """One is right with 0.9 on seven films of ten, the other on the three where it is not.

    The likelihood is 7 log(0.1 + 0.8 w) + 3 log(0.9 - 0.8 w), largest where 0.1 + 0.8 w = 0.7.
    """
    right, wrong = np.log([0.9, 0.1]), np.log([0.1, 0.9])
    logits = np.array([[[right] * 7 + [wrong] * 3, [wrong] * 7 + [right] * 3]])
    found = learn_region_weights(logits, np.zeros((1, 10), int))
    np.testing.assert_allclose(found, [0.75, 0.25], atol=1e-5)
    # Films may lie in one task or in several.
    apart = np.moveaxis(logits[0], 1, 0)[:, :, None]
    np.testing.assert_allclose(
        learn_region_weights(apart, np.zeros((10, 1), int)), found, atol=1e-5
    )


def answers(rng, tasks, strengths, films=10, ways=5):
    """Logits of regions that raise the true class by their strength, in noise; and the truth."""
    truth = rng.integers(ways, size=(tasks, films))
    logits = rng.normal(size=(tasks, len(strengths), films, ways))
    return logits + np.reshape(strengths, (-1, 1, 1)) * np.eye(ways)[truth][:, None], truth


def weights_by_expectation(logits, truth, rounds=3000):
    """Mixture weights by expectation-maximisation in float64, from Dempster et al. (1977)."""
    odds = np.exp(logits.astype(np.float64))
    chosen = np.take_along_axis(odds / odds.sum(-1, keepdims=True), truth[:, None, :, None], -1)
    chosen = np.moveaxis(chosen[..., 0], 1, 0).reshape(logits.shape[1], -1)
    weights = np.full(len(chosen), 1 / len(chosen))
    for _ in range(rounds):
        joint = weights[:, None] * chosen
        weights = (joint / joint.sum(0)).mean(1)
    return weights


def test_one_region_that_tells_among_five_of_noise_is_the_one_that_is_heard():
    logits, truth = answers(np.random.default_rng(0), 40, [4, 0, 0, 0, 0, 0])
    found = learn_region_weights(logits, truth)
    assert found.dtype == np.float32 and found.sum() == pytest.approx(1)
    assert found[0] > 0.97 and (found >= 0).all()
    np.testing.assert_allclose(found, weights_by_expectation(logits, truth), atol=2e-3)


def test_regions_that_tell_the_same_have_equal_weights_within_the_error_of_the_sample():
    spreads = []
    for tasks in (40, 640):
        found = np.array(
            [
                learn_region_weights(*answers(np.random.default_rng(seed), tasks, [2] * 6))
                for seed in range(8)
            ]
        )
        spreads.append(np.sqrt(found.var(axis=0, ddof=1).mean()))
        error = spreads[-1] / np.sqrt(len(found))
        np.testing.assert_allclose(found.mean(axis=0), 1 / 6, atol=4 * error)
    # Sixteen times as many films leave a quarter of the error.
    assert spreads[1] < 0.04
    assert 2.5 < spreads[0] / spreads[1] < 6


def test_better_regions_have_larger_weights():
    found = learn_region_weights(*answers(np.random.default_rng(3), 100, [1, 2, 3]))
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize(
    ("logits", "truth"),
    [((2, 3, 4, 5), (2, 3)), ((3, 4, 5), (3, 4)), ((0, 3, 4, 5), (0, 4))],
)
def test_shapes_that_do_not_fit_are_refused(logits, truth):
    with pytest.raises(ValueError, match="expected \\[T, R, Q, W\\]"):
        learn_region_weights(np.zeros(logits), np.zeros(truth, int))


def test_logits_that_are_not_finite_are_refused_with_their_task():
    logits = np.zeros((3, 2, 4, 5))
    logits[1, 0, 2, 3] = np.nan
    with pytest.raises(ValueError, match="task 1"):
        learn_region_weights(logits, np.zeros((3, 4), int))

import numpy as np
import pytest

from metabone.evaluation.region_weights import learn_region_weights


def test_of_two_regions_that_agree_on_some_films_the_weights_are_those_of_the_closed_form():
    """Regions say 0.9 or 0.1 of the truth: of 28 films on which they agree 27 are right, and of
    nine on which they do not the first region is right on eight.

    With mean m and power k the odds are (m / (1 - m)) ** k. Those of the first are 9 ** k = 27, so
    k = 1.5; those of the others are 8 = 4 ** 1.5, so m = 0.8 = 0.1 + 0.8 w, and w = 0.875.
    """
    right, wrong = np.log([0.9, 0.1]), np.log([0.1, 0.9])
    agreed = [right] * 27 + [wrong]
    logits = np.array([[agreed + [right] * 8 + [wrong], agreed + [wrong] * 8 + [right]]])
    found = learn_region_weights(logits, np.zeros((1, 37), int))
    np.testing.assert_allclose(found, [0.875, 0.125], atol=1e-4)


def answers(rng, tasks, strengths, films=10, ways=5):
    """Logits of regions that raise the true class by their strength, in noise; and the truth."""
    truth = rng.integers(ways, size=(tasks, films))
    logits = rng.normal(size=(tasks, len(strengths), films, ways))
    return logits + np.reshape(strengths, (-1, 1, 1)) * np.eye(ways)[truth][:, None], truth


def test_one_region_that_tells_among_five_of_noise_is_the_one_that_is_heard():
    logits, truth = answers(np.random.default_rng(0), 100, [2, 0, 0, 0, 0, 0])
    found = learn_region_weights(logits, truth)
    assert found.dtype == np.float32 and found.sum() == pytest.approx(1)
    assert found[0] > 0.9 and (found >= 0).all()


def test_regions_that_tell_the_same_have_equal_weights_within_the_error_of_the_sample():
    spreads = []
    for tasks in (40, 640):
        found = np.array(
            [
                learn_region_weights(*answers(np.random.default_rng(seed), tasks, [1] * 6))
                for seed in range(8)
            ]
        )
        spreads.append(np.sqrt(found.var(axis=0, ddof=1).mean()))
        error = spreads[-1] / np.sqrt(len(found))
        np.testing.assert_allclose(found.mean(axis=0), 1 / 6, atol=4 * error)
    # Sixteen times as many films leave a quarter of the error.
    assert spreads[1] < 0.01
    assert 2.5 < spreads[0] / spreads[1] < 6


def share_right(logits, truth, weights):
    odds = np.exp(logits)
    shares = odds / odds.sum(-1, keepdims=True)
    return ((shares * np.reshape(weights, (-1, 1, 1))).sum(1).argmax(-1) == truth).mean()


@pytest.mark.parametrize("sure", [1, 4])
def test_learned_weights_are_right_more_often_than_equal_ones_on_other_films(sure):
    """All regions tell something, some more than others, and none is best alone."""
    strengths = [0.5, 1, 1.5, 2, 1, 0.5]
    logits, truth = answers(np.random.default_rng(3), 60, strengths)
    found = learn_region_weights(sure * logits, truth)
    assert found.argmax() == 3 and found[2] > found[0] and found[2] > found[5]
    logits, truth = answers(np.random.default_rng(4), 1000, strengths)
    learned, equal, best_alone = (
        share_right(sure * logits, truth, weights) for weights in (found, np.ones(6), np.eye(6)[3])
    )
    assert learned > equal + 0.015 and learned > best_alone + 0.05


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

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.radiograph.voting import mean_of_probabilities, most_probable, vote


def one_film(*regions):
    """[R, W] rows of one film -> [R, 1, W] logits."""
    return jnp.array(regions, jnp.float32)[:, None, :]


def logits_of(*probabilities):
    return jnp.log(one_film(*probabilities))


def vote_by_counting(logits):
    """The rule in plain Python, one film at a time, float64."""
    regions, films, ways = logits.shape
    classes, tied = [], []
    for film in range(films):
        votes = [0] * ways
        sums = [0.0] * ways
        for region in range(regions):
            scores = [float(s) for s in logits[region, film]]
            votes[scores.index(max(scores))] += 1
            weights = [np.exp(s - max(scores)) for s in scores]
            for way in range(ways):
                sums[way] += weights[way] / sum(weights)
        leaders = [way for way in range(ways) if votes[way] == max(votes)]
        tied.append(len(leaders) > 1)
        classes.append(max(leaders, key=lambda way: (sums[way], -way)))
    return np.array(classes), np.array(tied)


def test_majority_beats_confidence():
    result = vote(logits_of([0.01, 0.99], [0.6, 0.4], [0.6, 0.4]))
    assert result.classes.tolist() == [0]
    assert result.tied.tolist() == [False]


def test_tie_falls_to_the_larger_summed_probability():
    # Two votes each for classes 1 and 2; sums 0.6+0.6+0.1+0.1 = 1.4 against 0.3+0.3+0.8+0.8 = 2.2.
    result = vote(logits_of([0.1, 0.6, 0.3], [0.1, 0.6, 0.3], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]))
    assert result.classes.tolist() == [2]
    assert result.tied.tolist() == [True]


def test_class_without_the_most_votes_cannot_win_a_tie():
    # Class 0 has one vote and the largest sum (0.49 * 4 + 0.9); classes 1 and 2 tie with two.
    result = vote(
        logits_of(
            [0.90, 0.05, 0.05],
            [0.49, 0.50, 0.01],
            [0.49, 0.50, 0.01],
            [0.49, 0.01, 0.50],
            [0.48, 0.01, 0.51],
        )
    )
    assert result.classes.tolist() == [2]
    assert result.tied.tolist() == [True]


def test_tie_with_equal_sums_falls_to_the_lower_class():
    result = vote(logits_of([0.1, 0.2, 0.7], [0.1, 0.7, 0.2]))
    assert result.classes.tolist() == [1]
    assert result.tied.tolist() == [True]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
def test_rounding_decides_no_tie_whichever_order_the_regions_come_in(order):
    # Three regions say class 1 and three say class 3 in exactly mirrored words.
    one = [0.3, 2.1, -0.7, 0.1, 0.9]
    three = [0.3, 0.1, -0.7, 2.1, 0.9]
    logits = one_film(one, three, one, three, one, three)[jnp.array(order)]
    result = vote(logits)
    assert result.classes.tolist() == [1]
    assert result.tied.tolist() == [True]


def test_equal_logits_within_a_region_vote_for_the_lower_class():
    result = vote(one_film([1.0, 5.0, 5.0]))
    assert result.classes.tolist() == [1]
    assert result.tied.tolist() == [False]


def test_one_region_decides_alone_and_never_ties():
    logits = jax.random.normal(jax.random.key(0), (1, 50, 5))
    result = vote(logits)
    np.testing.assert_array_equal(result.classes, np.argmax(logits[0], axis=-1))
    assert not result.tied.any()


@pytest.mark.parametrize("shape", [(6, 200, 5), (2, 100, 2), (3, 100, 5), (5, 100, 11)])
def test_agrees_with_counting_by_hand(shape):
    logits = np.asarray(jax.random.normal(jax.random.key(shape[0]), shape))
    classes, tied = vote_by_counting(logits)
    result = jax.jit(vote)(logits)
    assert tied.any() and not tied.all()
    np.testing.assert_array_equal(result.classes, classes)
    np.testing.assert_array_equal(result.tied, tied)


def test_says_the_same_with_and_without_jit():
    logits = jax.random.normal(jax.random.key(9), (6, 200, 5))
    for plain, compiled in zip(vote(logits), jax.jit(vote)(logits), strict=True):
        np.testing.assert_array_equal(plain, compiled)


def test_half_precision_scores_give_int32_classes_and_bool_ties():
    result = vote(jnp.ones((6, 4, 5), jnp.bfloat16))
    assert result.classes.dtype == jnp.int32 and result.tied.dtype == jnp.bool_
    assert result.classes.tolist() == [0, 0, 0, 0]


def test_scores_without_a_region_axis_are_refused():
    with pytest.raises(AssertionError, match="rank"):
        vote(jnp.zeros((4, 5)))


def test_the_mean_of_probabilities_is_that_of_the_regions_each_by_its_weight():
    logits = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    odds = np.exp(logits)
    shares = odds / odds.sum(-1, keepdims=True)
    weights = np.array([0.5, 0.0, 1.5])
    found = mean_of_probabilities(jnp.asarray(logits), jnp.asarray(weights))
    np.testing.assert_allclose(np.exp(found), (0.5 * shares[0] + 1.5 * shares[2]) / 2, rtol=1e-5)
    plain = mean_of_probabilities(jnp.asarray(logits))
    np.testing.assert_allclose(np.exp(plain), shares.mean(0), rtol=1e-5)


def test_the_mean_of_sure_and_equal_regions_is_finite():
    logits = jnp.array([[[1000.0, 0.0]], [[0.0, 1000.0]]])
    np.testing.assert_allclose(np.exp(mean_of_probabilities(logits)), [[0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]])
def test_rounding_decides_no_equal_mean_whichever_order_the_regions_come_in(order):
    one = [0.3, 2.1, -0.7, 0.1, 0.9]
    three = [0.3, 0.1, -0.7, 2.1, 0.9]
    logits = one_film(one, three, one, three, one, three)[jnp.array(order)]
    found = most_probable(mean_of_probabilities(logits))
    assert found.tolist() == [1] and found.dtype == jnp.int32


def test_the_most_probable_class_is_the_largest_where_they_differ_by_more_than_rounding():
    logits = jax.random.normal(jax.random.key(4), (6, 200, 5))
    odds = np.exp(np.asarray(logits, np.float64))
    expected = (odds / odds.sum(-1, keepdims=True)).sum(0).argmax(-1)
    np.testing.assert_array_equal(most_probable(mean_of_probabilities(logits)), expected)


def test_weights_of_another_number_of_regions_are_refused():
    with pytest.raises(AssertionError, match="shape"):
        mean_of_probabilities(jnp.zeros((3, 4, 5)), jnp.ones(2))


def test_a_film_of_which_some_region_has_no_number_has_no_answer():
    sure = jnp.log(jnp.array([[0.1, 0.9], [0.1, 0.9]]))
    logits = jnp.stack([sure, sure.at[1, 0].set(jnp.nan)])
    assert vote(logits).classes.tolist() == [1, -1]

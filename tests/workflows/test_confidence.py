import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binomtest

from metabone.workflows.confidence import (
    chance_of,
    conformal_limit,
    conformal_sets,
    distances_between,
    familiar_limit,
    fit_temperature,
    independent_films,
    log_loss,
    probabilities_of,
    wilson,
)


def made(seed, count=400, classes=3, sharp=1.0):
    """Logits and labels drawn from them, the logits then sharpened beyond the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 1.5
    shares = softmax(logits, axis=-1)
    labels = (shares.cumsum(-1) < rng.random((count, 1))).sum(-1)
    return logits * sharp, labels


@pytest.mark.parametrize(("right", "count"), [(0, 5), (18, 60), (50, 100), (60, 60)])
def test_interval_is_scipys_wilson_interval(right, count):
    theirs = binomtest(right, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(right / count, count)[1:], theirs, atol=1e-12)


def coverage(films, share, correlation, count_of):
    """How often Wilson's interval covers the share of films that are read rightly.

    Args:
      films: of each patient.
      share: the truth.
      correlation: of what two films of one patient give.
      count_of: from each film's patient to how many are independent.
    """
    rng, repeats, hits = np.random.default_rng(0), 1000, 0
    units = np.repeat(np.arange(len(films)), films)
    for _ in range(repeats):
        size = 1 / correlation - 1
        chances = rng.beta(share * size, (1 - share) * size, len(films))
        found = wilson((rng.random(len(units)) < chances[units]).mean(), count_of(units))
        hits += found.low <= share <= found.high
    return hits / repeats


UNEVEN = [1] * 36 + [10] * 4


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_interval_covers_the_share_of_independent_films_and_of_patients_of_many(share):
    assert 0.93 <= coverage([1] * 40, share, 0.5, independent_films) <= 0.97
    assert 0.93 <= coverage([4] * 40, share, 0.9, independent_films) <= 0.98
    assert 0.93 <= coverage(UNEVEN, share, 0.9, independent_films) <= 0.99
    # Where a few patients have most of the films, the number of patients is too many.
    assert coverage(UNEVEN, share, 0.9, lambda units: len(np.unique(units))) < 0.9


def test_films_of_one_patient_count_as_one_and_those_of_uneven_ones_as_fewer():
    assert independent_films(np.arange(40)) == independent_films(np.repeat(np.arange(40), 4)) == 40
    # (36 + 40)^2 / (36 + 4 * 100)
    assert independent_films(np.repeat(np.arange(40), UNEVEN)) == 13


@pytest.mark.parametrize(("right", "count"), [(0, 5), (18, 60), (50, 100)])
def test_chance_is_scipys_one_sided_binomial_test(right, count):
    theirs = binomtest(right, count, 0.4, alternative="greater").pvalue
    assert chance_of(right / count, count, 0.4) == pytest.approx(theirs)


@pytest.mark.parametrize("sharp", [0.01, 1.0, 30.0, 1e4])
def test_temperature_lowers_log_loss_and_never_changes_an_answer(sharp):
    logits, labels = made(0, sharp=sharp)
    temperature = fit_temperature(logits, labels)
    assert log_loss(logits, labels, temperature) <= log_loss(logits, labels)
    answers = probabilities_of(logits, temperature).argmax(-1)
    np.testing.assert_array_equal(answers, logits.argmax(-1))


@pytest.mark.parametrize("sharp", [0.1, 10.0])
def test_temperature_finds_by_how_much_logits_were_sharpened(sharp):
    logits, labels = made(1, count=20_000, sharp=sharp)
    assert fit_temperature(logits, labels) == pytest.approx(sharp, rel=0.05)


def test_films_told_apart_perfectly_do_not_make_the_next_one_certain():
    logits = np.array([[9.0, 0.0]] * 10 + [[0.0, 9.0]] * 10)
    labels = np.repeat([0, 1], 10)
    surest = probabilities_of(logits, fit_temperature(logits, labels)).max()
    assert surest == pytest.approx(21 / 22, abs=1e-4)


def test_temperature_of_logits_that_know_nothing_makes_probabilities_even():
    logits, labels = made(2, sharp=5.0)
    shuffled = np.random.default_rng(0).permutation(labels)
    probabilities = probabilities_of(logits, fit_temperature(logits, shuffled))
    assert np.abs(probabilities - 1 / 3).max() < 0.1


def test_conformal_sets_hold_the_truth_in_nine_of_ten_whatever_the_probabilities():
    held, size = [], []
    for seed in range(200):
        logits, labels = made(seed, count=300, sharp=4.0)
        shares = probabilities_of(logits, 1.0)
        limit = conformal_limit(shares[:100], labels[:100])
        sets = conformal_sets(shares[100:], limit)
        held.append(sets[np.arange(200), labels[100:]].mean())
        size.append(sets.sum(-1).mean())
    assert 0.87 <= np.mean(held) <= 0.93
    assert 1 < np.mean(size) < 3


def test_conformal_limit_is_the_finite_sample_rank():
    shares = np.linspace(0.05, 0.95, 19)
    both = np.stack([shares, 1 - shares], -1)
    # ceil(20 * 0.9) = 18 of 19 must be let in.
    assert conformal_limit(both, np.zeros(19, int)) == pytest.approx(np.sort(shares)[1])


def test_conformal_sets_hold_all_classes_where_films_are_too_few():
    shares = np.array([[0.9, 0.1]] * 8)
    limit = conformal_limit(shares, np.zeros(8, int))
    assert limit == 0 and conformal_sets(shares, limit).all()


def test_conformal_set_is_never_empty():
    assert conformal_sets(np.array([[0.5, 0.3, 0.2]]), 0.8).tolist() == [[True, False, False]]


def test_familiar_limit_lets_99_in_100_pass():
    assert familiar_limit(np.arange(1.0, 1000.0)) == 990.0
    assert familiar_limit(np.arange(1.0, 11.0)) == 10.0


def test_distances_are_euclidean():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(4, 7)), rng.normal(size=(3, 7))
    expected = np.linalg.norm(one[:, None] - two, axis=-1)
    np.testing.assert_allclose(distances_between(one, two), expected, atol=1e-6)

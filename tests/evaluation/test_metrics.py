import jax.numpy as jnp
import numpy as np
import pytest

from metabone.evaluation import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_two_draws_give_the_t_interval_worked_by_hand():
    # std of (0.5, 0.7) is 0.1 * sqrt(2); t(0.975, 1) = 12.7062; half width 12.7062 * 0.1.
    estimate = metrics.mean_interval([0.5, 0.7])
    assert estimate.mean == pytest.approx(0.6)
    assert estimate.std == pytest.approx(0.1 * np.sqrt(2))
    assert estimate.ci95 == pytest.approx(1.27062, abs=1e-5)
    assert estimate.n == 2


@pytest.mark.parametrize("n", [2, 5, 100, 600])
def test_interval_is_that_of_the_t_distribution(rng, n):
    from scipy import stats

    values = rng.normal(0.6, 0.05, n)
    estimate = metrics.mean_interval(values)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert estimate.mean - estimate.ci95 == pytest.approx(low, abs=1e-12)
    assert estimate.mean + estimate.ci95 == pytest.approx(high, abs=1e-12)


def test_interval_covers_the_truth_in_95_of_100_repeats(rng):
    samples = rng.normal(3.0, 2.0, size=(2000, 5))
    covered = [abs(e.mean - 3.0) <= e.ci95 for e in map(metrics.mean_interval, samples)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[0.5], [], [[0.1, 0.2]]])
def test_interval_of_fewer_than_two_draws_is_refused(values):
    with pytest.raises(ValueError, match="n >= 2"):
        metrics.mean_interval(values)


def test_interval_names_the_draw_that_is_not_finite():
    with pytest.raises(ValueError, match="figure 1 of 3 is not finite"):
        metrics.mean_interval([0.1, np.nan, 0.2])


def test_mean_of_skewed_figures_is_near_normal_once_there_are_enough(rng):
    from scipy import stats

    for size in (20, 90, 100, 110, 120, 2000):
        figures = rng.exponential(size=size)
        assert metrics.near_normal(figures) == (size > 25 * stats.skew(figures) ** 2)
    assert metrics.near_normal(np.linspace(0, 1, 9)) and metrics.near_normal(np.ones(5))


def test_accuracy_takes_device_arrays_and_many_draws(rng):
    truth, predicted = rng.integers(5, size=75), rng.integers(5, size=(4, 75))
    expected = [sum(t == p for t, p in zip(truth, row, strict=True)) / 75 for row in predicted]
    np.testing.assert_allclose(
        metrics.accuracy(jnp.asarray(truth), jnp.asarray(predicted)), expected
    )


@pytest.mark.parametrize(("truth", "predicted"), [([], []), ([1, 2], [1])])
def test_accuracy_of_nothing_or_of_unequal_lengths_is_refused(truth, predicted):
    with pytest.raises(ValueError, match="against"):
        metrics.accuracy(truth, predicted)


def test_confusion_matrix_has_truth_in_rows():
    matrix = metrics.confusion_matrix([0, 0, 0, 2], [1, 1, 0, 2], classes=3)
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_confusion_matrix_agrees_with_scikit_learn(rng):
    reference = pytest.importorskip("sklearn.metrics")
    truth, predicted = rng.integers(5, size=300), rng.integers(5, size=300)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(truth, predicted, 5),
        reference.confusion_matrix(truth, predicted, labels=range(5)),
    )


@pytest.mark.parametrize("label", [-1, 5])
def test_confusion_matrix_refuses_a_label_outside(label):
    with pytest.raises(ValueError, match=r"predicted has labels .*expected 0\.\.4"):
        metrics.confusion_matrix([0, 1], [0, label], classes=5)


def test_mean_absolute_error_does_not_wrap_unsigned_labels():
    truth, predicted = np.array([3, 200], np.uint8), np.array([5, 100], np.uint8)
    assert metrics.mean_absolute_error(truth, predicted) == 51.0


def test_kappa_worked_by_hand():
    # Truth 0 0 1 1 2 2, predicted 0 1 1 1 2 0; squared errors 0 1 0 0 0 4 sum to 5.
    # Marginals (2 2 2) and (2 3 1): expected 2/6 * (2*(0+1+4) + 3*(1+0+1) + 1*(4+1+0)) = 7.
    kappa = metrics.quadratic_weighted_kappa([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0], classes=3)
    assert kappa == pytest.approx(1 - 5 / 7)


def test_kappa_agrees_with_scikit_learn(rng):
    reference = pytest.importorskip("sklearn.metrics")
    truth = rng.integers(5, size=400)
    predicted = np.clip(truth + rng.integers(-2, 3, size=400), 0, 4)
    assert metrics.quadratic_weighted_kappa(truth, predicted, 5) == pytest.approx(
        reference.cohen_kappa_score(truth, predicted, weights="quadratic"), abs=1e-12
    )


def test_kappa_of_one_class_throughout_is_undefined():
    assert np.isnan(metrics.quadratic_weighted_kappa([1, 1], [1, 1], classes=3))

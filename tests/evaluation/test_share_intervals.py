import numpy as np
import pytest
from scipy import stats

from metabone.evaluation.share_intervals import share_interval

QUERIES = 75


def coverage(tasks, faults, correlation, *, repeats=1000, flip=False):
    """How often the interval covers the truth, with chances of a fault that are beta distributed.

    Args:
      tasks: how many have a share each.
      faults: the true mean share.
      correlation: of two answers in one task.
      repeats: how many sets of tasks.
      flip: whether faults are what is right.
    """
    rng = np.random.default_rng(tasks)
    size = 1 / correlation - 1
    chances = rng.beta(faults * size, (1 - faults) * size, (repeats, tasks))
    shares = rng.binomial(QUERIES, chances) / QUERIES
    truth = faults if flip else 1 - faults
    found = [share_interval(own if flip else 1 - own) for own in shares]
    return np.mean([abs(each.mean - truth) <= each.ci95 for each in found])


@pytest.mark.parametrize(
    ("tasks", "faults", "correlation"),
    [
        (30, 0.02, 0.05),
        (30, 0.05, 0.1),
        (100, 0.02, 0.05),
        (100, 0.02, 0.2),
        (100, 0.3, 0.1),
        (600, 0.001, 0.05),
        (600, 0.001, 0.1),
        (600, 0.005, 0.1),
        (600, 0.1, 0.1),
    ],
)
def test_interval_covers_the_truth_where_faults_are_rare_and_cluster(tasks, faults, correlation):
    assert 0.93 <= coverage(tasks, faults, correlation) <= 0.98


def test_interval_covers_what_is_nearly_never_right():
    assert 0.93 <= coverage(100, 0.02, 0.1, flip=True) <= 0.98


@pytest.mark.parametrize(
    ("tasks", "faults", "correlation"),
    [(30, 0.001, 0.01), (30, 0.005, 0.2), (100, 0.001, 0.1), (100, 0.005, 0.1)],
)
def test_where_hardly_any_task_has_a_fault_the_interval_is_never_too_narrow(
    tasks, faults, correlation
):
    assert coverage(tasks, faults, correlation, repeats=300) >= 0.95


@pytest.mark.parametrize("n", [30, 100, 600])
def test_all_right_and_all_wrong_have_the_width_of_the_rule_of_three(n):
    for share in (0.0, 1.0):
        found = share_interval(np.full(n, share))
        assert found.interval == "gamma" and found.mean == share and found.std == 0
        # That many tasks without a fault are seen in 5 of 100 at the far end.
        assert stats.poisson.pmf(0, n * found.ci95) == pytest.approx(0.05)


def test_first_faults_do_not_make_the_interval_narrower_than_the_limit_of_a_count():
    # One task wholly wrong is one fault of n, whose exact upper limit of 95 % is 4.74.
    found = share_interval(np.r_[np.ones(599), 0.0])
    assert found.ci95 + 1 / 600 == pytest.approx(stats.chi2.ppf(0.95, 4) / 1200, rel=0.01)
    one_answer = share_interval(np.r_[np.ones(599), 74 / 75])
    assert 0.001 < one_answer.ci95 < share_interval(np.ones(600)).ci95


def test_what_is_near_normal_has_students_interval():
    shares = np.random.default_rng(0).uniform(0.4, 0.9, 60)
    found = share_interval(shares)
    assert found.interval == "t"
    assert found.ci95 == pytest.approx(stats.t.ppf(0.975, 59) * stats.sem(shares))


def test_equal_shares_have_a_width_whatever_their_rounding():
    found = share_interval(np.full(100, 0.96))
    # A hundred and one tasks of four faults each, of which it is not known that they are equal.
    limit = stats.gamma.ppf(0.95, 101**2, scale=0.04 / 101) / 100
    assert found.interval == "gamma" and found.ci95 == pytest.approx(limit - 0.04)
    assert share_interval([1.0, 1.0]).ci95 == 1.0


@pytest.mark.parametrize("shares", [[1.2, 0.5], [-0.1, 0.5]])
def test_what_is_no_share_is_refused(shares):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        share_interval(shares)

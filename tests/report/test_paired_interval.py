import numpy as np
import pytest
from scipy import stats

from metabone.report.paired_interval import paired_interval

QUERIES = 75


def coverage(tasks, faults, correlation, repeats):
    """How often the difference of two learners' true shares of faults is covered.

    Tasks are hard or easy for both: the ranks of their chances correlate.
    """
    rng = np.random.default_rng(tasks)
    common = rng.normal(size=(repeats, tasks))
    size = 1 / correlation - 1
    found = []
    for share in faults:
        ranks = stats.norm.cdf(0.7 * common + 0.7141 * rng.normal(size=common.shape))
        chances = stats.beta.ppf(ranks, share * size, (1 - share) * size) if share else 0 * ranks
        found.append(rng.binomial(QUERIES, chances) / QUERIES)
    truth = faults[1] - faults[0]
    intervals = [paired_interval(apart) for apart in found[1] - found[0]]
    return np.mean([abs(each.mean - truth) <= each.ci95 for each in intervals])


@pytest.mark.parametrize(
    ("tasks", "faults", "repeats"),
    [
        (30, (0.3, 0.32), 500),
        (100, (0.005, 0.01), 500),
        (100, (0.02, 0.05), 500),
        (600, (0.001, 0.005), 200),
        (600, (0.02, 0.02), 200),
    ],
)
def test_interval_covers_the_true_difference_in_95_of_100(tasks, faults, repeats):
    assert 0.93 <= coverage(tasks, faults, 0.05, repeats) <= 0.985


@pytest.mark.parametrize(
    ("tasks", "faults"), [(30, (0, 0.005)), (100, (0, 0.001)), (30, (0, 0.02))]
)
def test_where_hardly_any_task_differs_it_is_never_too_narrow(tasks, faults):
    # Student's covers 64 to 86 of 100 here.
    assert coverage(tasks, faults, 0.1, 200) >= 0.95


def test_what_is_near_normal_has_the_paired_t_tests_interval():
    rng = np.random.default_rng(7)
    ours, theirs = rng.normal(0.7, 0.1, 40), rng.normal(0.65, 0.1, 40)
    found = paired_interval(ours - theirs)
    interval = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found.mean - found.ci95 == pytest.approx(interval.low, abs=1e-12)
    assert found.mean + found.ci95 == pytest.approx(interval.high, abs=1e-12)
    assert paired_interval(ours - theirs, 3.0).ci95 == pytest.approx(3 * stats.sem(ours - theirs))


def test_no_task_that_differs_leaves_what_as_many_would_not_have_shown():
    for n in (30, 600):
        found = paired_interval(np.zeros(n))
        level = stats.t.cdf(stats.t.ppf(0.975, n - 1), n - 1)
        assert found.mean == 0 and found.ci95 == pytest.approx(-np.log(1 - level) / n, rel=1e-6)


def test_interval_is_the_same_whichever_of_two_is_taken_from_the_other():
    apart = np.r_[np.zeros(58), 0.2, -0.05]
    one, other = paired_interval(apart), paired_interval(-apart)
    assert one.mean == -other.mean and one.ci95 == pytest.approx(other.ci95)
    assert one.ci95 > stats.t.ppf(0.975, 59) * stats.sem(apart)

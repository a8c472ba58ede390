import numpy as np
import pytest
from scipy import stats

from metabone.evaluation.simultaneous import SIMULTANEOUS, all_pairs_factor, training_errors
from metabone.workflows.comparison import ranking_of

QUERIES = 75


def tasks_of(rng, tasks, means, *, alike=()):
    """Accuracies `[tasks, K]` on tasks that are easy or hard for all; some learners answer alike.

    Of the spread between tasks, 0.09, most is common to all learners, as in real comparisons.
    """
    own = rng.normal(size=(tasks, len(means)))
    for one, other in alike:
        own[:, other] = 0.95 * own[:, one] + 0.3 * own[:, other]
    chances = np.asarray(means) + 0.08 * rng.normal(size=(tasks, 1)) + 0.03 * own
    return rng.binomial(QUERIES, np.clip(chances, 0, 1)) / QUERIES


def ranked(accuracies):
    return ranking_of({str(k): own for k, own in enumerate(accuracies.T)})


def behind(ranking):
    """Names of learners that are clearly behind the best."""
    return {entry["learning"] for entry in ranking[1:] if entry["to_best"] < -entry["ci95"]}


@pytest.mark.parametrize(
    ("learners", "tasks", "alike"),
    [
        (3, 50, ()),
        (3, 300, ((0, 1),)),
        (11, 50, ()),
        (11, 300, ((0, 1), (2, 3), (2, 4), (5, 6))),
    ],
)
def test_of_equal_learners_one_ranking_in_twenty_shows_a_difference(learners, tasks, alike):
    rng = np.random.default_rng(learners + tasks)
    rankings = 600
    clear = one_by_one = 0
    factor = all_pairs_factor(tasks_of(rng, tasks, [0.7] * learners, alike=alike))
    for _ in range(rankings):
        accuracies = tasks_of(rng, tasks, [0.7] * learners, alike=alike)
        # The factor of one set serves all: it is what ranking_of would find anew, to 1 %.
        best = accuracies[:, [accuracies.mean(0).argmax()]]
        apart = best - accuracies
        error = np.maximum(apart.std(0, ddof=1) / np.sqrt(tasks), 1e-12)
        clear += (apart.mean(0) > factor * error).any()
        one_by_one += (apart.mean(0) > stats.t.ppf(0.975, tasks - 1) * error).any()
    assert 0.03 <= clear / rankings <= 0.07
    # What it mends: the same rankings, each interval by itself.
    assert one_by_one / rankings > (0.5 if learners == 11 else 0.09)


def test_a_ranking_holds_all_its_true_differences_to_whatever_seemed_best():
    rng = np.random.default_rng(0)
    truth, held, rankings = np.linspace(0.70, 0.72, 6), 0, 250
    for _ in range(rankings):
        best, *others = ranked(tasks_of(rng, 100, truth))
        first = truth[int(best["learning"])]
        held += all(
            abs(truth[int(e["learning"])] - first - e["to_best"]) <= e["ci95"] for e in others
        )
    assert 0.92 <= held / rankings <= 0.99


def test_a_real_difference_is_found_and_equal_ones_are_not():
    rng = np.random.default_rng(1)
    found = [behind(ranked(tasks_of(rng, 600, [0.72] + [0.70] * 10))) for _ in range(20)]
    # Two points are 5.7 standard errors, the factor is 3.2: each of the ten is found in 99 %.
    assert np.mean([len(names) for names in found]) > 9.7
    third = [behind(ranked(tasks_of(rng, 600, [0.72, 0.72, 0.70]))) for _ in range(40)]
    assert np.mean(["2" in names for names in third]) > 0.95
    assert np.mean([bool(names & {"0", "1"}) for names in third]) < 0.15


def test_factor_of_two_learners_is_students_and_of_independent_ones_tukeys():
    rng = np.random.default_rng(2)
    for tasks in (3, 20, 600):
        two = all_pairs_factor(rng.normal(size=(tasks, 2)), draws=200_000)
        assert two == pytest.approx(stats.t.ppf(0.975, tasks - 1), rel=0.02)
    many = rng.normal(size=(4000, 11)) + 5 * rng.normal(size=(4000, 1))  # what all share cancels
    tukey = stats.studentized_range.ppf(0.95, 11, 3999) / np.sqrt(2)
    assert all_pairs_factor(many) == pytest.approx(tukey, rel=0.01)


def test_learners_that_answer_alike_count_once():
    rng = np.random.default_rng(3)
    two = rng.normal(size=(50, 2))
    thrice = np.concatenate([two, two[:, :1], two[:, :1]], axis=1)
    assert all_pairs_factor(thrice) == pytest.approx(all_pairs_factor(two), rel=0.03)
    ranking = ranked(np.concatenate([two, two], axis=1))
    # That 50 tasks show no difference does not say that there is none.
    assert ranking[1]["to_best"] == 0 and 0 < ranking[1]["ci95"] < 0.15
    assert {entry["interval"] for entry in ranking[1:]} == {SIMULTANEOUS}
    assert "interval" not in ranking[0]
    assert all_pairs_factor(np.ones((5, 3))) == pytest.approx(stats.t.ppf(0.975, 4))


@pytest.mark.parametrize("figures", [np.ones(4), np.ones((1, 3)), [[0.1, np.nan], [0.2, 0.3]]])
def test_factor_of_what_is_no_table_of_figures_is_refused(figures):
    with pytest.raises(ValueError, match=r"finite \[n, K\]"):
        all_pairs_factor(figures)


@pytest.mark.parametrize(("learners", "trainings", "spread"), [(2, 3, 0.01), (6, 3, 0.02)])
def test_trainings_that_differ_rarely_make_equal_learners_seem_apart(learners, trainings, spread):
    rng = np.random.default_rng(learners)
    wrong = once_wrong = 0
    for _ in range(80):
        means = 0.7 + spread * rng.normal(size=(trainings, learners))
        each = np.stack([tasks_of(rng, 60, own) for own in means])
        found = {str(k): each[..., k] for k in range(learners)}
        ranking = ranking_of(found)
        assert ranking[0]["trainings"] == trainings
        wrong += bool(behind(ranking))
        once_wrong += bool(behind(ranking_of({name: own[0] for name, own in found.items()})))
    assert wrong / 80 <= 0.09
    # Of one training each, nothing tells that others would be otherwise.
    assert once_wrong / 80 > 0.12


def test_errors_of_trainings_are_halfway_to_those_of_all_learners():
    found = training_errors([[0.5, 0.5], [0.6, 0.5], [0.7, 0.5]])
    # Variances of the means 0.01 / 3 and 0, their mean 0.005 / 3.
    np.testing.assert_allclose(found, np.sqrt([0.0075 / 3, 0.0025 / 3]))
    with pytest.raises(ValueError, match="N >= 2"):
        training_errors([[0.5, 0.6]])

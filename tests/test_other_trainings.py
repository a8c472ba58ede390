import numpy as np
import pytest

from metabone.evaluation.film_intervals import film_interval
from metabone.evaluation.tasks import TaskFigures, task_rows
from metabone.other_trainings import over_trainings


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.005, 0.03])
def test_interval_of_several_trainings_covers_the_mean_of_all_tasks_and_trainings(count, spread):
    rng = np.random.default_rng(count)
    truth, covered, repeats = 0.6, 0, 1000
    for _ in range(repeats):
        tasks = rng.normal(0, 0.08, 200)
        own = rng.normal(0, spread, (count, 1)) + rng.normal(0, 0.05, (count, 200))
        figures = truth + tasks + own
        each = [TaskFigures(np.clip(row, 0, 1)[:, None], np.zeros((200, 1))) for row in figures]
        (row,) = task_rows(each, ["inductive"])
        covered += abs(row["mean"] - truth) < row["ci95"]
    # Where trainings are all alike, two of them still cannot say so, and it covers more.
    assert 0.93 < covered / repeats < (0.98 if spread > 0.01 or count > 3 else 1.0)


def test_interval_of_one_training_covers_that_training_alone():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        tasks = np.clip(0.6 + rng.normal(0, 0.03) + rng.normal(0, 0.08, (400, 1)), 0, 1)
        (row,) = task_rows([TaskFigures(tasks, 0 * tasks)], ["inductive"])
        covered += abs(row["mean"] - 0.6) < row["ci95"]
    assert covered / 300 < 0.5


def test_interval_of_films_with_several_trainings_covers_other_films_and_trainings():
    rng = np.random.default_rng(1)
    covered, repeats, truth_of = 0, 300, np.repeat(np.arange(4), 10)
    for _ in range(repeats):
        easy = rng.normal(0, 1, 4 * 40)  # of each film in the set
        trained = rng.normal(0, 0.3, (3, 1, 1))
        pools = [rng.permutation(40)[:10] + 40 * c for _ in range(30) for c in range(4)]
        films = np.reshape(pools, (30, 40))
        score = easy[films] + trained + rng.normal(0, 1, (3, 30, 40))
        right = (score > 0).astype(float)
        found = film_interval(right.mean(0), films, np.tile(truth_of, (30, 1)))
        covered += abs(found.mean - 0.5) < over_trainings(found.ci95, right.mean((1, 2)))
    assert 0.92 < covered / repeats < 0.995


def test_difference_takes_the_spread_of_both_learners():
    one, other = [0.5, 0.6, 0.7], [0.2, 0.2, 0.5]
    # t(0.975, 2) = 4.302653; standard errors 0.1 / sqrt 3 and 0.1732 / sqrt 3.
    expected = (0.01**2 + 4.302653**2 * (0.01 + 0.03) / 3) ** 0.5
    assert over_trainings(0.01, one, other) == pytest.approx(expected, rel=1e-6)

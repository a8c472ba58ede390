import math

import numpy as np
import pytest

from metabone.evaluation.film_rows import confusions_of, rows_of, votes_on
from metabone.evaluation.protocol import FilmReading

# Student's t at 0.975 with one degree of freedom is Cauchy's, which has a closed form.
T_OF_TWO_DRAWS = math.tan(0.475 * math.pi)


@pytest.fixture
def reading():
    """Two draws of four films, two ways to predict, two regions."""
    votes = [[[0, 0, 1, 1], [1, 1, 0, 0]], [[0, 1, 1, 1], [0, 0, 1, 1]]]
    tied = [[[0, 0, 0, 1], [0, 0, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 0]]]
    regions = [
        [[[0, 0, 1, 1], [1, 0, 1, 0]], [[1, 1, 0, 0], [1, 1, 0, 0]]],
        [[[0, 0, 0, 1], [0, 1, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 0]]],
    ]
    return FilmReading(
        films=np.array([[7, 3, 9, 4], [2, 7, 9, 5]]),
        truth=np.array([[0, 0, 1, 1], [0, 0, 1, 1]]),
        votes=np.array(votes),
        tied=np.array(tied, bool),
        regions=np.array(regions),
        means=np.array(votes)[:, ::-1],
    )


def test_each_norm_has_rows_of_the_vote_of_the_mean_and_of_each_region(reading):
    rows = rows_of([reading], ["inductive", "transductive"], learning="meta", shots=5, paper=0.533)
    common = {"learning": "meta", "shots": 5, "metric": "accuracy", "unit": "draws", "n": 2}
    # Right in the two draws: of the vote and of either region.
    expected = [
        ("inductive", "vote", 1.0, 0.75),
        ("inductive", "mean", 0.0, 1.0),
        ("inductive", 1, 1.0, 0.75),
        ("inductive", 2, 0.5, 0.75),
        ("transductive", "vote", 0.0, 1.0),
        ("transductive", "mean", 1.0, 0.75),
        ("transductive", 1, 0.0, 1.0),
        ("transductive", 2, 0.0, 0.75),
    ]
    assert [(row["norm"], row["region"]) for row in rows] == [e[:2] for e in expected]
    for row, (_, region, first, second) in zip(rows, expected, strict=True):
        assert row.items() >= common.items()
        assert row["mean"] == pytest.approx((first + second) / 2)
        assert row["std"] == pytest.approx(abs(first - second) / math.sqrt(2))
        assert row["ci95_draws"] == pytest.approx(T_OF_TWO_DRAWS * abs(first - second) / 2)
        assert row["ci95"] >= row["ci95_draws"]
        assert row["covers"] == "other films of these classes"
        vote_alone = {"paper", "tie_rate", "mean_of_first_5"}
        assert (row.keys() & vote_alone) == (vote_alone if region == "vote" else set())
    inductive, transductive = rows[0], rows[4]
    assert inductive["paper"] == transductive["paper"] == 0.533
    assert (inductive["tie_rate"], transductive["tie_rate"]) == (3 / 8, 0.0)
    assert inductive["mean_of_first_5"] == pytest.approx(0.875)


def test_rows_say_how_many_stages_off_and_how_far_from_chance_answers_are():
    """Three stages, two draws of three films; a miss by two stages weighs four times."""
    truth = np.array([[0, 1, 2], [0, 1, 2]])
    votes = np.array([[0, 1, 1], [2, 1, 2]])
    reading = FilmReading(
        films=np.array([[0, 1, 2], [3, 4, 5]]),
        truth=truth,
        votes=votes[:, None],
        tied=np.zeros((2, 1, 3), bool),
        regions=np.stack([votes, truth], 1)[:, None],
        means=votes[:, None],
    )
    vote, _, first, second = rows_of([reading], ["inductive"], shots=1)
    assert vote["mae_stages"] == first["mae_stages"] == pytest.approx(3 / 6)
    # Chance: every truth against every answer.
    by_chance = np.mean((truth.ravel()[:, None] - votes.ravel()) ** 2)
    assert vote["kappa"] == first["kappa"] == pytest.approx(1 - (5 / 6) / by_chance)
    assert vote["mae_stages_ci95"] > 0 and vote["kappa_ci95"] > 0
    assert (second["mean"], second["mae_stages"], second["kappa"]) == (1, 0, 1)
    assert second["kappa_ci95"] == second["mae_stages_ci95"] == 0


def test_the_mean_of_the_first_five_draws_stands_beside_that_of_all():
    right = np.array([1, 1, 0, 0, 1, 0, 0])[:, None]
    truth = np.zeros((7, 1), int)
    reading = FilmReading(
        films=truth,
        truth=truth,
        votes=1 - right[:, None],
        tied=np.zeros((7, 1, 1), bool),
        regions=1 - right[:, None, None],
        means=1 - right[:, None],
    )
    (row,) = rows_of([reading], ["inductive"], learning="base")
    assert row["region"] == "vote"  # a single region has no row of its own
    assert row["paper"] is None
    assert row["mean_of_first_5"] == pytest.approx(3 / 5)
    assert row["mean"] == pytest.approx(3 / 7)
    assert row["n"] == 7
    assert np.isnan(row["ci95"])  # of one film, others are unknown


def test_confusions_count_the_votes_of_all_draws_with_the_truth_in_rows(reading):
    common = {"model": "scratch", "answer": "vote", "unanswered": 0}
    assert confusions_of([reading], ["inductive", "transductive"], 3, model="scratch") == [
        {**common, "norm": "inductive", "matrix": [[3, 1, 0], [0, 4, 0], [0, 0, 0]]},
        {**common, "norm": "transductive", "matrix": [[2, 2, 0], [2, 2, 0], [0, 0, 0]]},
    ]


def test_the_weighted_mean_has_a_row_where_weights_were_given(reading):
    rows = rows_of([reading._replace(weighted=reading.votes)], ["inductive"], shots=5)
    assert [row["region"] for row in rows] == ["vote", "mean", "weighted", 1, 2]
    figures = ("mean", "ci95", "mae_stages", "kappa")
    assert [rows[2][name] for name in figures] == [rows[0][name] for name in figures]


def test_a_film_without_an_answer_is_wrong_and_as_far_off_as_can_be():
    truth = np.array([[0, 1, 2, 3]] * 2)
    silent = np.array([[-1, -1, -1, -1], [0, 1, 2, 3]])
    furthest = np.array([[3, 3, 0, 0], [0, 1, 2, 3]])

    def read(votes):
        films = np.arange(8).reshape(2, 4)
        votes = votes[:, None]
        return FilmReading(films, truth, votes, np.zeros((2, 1, 4), bool), votes[:, None], votes)

    (row,) = rows_of([read(silent)], ["inductive"], shots=1)
    assert (row["mean"], row["mae_stages"]) == (0.5, (3 + 2 + 2 + 3) / 8)
    (worst,) = rows_of([read(furthest)], ["inductive"], shots=1)
    assert row["kappa"] == worst["kappa"]
    (entry,) = confusions_of([read(silent)], ["inductive"], 4)
    assert (entry["matrix"], entry["unanswered"]) == (np.eye(4, dtype=int).tolist(), 4)


def test_a_films_votes_are_those_of_the_first_draw_that_asked_it(reading):
    found = votes_on(reading, [7, 5, 100])
    assert found.keys() == {7, 5}
    assert found[7]["regions"].tolist() == [0, 1] and found[7]["vote"] == 0
    assert found[5]["regions"].tolist() == [1, 1] and found[5]["vote"] == 1
    other = votes_on(reading, [9], prediction=1)
    assert other[9]["regions"].tolist() == [0, 0] and other[9]["vote"] == 0

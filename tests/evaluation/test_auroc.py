import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from metabone.evaluation.auroc import auroc_interval, auroc_terms


@pytest.mark.parametrize("ways", [2, 5])
def test_area_is_scikit_learns_with_ties(ways):
    rng = np.random.default_rng(ways)
    truth = np.stack([rng.permutation(np.repeat(np.arange(ways), 6)) for _ in range(7)])
    scores = np.round(rng.dirichlet(np.ones(ways), (7, 6 * ways)), 1 if ways == 2 else 2)
    scores = scores / scores.sum(-1, keepdims=True)
    terms = auroc_terms(scores, truth)
    for draw in range(7):
        if ways == 2:
            expected = roc_auc_score(truth[draw], scores[draw, :, 1])
        else:
            expected = roc_auc_score(truth[draw], scores[draw], multi_class="ovr")
        assert terms[draw].mean() == pytest.approx(expected, abs=1e-12)


def test_interval_of_the_area_covers_other_films():
    rng = np.random.default_rng(0)
    population, covered = 1.0, 0
    true = 0.760249938906523  # of normal scores one deviation apart, Phi(1 / sqrt 2)
    for _ in range(400):
        easy = rng.normal(size=(2, 60)) + population * np.array([[0.0], [1.0]])
        films = np.stack(
            [
                np.concatenate([rng.permutation(60)[:15], 60 + rng.permutation(60)[:15]])
                for _ in range(40)
            ]
        )
        own = easy.reshape(-1)[films]
        scores = np.stack([-own, own], -1)
        truth = np.tile(np.repeat([0, 1], 15), (40, 1))
        found = auroc_interval(scores, films, truth)
        covered += abs(found.mean - true) < found.ci95
    assert 0.92 < covered / 400 < 0.985


def test_answers_that_are_not_finite_are_the_least_sure_of_every_class():
    scores = np.array([[[0.9, 0.1], [0.8, 0.2], [np.nan, np.nan], [0.3, 0.7]]])
    truth = np.array([[0, 0, 1, 1]])
    # Of class 1: 0.1 and 0.2 against -inf and 0.7, half are in order; of class 0 all four are.
    assert auroc_terms(np.where(np.isnan(scores), -np.inf, scores), truth).mean() == 0.75


def test_a_draw_without_a_class_is_refused():
    with pytest.raises(ValueError, match="class 0: expected it in every draw"):
        auroc_interval(np.zeros((2, 3, 2)), [[0, 1, 2]] * 2, np.zeros((2, 3), int))

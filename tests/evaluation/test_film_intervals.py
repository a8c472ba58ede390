"""Intervals of films against a population that is known, and against figures by hand."""

import numpy as np
import pytest

from metabone.evaluation.film_intervals import film_interval, kappa_interval
from metabone.evaluation.metrics import mean_interval, quadratic_weighted_kappa

WAYS, POOL, SHOTS, QUERIES = 3, 60, 5, 4
OWN, CLEAR = 0.5, 1.5


def answers_of(truth, film, lesson, rng):
    """Stages told: a film is read too old or too young by its own, and as surely as was learned."""
    noise = 0.4 * np.exp(lesson) * rng.normal(size=truth.shape)
    return np.clip(np.rint(truth + film + noise), 0, WAYS - 1).astype(int)


def drawn(draws, rng):
    """Draws of support and query films from one set, and the stages that are told."""
    film, clear = OWN * rng.normal(size=(WAYS, POOL)), CLEAR * rng.normal(size=(WAYS, POOL))
    order = rng.random((draws, WAYS, POOL)).argpartition(SHOTS + QUERIES)[..., : SHOTS + QUERIES]
    order = rng.permuted(order, axis=-1)
    support, query = order[..., :SHOTS], order[..., SHOTS:]
    classes = np.arange(WAYS)[:, None]
    lesson = clear[classes, support].mean((1, 2))[:, None, None]
    truth = np.broadcast_to(classes, query.shape)
    told = answers_of(truth, film[classes, query], lesson, rng)
    flat = (draws, WAYS * QUERIES)
    return told.reshape(flat), (query + classes * POOL).reshape(flat), truth.reshape(flat)


@pytest.fixture(scope="module")
def true_figures():
    """Accuracy, mean absolute error and kappa over the whole population."""
    rng = np.random.default_rng(99)
    truth = np.repeat(np.arange(WAYS), 200_000)
    film = OWN * rng.normal(size=len(truth))
    lesson = CLEAR / np.sqrt(WAYS * SHOTS) * rng.normal(size=len(truth))
    told = answers_of(truth, film, lesson, rng)
    return {
        "accuracy": np.mean(told == truth),
        "mae": np.mean(np.abs(told - truth)),
        "kappa": quadratic_weighted_kappa(truth, told, WAYS),
    }


@pytest.mark.parametrize(("draws", "repeats"), [(30, 1500), (100, 1000), (1000, 400)])
def test_intervals_cover_the_population_in_95_of_100_sets_of_films(draws, repeats, true_figures):
    rng = np.random.default_rng(draws)
    covered = {name: 0 for name in ("accuracy", "mae", "kappa", "draws alone")}
    for _ in range(repeats):
        told, films, truth = drawn(draws, rng)
        found = {
            "accuracy": film_interval(told == truth, films, truth, SHOTS),
            "mae": film_interval(np.abs(told - truth), films, truth, SHOTS),
            "kappa": kappa_interval(told, films, truth, SHOTS),
        }
        for name, estimate in found.items():
            covered[name] += abs(estimate.mean - true_figures[name]) <= estimate.ci95
        missed = abs(found["accuracy"].mean - true_figures["accuracy"])
        covered["draws alone"] += missed <= found["accuracy"].ci95_draws
    for name in ("accuracy", "mae", "kappa"):
        assert 0.93 <= covered[name] / repeats <= 0.97, (name, covered[name] / repeats)
    # What stood in tables before: of the same films alone.
    assert covered["draws alone"] / repeats < {30: 0.9, 100: 0.75, 1000: 0.35}[draws]


def test_with_many_draws_the_error_is_that_of_a_mean_of_films():
    rng = np.random.default_rng(0)
    told, films, truth = drawn(4000, rng)
    right = (told == truth).astype(float)
    found = film_interval(right, films, truth)
    variance = 0.0
    for label in range(WAYS):
        own = truth == label
        per_film = [right[own & (films == film)].mean() for film in np.unique(films[own])]
        variance += np.var(per_film, ddof=1) / len(per_film)
    by_hand = np.hypot(found.ci95_draws, 1.96 * np.sqrt(variance) / WAYS)
    assert found.ci95 == pytest.approx(by_hand, rel=0.02)
    assert found.ci95_draws == mean_interval(right.mean(1)).ci95


def test_without_a_film_asked_twice_nothing_is_added():
    rng = np.random.default_rng(1)
    values, films = rng.random((10, 6)), np.arange(60).reshape(10, 6)
    found = film_interval(values, films, np.repeat([[0, 1]], 10, 0).repeat(3, 1))
    assert found.ci95 >= found.ci95_draws
    assert found.mean == pytest.approx(values.mean())


def test_more_support_films_of_one_set_widen_the_interval():
    rng = np.random.default_rng(2)
    told, films, truth = drawn(3000, rng)
    # Draws that differ by 0.1 and films that do not: all that other films could change is learned.
    right = rng.normal(0.7 + 0.1 * rng.normal(size=(3000, 1)), 0.2, told.shape)
    for shots in (0, 5, 20):
        found = film_interval(right, films, truth, shots)
        by_hand = 1.96 * 0.1 * np.sqrt(shots / (POOL - shots))
        assert found.ci95 == pytest.approx(np.hypot(found.ci95_draws, by_hand), rel=0.05)


def test_kappa_is_that_of_all_draws_together():
    told, films, truth = drawn(7, np.random.default_rng(3))
    found = kappa_interval(told, films, truth, SHOTS)
    assert found.mean == pytest.approx(quadratic_weighted_kappa(truth, told, WAYS), abs=1e-12)
    assert found.n == 7


def test_what_one_film_a_class_would_be_worth_is_not_known():
    films = truth = np.zeros((3, 1), int)
    found = film_interval([[1], [0], [1]], films, truth)
    assert np.isnan(found.ci95) and found.ci95_draws > 0
    nothing = kappa_interval(truth, films, truth)
    assert np.isnan(nothing.mean) and np.isnan(nothing.ci95)


def test_answers_without_their_films_are_refused():
    with pytest.raises(ValueError, match=r"values \(2, 3\), films \(2, 2\)"):
        film_interval(np.zeros((2, 3)), np.zeros((2, 2), int), np.zeros((2, 3), int))

import numpy as np
import pytest
from scipy import stats

from metabone.errors import InputError
from metabone.evaluation.conformal import (
    coverage,
    exact_interval,
    half_widths,
    least_films,
    repeated_coverage,
)


def two_sexes(n, seed=0):
    """Distances that are twice as large for females, and their sex."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["M", "F"], n)
    return np.abs(rng.normal(0, np.where(sex == "F", 10, 5))), sex


@pytest.mark.parametrize(
    ("n", "level", "rank"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.9, 90), (4, 0.8, 4)]
)
def test_the_width_is_the_order_statistic_of_n_plus_one(n, level, rank):
    shuffled = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    assert half_widths(shuffled, level).everyone == rank


def test_exchangeable_films_are_covered_as_often_as_theory_has_it():
    # Of uniform distances the width is its own coverage: a Beta(k, n + 1 - k) variable.
    rng = np.random.default_rng(1)
    found = [half_widths(rng.uniform(size=25), 0.9).everyone for _ in range(4000)]
    expected = stats.beta(24, 2)
    assert np.mean(found) == pytest.approx(24 / 26, abs=4 * expected.std() / np.sqrt(4000))
    assert np.std(found) == pytest.approx(expected.std(), rel=0.05)


def test_widths_by_sex_hold_within_either_where_one_width_for_all_does_not():
    (known, known_sex), (asked, asked_sex) = two_sexes(3000), two_sexes(3000, seed=1)
    pooled = coverage(asked, half_widths(known, 0.9), asked_sex)
    assert pooled["male"]["coverage"] > 0.96 and pooled["female"]["coverage"] < 0.85
    own = coverage(asked, half_widths(known, 0.9, known_sex), asked_sex)
    for name, spread in (("male", 5), ("female", 10)):
        low, high = own[name]["coverage_ci95"]
        assert low < 0.9 < high
        assert own[name]["half_width"] == pytest.approx(1.645 * spread, rel=0.05)
    assert own["level"] == 0.9 and own["all"]["n"] == 3000
    assert own["all"]["coverage"] * 3000 == sum(
        own[name]["coverage"] * own[name]["n"] for name in ("male", "female")
    )


def test_a_film_of_unknown_sex_has_everyones_width_and_counts_among_all_alone():
    widths = half_widths(np.arange(1, 20), 0.9, np.array(["M"] * 10 + [""] * 9))
    assert widths.of(["M", "F", ""]).tolist() == [10, 18, 18] and widths.female is None
    found = coverage([9, 12, 19], widths, ["M", "M", ""])
    assert found["all"]["coverage"] == pytest.approx(1 / 3) and found["female"] is None
    assert found["male"]["coverage"] == 0.5 and found["all"]["half_width"] == 38 / 3


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 8), (180, 200)])
def test_the_interval_of_a_share_is_the_exact_binomial_one(hits, n):
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert exact_interval(hits, n) == pytest.approx((expected.low, expected.high))


def test_mean_coverage_over_halves_hangs_on_no_one_split():
    distances, sex = two_sexes(400)
    patients = np.arange(400) // 2
    own = repeated_coverage(distances, patients, sex, repeats=100)
    for name in ("all", "male", "female"):
        assert own[name]["coverage"] == pytest.approx(0.9, abs=0.02)
        low, high = own[name]["coverage_range"]
        assert low < own[name]["coverage"] < high and high - low > 0.05
    assert own == repeated_coverage(distances, patients, sex, repeats=100)
    assert own["female"]["half_width"] > 1.6 * own["male"]["half_width"]
    pooled = repeated_coverage(distances, patients, sex, by_sex=False, repeats=100)
    assert pooled["female"]["coverage"] < 0.86 < 0.95 < pooled["male"]["coverage"]


def test_a_patients_films_are_never_in_both_halves():
    # Were they, the film left alone would be covered by the width that its twin gave.
    distances = np.repeat(np.arange(20.0), 5)
    found = repeated_coverage(distances, distances, np.full(100, "M"), 0.95, repeats=50)
    assert found["male"]["coverage"] < 0.93 and found["female"] is None


def test_too_few_films_are_refused_since_the_interval_would_be_all_ages():
    assert least_films(0.9) == 9 and least_films(0.8) == 4 and least_films(0.95) == 19
    with pytest.raises(InputError, match=r"^8 films to calibrate on: .* 90 % of films need 9"):
        half_widths(np.ones(8))
    with pytest.raises(InputError, match=r"^4 female films to calibrate on"):
        half_widths(np.ones(20), 0.9, ["M"] * 16 + ["F"] * 4)
    with pytest.raises(InputError, match=r"^9 films to calibrate on: .* 95 %"):
        repeated_coverage(np.ones(18), np.arange(18), np.full(18, ""), 0.95)


def test_what_is_no_distance_level_or_sex_is_refused():
    with pytest.raises(InputError, match="1 of 20 readings are not finite"):
        half_widths([np.nan] + [1.0] * 19)
    with pytest.raises(ValueError, match="none negative"):
        half_widths([-1.0] * 20)
    with pytest.raises(InputError, match="level 90"):
        half_widths(np.ones(20), 90)
    with pytest.raises(InputError, match="sex 'X'"):
        half_widths(np.ones(2), 0.5, ["X", "M"])
    with pytest.raises(ValueError, match=r"patients \(3,\) for 4 films"):
        repeated_coverage(np.ones(4), np.arange(3), np.full(4, ""), 0.5)

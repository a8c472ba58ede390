import numpy as np
import pytest
from scipy import stats

from metabone.errors import InputError
from metabone.evaluation.age_errors import (
    age_bands,
    age_groups,
    median_baselines,
    paired_error_difference,
)

MONTHS = np.array([50.0, 100.0, 150.0, 200.0])
SEX = np.array(["M", "M", "F", ""])
PATIENTS = np.array(["a", "b", "c", "d"])


def drawn(films=300, trainings=1, seed=0):
    """Errors that share a part by patient, of whom each has one film to three."""
    rng = np.random.default_rng(seed)
    patients = np.sort(rng.integers(films // 2, size=films))
    months = rng.uniform(24, 220, films)
    common = rng.normal(0, 8, films // 2)[patients]
    predicted = months + common + rng.normal(2, 6, (trainings, films))
    return predicted, months, rng.choice(["F", "M"], films), patients


def test_figures_of_each_group_are_those_of_the_definitions():
    found = age_groups(MONTHS + np.array([4, -8, 30, 0]), MONTHS, SEX, PATIENTS)
    everyone = found["all"]
    assert everyone["n"] == 4 and everyone["mae"] == 42 / 4 and everyone["bias"] == 26 / 4
    assert everyone["rmse"] == pytest.approx(np.sqrt((16 + 64 + 900) / 4))
    assert [everyone[f"within_{most}"] for most in (6, 12, 24)] == [0.5, 0.75, 0.75]
    spread = np.std([4, -8, 30, 0], ddof=1)
    assert everyone["limits"] == pytest.approx([6.5 - 1.96 * spread, 6.5 + 1.96 * spread])
    assert everyone["training_means"] == [42 / 4]
    assert found["male"]["mae"] == 6 and found["male"]["bias"] == -2 and found["male"]["n"] == 2
    assert found["female"]["mae"] == 30 and found["female"]["mae_ci95"] is None


def test_a_group_without_films_has_no_figures():
    found = age_groups(MONTHS, MONTHS, np.full(4, ""), PATIENTS)
    assert found["male"] is None and found["female"] is None and found["all"]["mae"] == 0


def test_one_film_a_patient_gives_students_interval():
    predicted, months, sex, _ = drawn(40)
    found = age_groups(predicted, months, sex, np.arange(40))["all"]
    for name, values in (("mae", np.abs(predicted[0] - months)), ("bias", predicted[0] - months)):
        expected = stats.t.ppf(0.975, 39) * stats.sem(values)
        assert found[f"{name}_ci95"] == pytest.approx(expected)


def test_the_interval_is_that_of_resampling_patients_and_wider_than_that_of_films():
    predicted, months, sex, patients = drawn()
    found = age_groups(predicted, months, sex, patients)["all"]
    off = predicted[0] - months
    sums = np.bincount(patients, off, 150), np.bincount(patients, minlength=150)
    there = sums[1] > 0
    rng = np.random.default_rng(1)
    picked = rng.integers(there.sum(), size=(20_000, there.sum()))
    means = sums[0][there][picked].sum(1) / sums[1][there][picked].sum(1)
    assert found["bias_ci95"] == pytest.approx(1.96 * means.std(), rel=0.04)
    alone = age_groups(predicted, months, sex, np.arange(300))["all"]
    assert found["bias_ci95"] > 1.15 * alone["bias_ci95"]


def test_intervals_cover_the_truth_of_other_patients_and_other_trainings():
    rng, covered = np.random.default_rng(2), 0
    for _ in range(400):
        months = rng.uniform(24, 220, 60)
        film, training = rng.normal(0, 5, 60), rng.normal(0, 2, (3, 1))
        found = age_groups(
            months + 1 + film + training, months, np.full(60, "F"), np.arange(60) // 2
        )["all"]
        covered += abs(found["bias"] - 1) <= found["bias_ci95"]
    assert 0.92 <= covered / 400 <= 0.99


def test_several_trainings_are_readers_each_and_not_their_mean():
    found = age_groups(np.stack([MONTHS + 10, MONTHS - 10]), MONTHS, SEX, PATIENTS)["all"]
    assert found["mae"] == 10 and found["bias"] == 0 and found["training_means"] == [10, 10]
    # One standard error of 10 from two trainings at +10 and -10, none from films.
    assert found["bias_ci95"] == pytest.approx(stats.t.ppf(0.975, 1) * 10)
    assert found["limits"][1] == pytest.approx(1.96 * 10 * np.sqrt(8 / 7))


def test_bands_hold_every_film_once_and_their_lower_edge():
    months = np.array([10.0, 60.0, 239.0, 240.0, 300.0])
    sex = np.array(["M", "F", "F", "F", ""])
    found = age_bands(months + np.array([1, 2, 3, 4, 8]), months, sex, np.arange(5))
    everyone = [row for row in found if row["sex"] == "all"]
    assert [(row["from"], row["to"], row["n"], row["mae"]) for row in everyone] == [
        *((0, 60, 1, 1), (60, 108, 1, 2), (204, 240, 1, 3), (240, None, 2, 6))
    ]
    assert [(row["from"], row["n"]) for row in found if row["sex"] == "female"] == [
        *((60, 1), (204, 1), (240, 1))
    ]
    with pytest.raises(ValueError, match="ascending"):
        age_bands(months, months, sex, np.arange(5), edges=(60, 0))


def test_the_median_by_sex_falls_back_to_that_of_all_where_sex_is_unknown_or_new():
    found = median_baselines([100, 120, 140, 10], ["M", "M", "M", ""], ["M", "F", ""])
    assert found.median.tolist() == [110, 110, 110] and found.by_sex.tolist() == [120, 110, 110]
    with pytest.raises(ValueError, match="M >= 1"):
        median_baselines([], [], ["M"])


def test_errors_on_the_same_films_are_compared_film_by_film():
    predicted, months, sex, patients = drawn(200)
    hard = predicted[0] - months
    worse = months + np.sign(hard) * (np.abs(hard) + 1)
    found = paired_error_difference(predicted, worse, months, patients)
    assert found.mean == pytest.approx(-1) and found.ci95 < 1e-9 and found.lower and found.n == 200
    other = paired_error_difference(worse, predicted, months, patients)
    assert other.mean == pytest.approx(1) and not other.lower
    apart = age_groups(predicted, months, sex, patients)["all"]["mae_ci95"]
    assert apart > 0.5 and not paired_error_difference(worse, worse, months, patients).lower


def test_trainings_of_either_arm_widen_the_difference():
    a = np.stack([MONTHS + 1, MONTHS + 3, MONTHS + 5])
    b = MONTHS + 6
    found = paired_error_difference(a, b, MONTHS, PATIENTS)
    assert found.mean == -3
    assert found.ci95 == pytest.approx(stats.t.ppf(0.975, 2) * 2 / np.sqrt(3))


def test_what_is_no_age_is_refused_and_says_whose():
    with pytest.raises(InputError, match="training 2 of 2 read ages that are not finite on 1 of 4"):
        age_groups([MONTHS, MONTHS + np.array([0, np.nan, 0, 0])], MONTHS, SEX, PATIENTS)
    with pytest.raises(InputError, match="1 of 4 true ages not finite"):
        age_groups(MONTHS, MONTHS + np.array([0, np.inf, 0, 0]), SEX, PATIENTS)
    with pytest.raises(InputError, match="sex 'X'"):
        age_groups(MONTHS, MONTHS, np.array(["M", "X", "F", ""]), PATIENTS)
    with pytest.raises(ValueError, match=r"predicted \(1, 3\), months \(4,\)"):
        age_groups(MONTHS[:3], MONTHS, SEX, PATIENTS)

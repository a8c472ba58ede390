"""Corrections by sex against least squares with pseudo-films, written out."""

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.training.age_scale import AgeScale
from metabone.workflows.age_calibration import (
    NO_CHANGE,
    AgeLines,
    Shrinkage,
    fit_lines,
    left_out_months,
    widths_of,
)

SCALE = AgeScale(120.0, 40.0)
FREE = Shrinkage(1e-9, 1e-9, 1e-9, 1e-9)


def films(count, seed=0, noise=8.0):
    rng = np.random.default_rng(seed)
    read = rng.uniform(20, 220, count)
    sex = rng.choice(["F", "M", ""], count)
    return read, read + 6 + rng.normal(0, noise, count), sex


def test_a_correction_is_least_squares_on_films_and_pseudo_films_that_say_no_change():
    read, months, sex = films(30)
    z, s = (read - 120) / 40, np.select([sex == "M", sex == "F"], [1.0, -1.0], 0.0)
    design = np.stack([np.ones(30), z, s, s * z], 1)
    pseudo = np.diag(np.sqrt([1.0, 6.0, 6.0, 12.0]))
    w, *_ = np.linalg.lstsq(
        np.vstack([design, pseudo]), np.r_[months - read, np.zeros(4)], rcond=None
    )
    expected = read + design @ w
    np.testing.assert_allclose(
        fit_lines(read, months, sex, SCALE).months(read, sex), expected, rtol=1e-12
    )


def test_lines_that_hold_exactly_are_found_where_nothing_is_shrunk():
    read, _, sex = films(40)
    lines = AgeLines((6.0, 1.1), (-2.0, 0.9), (2.0, 1.0))
    found = fit_lines(read, lines.months(read, sex), sex, SCALE, FREE)
    np.testing.assert_allclose(np.array(found), np.array(lines), atol=1e-6)


def test_as_many_films_as_the_shrinkage_says_halve_a_shift():
    for strength in (1.0, 5.0):
        count = int(strength)
        lines = fit_lines(
            np.full(count, 120.0), np.full(count, 130.0), [""] * count, SCALE, Shrinkage(strength)
        )
        assert lines.unknown == pytest.approx((5.0, 1.0))


def test_a_shift_alone_is_the_sum_of_errors_over_one_film_more():
    read, months, sex = films(9)
    lines = fit_lines(read, months, sex, SCALE, by_sex=False, stretch=False)
    shift = (months - read).sum() / 10
    np.testing.assert_allclose(np.array(lines), [(shift, 1.0)] * 3)


def test_no_film_changes_nothing():
    assert fit_lines([], [], [], SCALE) == NO_CHANGE


def test_films_of_one_sex_move_the_other_by_what_both_share_alone():
    read, sex = np.full(6, 120.0), ["M"] * 6
    lines = fit_lines(read, read + 10, sex, SCALE)
    both, half = np.linalg.solve([[7.0, 6.0], [6.0, 12.0]], [60.0, 60.0])
    assert lines.months([120.0] * 3, ["M", "F", ""]) - 120 == pytest.approx(
        [both + half, both - half, both]
    )


def test_a_film_left_out_is_told_what_the_others_say():
    read, months, sex = films(12, seed=3)
    found = left_out_months(read, months, sex, SCALE)
    for row in range(12):
        rest = np.arange(12) != row
        lines = fit_lines(read[rest], months[rest], sex[rest], SCALE)
        np.testing.assert_allclose(found[row], lines.months(read[[row]], sex[[row]])[0])


def test_films_of_one_patient_are_left_out_together():
    read, months, sex = films(12, seed=4)
    patients = np.array(list("aabbbcdeffff"))
    found = left_out_months(read, months, sex, SCALE, patients=patients)
    for row in range(12):
        rest = patients != patients[row]
        lines = fit_lines(read[rest], months[rest], sex[rest], SCALE)
        np.testing.assert_allclose(found[row], lines.months(read[[row]], sex[[row]])[0])


def test_half_widths_are_claimed_as_far_as_films_suffice():
    off = np.arange(1.0, 41.0)
    sex = np.array(["F", "M"] * 20)
    assert widths_of(off[:8], sex[:8]) is None
    few = widths_of(off[:17], sex[:17])
    assert (few.male, few.female) == (None, None) and few.everyone == 17
    many = widths_of(-off, sex, without_sex=off + 5)
    # The 19th of 20 odd and of 20 even distances; the 37th of 40, sex not being told.
    assert (many.female, many.male, many.everyone) == (37, 38, 42)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (([np.nan], [1.0], [""]), "finite"),
        (([1.0], [1.0, 2.0], [""]), "for 1 films"),
        (([1.0], [1.0], ["X"]), "sex 'X'"),
    ],
)
def test_what_is_no_film_is_refused(given, told):
    with pytest.raises(InputError, match=told):
        fit_lines(*given, SCALE)

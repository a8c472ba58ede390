"""Corrections at another clinic, on films that differ from those before in a way that is known."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from metabone.commands.calibrate import CalibrateSettings, main
from metabone.errors import InputError
from metabone.learners.ridge import ridge_fit
from metabone.workflows import clinic_files
from metabone.workflows.age_adaptation import (
    STRENGTHS,
    exposed,
    learn_strengths,
    ridge_months,
    strength_for,
    tune_heads,
    whole_tuner,
)
from metabone.workflows.age_calibration import fit_lines, left_out_months
from metabone.workflows.age_model import fingerprints_of, load_age_model, save_age_model
from metabone.workflows.clinic_curve import (
    HEAD,
    LINES,
    META,
    SHIFT,
    UNCORRECTED,
    WHOLE,
    Draws,
    clinic_curve,
    counts_for,
    winners,
)
from tests.workflows.aged_hands import age_model, aged_films


@pytest.fixture(scope="module")
def model():
    return age_model(strengths={5: 100.0})


@pytest.fixture(scope="module")
def films(model):
    """Of a clinic where the model is 12 months off, for males in one stretch more."""
    made = aged_films(80)
    read = model.read_uncorrected(made).astype(np.float64)
    noise = np.random.default_rng(1).normal(0, 3, 80)
    months = read + 12 + 0.2 * (read - 120) * (made.sex == "M") + noise
    return dataclasses.replace(made, months=months.astype(np.float32))


@pytest.fixture(scope="module")
def features(model, films):
    return model.features(films)


@pytest.fixture(scope="module")
def rows(model, films):
    return clinic_curve(model, films, counts=(5, 50), draws=Draws(4, 2, 0))


def test_features_and_head_are_the_network(model, films, features):
    said = model.made.network.head(model.params, features)
    read = model.read_uncorrected(films)
    np.testing.assert_allclose(model.scale.months(said), read, rtol=1e-3)


def test_a_ridge_is_on_what_lines_leave_over(model, films, features):
    read, local = model.read_uncorrected(films), np.arange(3, 15)
    found = ridge_months(model, read, features, films.months, films.sex, local, [3.0, 1e8])
    lines = fit_lines(read[local], films.months[local], films.sex[local], model.scale)
    straight = lines.months(read, films.sex)
    left = films.months[local] - straight[local]
    fit = ridge_fit(features[local], (left - left.mean()).astype(np.float32)[:, None], 3.0)
    expected = straight + np.asarray((features - fit.centre) @ fit.weights)[:, 0]
    np.testing.assert_allclose(found[0], expected, atol=1e-2)
    np.testing.assert_allclose(found[1], straight, atol=1e-2)


def test_strengths_are_learned_as_far_as_films_suffice(model, films):
    found = learn_strengths(model, films, (5, 20, 200), tasks=4)
    assert list(found) == [5, 20] and {*found.values()} <= {*STRENGTHS}
    assert strength_for(found, 3) == STRENGTHS[-1] and strength_for(found, 60) == found[20]


def test_an_exposure_changes_greys_between_black_and_white_alone():
    made = dataclasses.replace(
        aged_films(1, (1, 3, 1)), images=np.array([0, 64, 255], np.uint8).reshape(1, 1, 3, 1)
    )
    assert exposed(made, 2.0).images.ravel().tolist() == [0, 16, 255]


def test_a_tuned_head_comes_nearer_to_its_films_and_no_padding_counts(model, films, features):
    months = films.months
    alone = tune_heads(model, features, months, [np.arange(6)])
    padded = tune_heads(model, features, months, [np.arange(6), np.arange(40)])
    np.testing.assert_allclose(alone[0], padded[0], atol=0.05)
    before = np.abs(model.read_uncorrected(films) - months)[:40].mean()
    assert np.abs(padded[1] - months)[:40].mean() < before


def test_rows_hold_each_correction_on_films_of_other_patients(rows, films):
    found = {(row["films"], row["method"]): row for row in rows}
    always = {UNCORRECTED, SHIFT, LINES, META, HEAD}
    assert {method for count, method in found if count == 50} == always
    assert [found[50, method]["draws"] for method in (LINES, HEAD)] == [4, 2]
    assert found[50, SHIFT]["asked"] == 30 and found[5, SHIFT]["asked"] == 75
    assert found[50, UNCORRECTED]["gain"] == 0 and found[50, UNCORRECTED]["better"] == 0
    # The clinic's own noise has a mean distance of 2.4 months, and 50 films nearly find its lines.
    errors = [found[50, method]["mae"] for method in (LINES, SHIFT, UNCORRECTED)]
    assert errors == sorted(errors) and errors[0] < 4.5 and errors[2] > 10
    assert found[50, LINES]["better"] == 1


@pytest.mark.slow
def test_the_whole_network_is_trained_from_fifty_films_on(model, films):
    rows = clinic_curve(model, films, counts=(20, 50), draws=Draws(1, 0, 1))
    assert [row["films"] for row in rows if row["method"] == WHOLE] == [50]
    tune = whole_tuner(model, films, 60)
    before = np.abs(model.read_uncorrected(films) - films.months)[:50].mean()
    assert np.abs(tune(np.arange(50)) - films.months)[:50].mean() < before


def test_films_of_a_local_patient_are_not_asked(model, films):
    paired = dataclasses.replace(films, patients=np.repeat(films.patients[:40], 2))
    (row, *_) = clinic_curve(model, paired, counts=(5,), draws=Draws(3, 0, 0))
    assert row["asked"] == 74  # Three patients of two films each are local, in part.


def test_a_correction_is_worth_it_from_where_it_stays_better():
    gains = {LINES: (-1.0, 0.5, 2.0), SHIFT: (1.0, -0.1, 1.0), HEAD: (-1.0, -1.0, -1.0)}
    rows = [
        {"films": count, "method": method, "gain": gain}
        for method, own in (gains | {UNCORRECTED: (0.0, 0.0, 0.0)}).items()
        for count, gain in zip((5, 10, 20), own, strict=True)
    ]
    found = winners(rows)
    assert [found["better_from"][name] for name in (LINES, SHIFT, HEAD)] == [10, 20, None]
    assert found["best"] == {5: SHIFT, 10: LINES, 20: LINES}
    # Where no strength is worth it, what is meta-learned is the lines, but for the last digits.
    rows += [{"films": 20, "method": META, "gain": 2.001}]
    assert winners(rows)["best"][20] == LINES


def test_counts_that_leave_no_other_patient_in_a_draw_are_passed_over(model, films):
    patients = np.r_[films.patients[:30], np.repeat("one", 50)]
    skewed = dataclasses.replace(films, patients=patients)
    plain = dataclasses.replace(model, strengths={})
    rows = clinic_curve(plain, skewed, counts=(5, 50), draws=Draws(20, 0, 0))
    assert {row["films"] for row in rows} == {5}
    one = dataclasses.replace(films, patients=np.repeat("one", 80))
    with pytest.raises(InputError, match="leave no other patient"):
        clinic_curve(model, one, counts=(5,), draws=Draws(2, 0, 0))


def test_films_of_few_patients_correct_a_model_but_compare_nothing(model, films, tmp_path):
    few = dataclasses.replace(films, patients=np.resize(["a", "b", "c"], 80))
    found, curve = clinic_files.write_calibration(model, few, tmp_path / "out")
    assert curve is None and found.left_out < found.before
    told = clinic_files.calibration_in_words(found, curve)[-1]
    assert told == "Corrections are compared from 25 films of 6 patients on."


def test_too_few_films_are_refused():
    assert counts_for(70) == (5, 10, 20, 50)
    with pytest.raises(InputError, match="expected at least 25"):
        counts_for(24)


def test_the_command_writes_a_model_that_reads_the_clinics_films_better(
    model, films, tmp_path, monkeypatch, capsys
):
    asked = {}

    def load(source, **options):
        asked.update(options, source=str(source))
        return films

    monkeypatch.setattr(clinic_files, "load_aged", load)
    run, out = tmp_path / "run", tmp_path / "out"
    save_age_model(run / "model", model)
    config = CalibrateSettings(
        str(run), str(tmp_path), str(out), draws=2, head_draws=0, whole_draws=0
    )
    main(SimpleNamespace(config=config, data_dir=None))
    assert asked["view"] == "squashed" and asked["source"] == f"rsna:{tmp_path}"
    found = load_age_model(out)
    read = model.read_uncorrected(films)
    lines = fit_lines(read, films.months, films.sex, model.scale)
    np.testing.assert_allclose(np.array(found.lines), np.array(lines), rtol=1e-6)
    # A third of 80 films have either sex: the 25th of 27 distances, each film being left out.
    off = np.abs(left_out_months(read, films.months, films.sex, model.scale) - films.months)
    own = np.sort(off[films.sex == "M"])
    assert found.widths.male == pytest.approx(own[int(np.ceil(0.9 * (len(own) + 1))) - 1])
    assert found.learned == {*fingerprints_of(films)}
    record = json.loads((out / "calibration.json").read_text())
    assert record["mae_left_out"] < 4.5 and record["mae_before"] > 10
    assert [row["films"] for row in record["curve"] if row["method"] == LINES] == [5, 10, 20, 50]
    page = (out / "calibration.html").read_text()
    assert "<svg" in page and "better than no correction" in page
    assert "Half widths of 90 %" in capsys.readouterr().out
    with pytest.raises(InputError, match="trained on 80 of these 80 films"):
        clinic_files.local_films(found, str(tmp_path))


def test_of_a_few_films_no_interval_is_claimed(model, films):
    found = clinic_files.calibrate(model, films.keep(np.arange(8)))
    assert found.model.widths is None and found.left_out < found.before

"""Models of bone age: what they answer, and that they come back from disk as they went."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from metabone.errors import InputError
from metabone.evaluation.conformal import HalfWidths
from metabone.workflows.age_calibration import AgeLines
from metabone.workflows.age_model import (
    RECORD,
    WEIGHTS,
    is_age_model,
    load_age_model,
    save_age_model,
)
from tests.workflows.aged_hands import SETTINGS, age_model, aged_films

LINES = AgeLines((6.0, 1.1), (-2.0, 0.9), (2.0, 1.0))
FULL = dict(
    lines=LINES,
    widths=HalfWidths(0.9, 20.0, 18.0, None),
    strengths={5: 100.0, 20: 30.0},
    key_points="ab" * 32,
    method=3,
    learned=frozenset({"0123456789abcdef"}),
    data=({"source": "made", "count": 3},),
    about={"Network": "conv4, as drawn."},
)


@pytest.fixture(scope="module")
def model():
    return age_model(**FULL)


@pytest.fixture
def saved(model, tmp_path):
    return save_age_model(tmp_path / "kept", model)


def test_a_correction_is_by_sex_and_on_top_of_what_the_network_reads(model):
    films = aged_films(6)
    read = model.read_uncorrected(films)
    assert read.std() > 0.1 and np.isfinite(read).all()
    np.testing.assert_allclose(model.read(films), LINES.months(read, films.sex), rtol=1e-6)


def test_a_network_that_looks_at_sex_answers_otherwise_without_it(model):
    films = aged_films(6)
    untold = model.read_uncorrected(films.without_sex())
    known = films.sex != ""
    assert (untold[known] != model.read_uncorrected(films)[known]).all()
    blind = age_model(sex_use="unknown")
    assert not blind.knows_sex
    np.testing.assert_array_equal(
        blind.read_uncorrected(films), blind.read_uncorrected(films.without_sex())
    )


def test_intervals_are_by_sex_and_end_at_birth(model):
    found = model.intervals(np.array([100.0, 100.0, 10.0]), np.array(["M", "F", ""]))
    np.testing.assert_array_equal(found, [[82, 118], [80, 120], [0, 30]])
    assert dataclasses.replace(model, widths=None).intervals(np.ones(1), np.array(["F"])) is None


@pytest.mark.parametrize("view", ["squashed", "regions"])
def test_a_model_comes_back_from_disk_with_the_same_answers(view, tmp_path):
    model = age_model(view, **FULL)
    save_age_model(tmp_path / "run" / "model", model)
    again = load_age_model(tmp_path / "run")
    films = aged_films(3, model.image_shape)
    np.testing.assert_array_equal(again.read(films), model.read(films))
    for name in (*FULL, "view", "sex_use", "published", "image_shape", "scale", "made_by"):
        assert getattr(again, name) == getattr(model, name), name
    kept = {name: getattr(SETTINGS, name) for name in ("network", "head_widths", "width", "size")}
    assert {name: getattr(again.settings, name) for name in kept} == kept
    assert is_age_model(tmp_path / "run") and not is_age_model(tmp_path)


def test_what_is_there_already_is_never_touched(model, saved):
    with pytest.raises(InputError, match="exists already"):
        save_age_model(saved, model)


def test_an_age_that_is_not_finite_is_no_answer(model):
    wrong = {**model.params, "head": jax.tree.map(lambda leaf: leaf * 1e30, model.params["head"])}
    with pytest.raises(InputError, match="no finite age on 2 of 2 films"):
        dataclasses.replace(model, params=wrong).read(aged_films(2))


def test_films_of_another_size_are_refused(model):
    with pytest.raises(InputError, match=r"the model sees \(16, 16, 1\)"):
        model.read(aged_films(2, (24, 24, 1)))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InputError, match="no model of bone age"):
        load_age_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict(format="metabone model"), "not a model of bone age"),
        (dict(version=2), "version '2'"),
        (dict(view="upright"), "damaged"),
        (dict(scale={"mean": 1.0, "deviation": 0}), "damaged"),
        (dict(scale={"mean": float("nan"), "deviation": 1.0}), "damaged"),
        (dict(widths={"level": 0.9}), "damaged"),
        (dict(widths={"level": 2.0, "everyone": 9.0, "male": None, "female": None}), "damaged"),
        (dict(widths={"level": 0.9, "everyone": 9.0, "male": -1.0, "female": None}), "damaged"),
        (dict(strengths={"5": 0.0}), "damaged"),
        (dict(image_shape=[16, 16]), "damaged"),
        (dict(lines={"male": [1.0]}), "damaged"),
        (dict(settings=[]), "damaged"),
        (dict(sex_use="unknown"), "of another network"),
        (dict(image_shape=[10**9, 16, 1]), "damaged"),
    ],
)
def test_a_record_that_does_not_fit_ends_in_one_line(saved, change, told):
    record = json.loads((saved / RECORD).read_text())
    (saved / RECORD).write_text(json.dumps(record | change))
    with pytest.raises(InputError, match=told) as error:
        load_age_model(saved)
    assert "\n" not in str(error.value)


def test_weights_that_were_altered_are_refused(saved):
    weights = load_file(saved / WEIGHTS)
    name = "params/head/age/bias"
    save_file(weights | {name: weights[name] + 1}, saved / WEIGHTS)
    with pytest.raises(InputError, match="damaged"):
        load_age_model(saved)
    (saved / WEIGHTS).write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="never read"):
        load_age_model(saved)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda leaf: leaf[:, :0], "float32"),
        (lambda leaf: leaf.astype(np.float64), "float64"),
        (lambda leaf: np.full_like(leaf, np.nan), "not finite"),
    ],
)
def test_weights_of_another_kind_are_refused_whatever_their_hash(saved, change, told):
    import hashlib

    weights = load_file(saved / WEIGHTS)
    name = "params/head/age/kernel"
    save_file(weights | {name: change(weights[name])}, saved / WEIGHTS)
    record = json.loads((saved / RECORD).read_text())
    record["sha256"][WEIGHTS] = hashlib.sha256((saved / WEIGHTS).read_bytes()).hexdigest()
    (saved / RECORD).write_text(json.dumps(record))
    with pytest.raises(InputError, match=told):
        load_age_model(saved)

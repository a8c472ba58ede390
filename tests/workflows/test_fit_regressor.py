import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.nets.network import Network
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import fit_scale
from metabone.training.run import open_run
from metabone.workflows.age_parts import part_films
from metabone.workflows.fit_regressor import Recipe, Stage, fit_regressor, has_settled

BOTH = {"low": True, "head": True}
HEAD = {"low": False, "head": True}


def grey_net():
    """Age is a line of the mean grey; sex is not looked at."""

    def init(key, image_shape):
        return {"low": jnp.float32(0.0), "head": jnp.float32(0.0)}, {}

    def apply(params, norm_stats, images, use_batch_stats):
        grey = images[:, :-1].mean((1, 2, 3))
        return (params["low"] * grey + params["head"])[:, None], norm_stats

    return Network(init, apply)


@pytest.fixture
def parts():
    """Films whose age is their grey level."""
    grey = np.linspace(10, 240, 100).astype(np.uint8)
    ids = np.array([f"f{index}" for index in range(100)])
    films = AgedFilms(
        np.broadcast_to(grey[:, None, None, None], (100, 3, 3, 1)).copy(),
        grey.astype(np.float32),
        np.array(["F", "M"] * 50),
        ids,
        ids,
        Provenance("films", "simulated", "0" * 64, 100, "", "", ()),
    )
    return part_films(films)


def fit(parts, stages, *, run=None, given=None, start=None, **recipe):
    network = grey_net()
    return fit_regressor(
        network,
        start or network.init(None, None),
        parts,
        stages,
        Recipe(**{"batch": 16, "validate_every": 50} | recipe),
        fit_scale(parts.train.months),
        seed=3,
        run=run,
        given=given,
        progress=False,
    )


def test_it_learns_an_age_that_is_a_line_of_the_grey_level(parts):
    fitted = fit(parts, [Stage("all", BOTH, "adam", 0.1, 400)])
    error = np.abs(fitted.read(parts.test) - parts.test.months)
    assert error.mean() < 1.0
    assert fitted.validation_mae < 1.0


def test_the_head_alone_comes_to_the_median_and_no_further(parts):
    fitted = fit(parts, [Stage("head", HEAD, "adam", 0.05, 300)])
    assert fitted.params["low"] == 0.0
    said = fitted.read(parts.test)
    np.testing.assert_allclose(said, np.median(parts.train.months), atol=8.0)


def test_each_stage_goes_on_from_the_best_of_the_one_before(parts):
    first = fit(parts, [Stage("head", HEAD, "adam", 0.05, 100)])
    both = fit(
        parts, [Stage("head", HEAD, "adam", 0.05, 100), Stage("all", BOTH, "adam", 0.1, 100)]
    )
    from_first = fit(
        parts, [Stage("all", BOTH, "adam", 0.1, 100)], start=(first.params, first.norm_stats)
    )
    jax.tree.map(np.testing.assert_array_equal, both.params, from_first.params)


def test_a_run_that_is_opened_again_ends_in_the_same_bits_and_trains_nothing(parts, tmp_path):
    stages = [Stage("head", HEAD, "adam", 0.05, 60), Stage("all", BOTH, "adam", 0.1, 60)]
    with open_run(tmp_path, "bone_age", "a", {}, seed=0) as run:
        once = fit(parts, stages, run=run)
        written = (run.path / "metrics.jsonl").read_bytes()
    with open_run(tmp_path, "bone_age", "a", {}, seed=0) as run:
        again = fit(parts, stages, run=run)
        assert (run.path / "metrics.jsonl").read_bytes() == written
    jax.tree.map(np.testing.assert_array_equal, once.params, again.params)
    assert again.validation_mae == once.validation_mae


def test_a_stage_that_is_given_a_film_of_the_test_part_is_refused_before_anything_runs(parts):
    ids = np.concatenate([parts.train.ids[1:], parts.test.ids[:1]])
    planted = dataclasses.replace(
        parts.train,
        images=np.concatenate([parts.train.images[1:], parts.test.images[:1]]),
        months=np.concatenate([parts.train.months[1:], parts.test.months[:1]]),
        sex=np.concatenate([parts.train.sex[1:], parts.test.sex[:1]]),
        patients=ids,
        ids=ids,
    )
    stages = [Stage("head", HEAD, "adam", 0.05, 10), Stage("exit", BOTH, "adam", 0.05, 10)]
    given = [(parts.train, parts.validation), (planted, parts.validation)]
    with pytest.raises(InputError, match=r"stage 'exit': film .* of the test part"):
        fit(parts, stages, given=given)


def test_the_rate_falls_on_a_plateau(parts):
    """With a rate far too high the loss stays, and a rate that falls gets lower in the end."""
    stage = [Stage("all", BOTH, "sgd", 0.3, 600)]
    constant, falling = (
        fit(parts, stage, schedule=schedule).validation_mae for schedule in ("constant", "plateau")
    )
    assert falling < 0.5 * constant


def test_the_last_state_is_kept_where_the_best_is_not_asked_for(parts):
    stage = [Stage("all", BOTH, "sgd", 0.3, 110)]
    best, last = (
        fit(parts, stage, schedule="constant", validate_every=10, choose=choose)
        for choose in ("best", "last")
    )
    assert best.validation_mae < last.validation_mae
    error = np.abs(last.read(parts.validation) - parts.validation.months).mean()
    np.testing.assert_allclose(last.validation_mae, error, rtol=1e-5)


def test_a_stage_has_settled_when_its_lowest_error_is_long_ago():
    history = [{"mae": error} for error in (9.0, 7.0, 8.0, 7.5)]
    assert not has_settled(history[:3], 2)
    assert has_settled(history, 2)
    assert not has_settled([*history, {"mae": 6.9}], 2)


@pytest.mark.parametrize(
    ("stages", "recipe", "message"),
    [
        ([], {}, "no stages"),
        ([Stage("all", BOTH, "adagrad", 0.1, 5)], {}, "optimiser 'adagrad'"),
        ([Stage("all", BOTH, "adam", 0.1, 5)], {"schedule": "step"}, "schedule 'step'"),
        ([Stage("all", BOTH, "adam", 0.1, 5)], {"batch": 81}, "1 to the 80 films"),
    ],
)
def test_what_cannot_be_trained_is_refused(parts, stages, recipe, message):
    with pytest.raises(InputError, match=message):
        fit(parts, stages, **recipe)

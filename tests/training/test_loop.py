import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.errors import InputError
from metabone.training.checkpoints import Checkpoints
from metabone.training.loop import TrainingDiverged, train
from metabone.training.writers import MetricsWriter, read_metrics

pytestmark = pytest.mark.optimized

TARGETS = np.array([1.0, -2.0, 0.5, 4.0], np.float32)


def follow(state, data, seed, index):
    """Moves halfway to one of the data, which the seed and the step choose."""
    chosen = data[(seed.astype(jnp.int32) + index) % jnp.int32(4)]
    new = {"at": (state["at"] + chosen) / 2, "steps": state["steps"] + jnp.int32(1)}
    return new, {"distance": jnp.abs(state["at"] - chosen)}


def start():
    return {"at": jnp.float32(0.0), "steps": jnp.int32(0)}


def follow_in_numpy(steps, seed):
    at, distances = np.float32(0), []
    for index in range(steps):
        chosen = TARGETS[(seed + index) % 4]
        distances.append(np.abs(at - chosen))
        at = (at + chosen) / np.float32(2)
    return at, np.array(distances, np.float32)


def run(**changes):
    settings = {"steps": 23, "seed": 3, "progress": False} | changes
    return train(follow, start(), TARGETS, **settings)


def test_it_takes_the_steps_that_a_plain_loop_takes(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    result = run(metrics=writer)
    at, distances = follow_in_numpy(23, 3)
    assert result.state["at"] == at
    assert result.state["steps"] == 23
    rows = read_metrics(tmp_path / "metrics.jsonl", "meta")
    assert [row["step"] for row in rows] == list(range(1, 24))
    np.testing.assert_array_equal(np.float32([row["distance"] for row in rows]), distances)


@pytest.mark.parametrize("window", [1, 2, 7, 23, 100])
def test_the_length_of_a_window_changes_no_bit(window, tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    result = run(
        window=window, metrics=writer, validate=lambda s: {"accuracy": s["at"]}, validate_every=5
    )
    at, distances = follow_in_numpy(23, 3)
    assert result.state["at"] == at
    rows = [r for r in read_metrics(tmp_path / "metrics.jsonl") if "distance" in r]
    np.testing.assert_array_equal(np.float32([row["distance"] for row in rows]), distances)


def test_the_callers_arrays_stay_valid():
    state = start()
    train(follow, state, TARGETS, steps=3, seed=0, progress=False)
    assert state["at"] == 0 and state["steps"] == 0


def test_a_key_may_be_the_seed_and_be_in_the_state():
    def step(state, data, seed, index):
        key, drawn = jax.random.split(state)
        drawn = jax.random.normal(jax.random.fold_in(drawn, index)) + jax.random.normal(seed)
        return key, {"drawn": drawn}

    key = jax.random.key(5)
    result = train(step, key, (), steps=4, seed=jax.random.key(1), progress=False)
    for _ in range(4):
        key, _ = jax.random.split(key)
    np.testing.assert_array_equal(jax.random.key_data(result.state), jax.random.key_data(key))


@pytest.mark.parametrize(("mode", "best"), [("max", max), ("min", min)])
def test_the_best_state_is_that_of_the_best_validation(mode, best):
    seen = {}

    def validate(state):
        seen[int(state["steps"])] = float(state["at"])
        return {"accuracy": state["at"], "other": jnp.nan}

    result = run(validate=validate, validate_every=5, best_mode=mode)
    assert list(seen) == [5, 10, 15, 20, 23]
    assert result.best_value == best(seen.values())
    assert seen[result.best_step] == result.best_value
    assert float(result.best_state["at"]) == result.best_value
    assert [entry["accuracy"] for entry in result.history] == list(seen.values())


def test_a_tie_goes_to_the_earlier_state():
    result = run(validate=lambda s: {"accuracy": 1.0}, validate_every=5)
    assert result.best_step == 5
    assert result.best_state["at"] == follow_in_numpy(5, 3)[0]


def test_without_validation_the_best_state_is_the_last():
    result = run()
    assert result.best_step == 23
    assert result.best_state["at"] == result.state["at"]


def test_the_time_to_the_first_step_is_told_apart_from_compiling():
    result = run()
    assert 0 < result.compile_seconds < result.first_step_seconds <= result.seconds


def test_training_that_is_done_is_not_done_again(tmp_path):
    def settings():
        return {"checkpoints": Checkpoints(tmp_path / "c"), "validate_every": 5}

    first = run(validate=lambda s: {"accuracy": -s["at"]}, **settings())
    again = run(validate=lambda s: pytest.fail("validated again"), **settings())
    assert again.compile_seconds == 0
    assert again.seconds == pytest.approx(first.seconds, rel=0.5)
    assert (again.best_step, again.best_value) == (first.best_step, first.best_value)
    assert again.history == first.history
    for name in ("state", "best_state"):
        assert getattr(again, name)["at"] == getattr(first, name)["at"]


def test_continued_training_ends_as_uninterrupted_training(tmp_path):
    def settings(folder, **changes):
        folder.mkdir(exist_ok=True)
        return {
            "checkpoints": Checkpoints(folder / "c"),
            "metrics": MetricsWriter(folder / "metrics.jsonl"),
            "validate": lambda s: {"accuracy": s["at"]},
            "validate_every": 4,
        } | changes

    whole = run(**settings(tmp_path / "whole"))

    class KilledError(Exception):
        pass

    def killed(state):
        if state["steps"] == 16:
            raise KilledError
        return {"accuracy": state["at"]}

    with pytest.raises(KilledError):
        run(**settings(tmp_path / "parts", validate=killed, window=3))
    parts = run(**settings(tmp_path / "parts"))
    assert parts.state["at"] == whole.state["at"]
    assert parts.history == whole.history
    written = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "parts")]
    assert written[0] == written[1]


def test_more_steps_behind_than_asked_for_is_refused(tmp_path):
    run(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(InputError, match="has 23 steps behind it, but steps is 10"):
        run(checkpoints=Checkpoints(tmp_path), steps=10)


def test_a_foreign_checkpoint_is_refused_before_the_step_is_traced(tmp_path):
    run(checkpoints=Checkpoints(tmp_path))

    def step(state, data, seed, index):
        pytest.fail("traced")

    with pytest.raises(InputError, match=r"'at' expected float32\[3\], found float32\[\]"):
        state = start() | {"at": jnp.zeros(3)}
        train(step, state, (), steps=30, seed=0, checkpoints=Checkpoints(tmp_path))


@pytest.mark.parametrize("window", [1, 4, 50])
def test_divergence_names_the_exact_step_and_metric(window, tmp_path):
    def step(state, data, seed, index):
        state, metrics = follow(state, data, seed, index)
        metrics["loss"] = jnp.where(index == 16, jnp.nan, 1.0)
        return state, metrics

    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    with pytest.raises(TrainingDiverged) as caught:
        train(
            step,
            start(),
            TARGETS,
            steps=40,
            seed=0,
            window=window,
            metrics=writer,
            phase="pretrain",
            progress=False,
        )
    assert "pretrain: metric 'loss' is nan at step 17 of 40; try a lower" in str(caught.value)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert len(rows) == 17 and rows[-1]["loss"] is None and rows[-2]["loss"] == 1


def test_divergence_of_the_state_alone_names_the_leaf_and_keeps_the_last_checkpoint(tmp_path):
    def step(state, data, seed, index):
        state, metrics = follow(state, data, seed, index)
        return state | {"at": jnp.where(index == 16, jnp.inf, state["at"])}, metrics

    checkpoints = Checkpoints(tmp_path / "c")
    with pytest.raises(TrainingDiverged, match="'at' in the state is not finite at step 17") as c:
        train(
            step,
            start(),
            TARGETS,
            steps=40,
            seed=0,
            validate=lambda s: {"accuracy": 0.0},
            validate_every=5,
            checkpoints=checkpoints,
            progress=False,
        )
    assert f"the state after step 15 is kept in {tmp_path / 'c'}" in str(c.value)
    assert checkpoints.restore(start()).state["at"] == follow_in_numpy(15, 0)[0]


def test_a_validation_that_is_not_finite_is_divergence():
    with pytest.raises(TrainingDiverged, match="'accuracy' is nan in the validation of step 5"):
        run(validate=lambda s: {"accuracy": jnp.nan}, validate_every=5)


def test_progress_says_when_the_first_step_is_done(capsys):
    run(progress=True, phase="warm-up")
    assert "warm-up: first step after" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "steps"),
        ({"window": 0}, "window"),
        ({"validate_every": 0}, "validate_every"),
        ({"best_mode": "most"}, "best_mode"),
        ({"seed": -1}, "seed"),
        ({"validate": lambda s: {"loss": 0.0}}, "best_metric 'accuracy'"),
    ],
)
def test_arguments_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        run(**changes)


def test_a_metric_that_is_no_scalar_is_named():
    with pytest.raises(ValueError, match=r"metric 'm' must be a scalar, but has shape \(2,\)"):
        train(lambda s, d, k, i: (s, {"m": jnp.ones(2)}), start(), (), steps=1, seed=0)


def test_a_training_that_has_settled_ends_there_and_a_restart_adds_nothing(tmp_path):
    def twice(history):
        return len(history) == 2

    def settle(checkpoints):
        return run(
            validate=lambda state: {"accuracy": -jnp.abs(state["at"])},
            validate_every=5,
            settled=twice,
            checkpoints=checkpoints,
        )

    first = settle(Checkpoints(tmp_path))
    assert [each["step"] for each in first.history] == [5, 10]
    assert first.state["at"] == follow_in_numpy(10, 3)[0]
    again = settle(Checkpoints(tmp_path))
    assert again.compile_seconds == 0
    assert again.state["at"] == first.state["at"]
    assert again.best_step == first.best_step

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.store import build_store
from metabone.evaluation.film_intervals import film_interval
from metabone.learners.base import MetaLearner
from metabone.nets.networks import fully_connected
from metabone.training.run import open_run
from metabone.workflows.arms import Arm
from metabone.workflows.film_table import Reading, fill_film_table

WAYS = 3
READING = Reading(
    shots=(2,),
    queries=3,
    draws=6,
    pooled=False,
    base_steps=3,
    base_rate=0.1,
    base_decay=0.0,
    seed=0,
)
FILMS = SimpleNamespace(
    region_names=("whole",),
    class_names=("a", "b", "c"),
    example_index=np.zeros(0, int),
    classes=np.repeat(np.arange(WAYS), 8),
)


@pytest.fixture
def run(tmp_path):
    with open_run(tmp_path, "smi", "run", {"seed": 0}) as opened:
        yield opened


@pytest.fixture(scope="module")
def target():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(24, 1, 4)) + 2 * np.eye(4)[FILMS.classes][:, None]
    return jax.device_put(build_store(features.astype(np.float32), FILMS.classes))


def blurred(noise):
    """Nearest means, blurred by as much as `train` gives: a training of some quality."""

    def adapt(noise, support, key):
        means = jnp.stack(
            [jnp.mean(support.images, 0, where=(support.labels == k)[:, None]) for k in range(WAYS)]
        )
        return means + noise * jax.random.normal(jax.random.key(1), means.shape)

    def predict(means, images):
        return -jnp.sum((images[:, None] - means) ** 2, -1)

    return MetaLearner(lambda key, shape: jnp.zeros(()), None, adapt, predict)


def arm_of(target, noise, **more):
    network = fully_connected(WAYS, ())
    learner = blurred(noise)
    return Arm("scratch", network, learner, lambda: jnp.float32(noise), None, target, **more)


def read(run, training, learning):
    name = f"{learning}-scratch-2.npz"
    folder = run.path if training == 0 else run.path / "trainings" / str(training + 1)
    with np.load(folder / "readings" / name) as kept:
        return {key: kept[key] for key in ("votes", "truth", "films")}


def test_rows_are_means_over_trainings_and_what_nobody_trains_is_read_once(
    run, target, monkeypatch
):
    monkeypatch.setattr("metabone.workflows.film_table.predictions_of", both)
    for training, noise in enumerate((0.0, 3.0)):
        fill_film_table(iter([arm_of(target, noise)]), run, FILMS, READING, training)
    rows = {row["learning"]: row for row in run.results.rows}
    assert len(run.results.rows) == 2
    first, second = (read(run, training, "meta") for training in (0, 1))
    means = [(each["votes"][:, 0] == each["truth"]).mean() for each in (first, second)]
    assert means[0] > means[1] + 0.1
    assert rows["meta"]["training_means"] == pytest.approx(means)
    assert rows["meta"]["mean"] == pytest.approx(np.mean(means))
    assert rows["meta"]["covers"].endswith("and other trainings")
    assert rows["base"]["trainings"] == 0 and "training_means" not in rows["base"]
    assert not (run.path / "trainings/2/readings/base-scratch-2.npz").exists()
    counted = np.sum(run.results.get("confusions")[0]["matrix"])
    assert counted == 2 * first["votes"][:, 0].size


def test_gain_on_the_same_draws_has_the_interval_of_the_difference(run, target, monkeypatch):
    monkeypatch.setattr("metabone.workflows.film_table.predictions_of", both)
    fill_film_table(iter([arm_of(target, 0.0)]), run, FILMS, READING)
    meta, base = (read(run, 0, learning) for learning in ("meta", "base"))
    np.testing.assert_array_equal(meta["films"], base["films"])
    right = [(each["votes"][:, 0] == each["truth"]).astype(float) for each in (meta, base)]
    expected = film_interval(right[0] - right[1], meta["films"], meta["truth"], 2).ci95
    (row,) = [row for row in run.results.rows if row["learning"] == "base"]
    assert row["to_meta_ci95"] == pytest.approx(expected)


def test_a_learner_that_was_trained_as_often_is_not_trained_again(run, target):
    fill_film_table(iter([arm_of(target, 0.0, base=False)]), run, FILMS, READING)
    before = run.results.rows

    def again():
        raise AssertionError("trained again")

    arm = arm_of(target, 0.0, base=False)._replace(train=again)
    fill_film_table(iter([arm]), run, FILMS, READING)
    assert run.results.rows == before


def both(network, shape):
    """The stub answers by itself, and base learning by its network, in one way each."""
    del network, shape
    return [answer]


def answer(adapted, images):
    if isinstance(adapted, jax.Array):
        return -jnp.sum((images[:, None] - adapted) ** 2, -1)
    return fully_connected(WAYS, ()).apply(*adapted, images, False)[0]

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from metabone.episodes.sampling import sample, task_key
from metabone.episodes.store import build_store
from metabone.episodes.types import Episode, Examples
from metabone.evaluation.share_intervals import share_interval
from metabone.evaluation.tasks import (
    TaskFigures,
    measure_tasks,
    search,
    task_accuracies,
    task_measure,
    task_rows,
)
from metabone.learners.base import MetaLearner, predictor
from metabone.learners.maml import maml
from metabone.learners.transfer import scratch
from metabone.nets.networks import fully_connected

SIZES = dict(ways=3, shots=2, queries=4)
BUILT = []  # by whichever test: one program serves all options
NETWORK = fully_connected(3, ())
PREDICT = predictor(NETWORK, "transductive")  # without batch norm the cheaper of two equals


@pytest.fixture(scope="module")
def store():
    """Features of six classes that overlap, so that no learner is always right."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    centres = rng.normal(size=(6, 4))
    features = centres[labels] + 0.7 * rng.normal(size=(48, 4))
    return jax.device_put(build_store(features.astype(np.float32), labels))


@pytest.fixture(scope="module")
def separable():
    """Four classes far apart on axes of their own."""
    labels = np.repeat(np.arange(4), 8)
    noise = 0.1 * np.random.default_rng(1).normal(size=(32, 4))
    return jax.device_put(build_store((3 * np.eye(4)[labels] + noise).astype(np.float32), labels))


def episodes(store, seed, index, task):
    return sample(store, seed, index, task, **SIZES)


sampled = jax.jit(episodes)  # has tests of its own


def cheap_episodes(images, seed, index, task):
    chosen = jax.random.permutation(task_key(seed, index, task), len(images))
    labels = jnp.arange(len(images)) % 3
    return Episode(*2 * [Examples(images[chosen], labels)])


def base_of(options):
    BUILT.append(options)
    return scratch(NETWORK, optax.sgd(options["rate"]), steps=options["steps"], norm="transductive")


def options_of(rate, steps):
    return {"rate": np.float32(rate), "steps": np.int32(steps)}


@pytest.fixture(scope="module")
def base_measure():
    return task_measure(base_of, [PREDICT], episodes)


def test_tasks_are_measured_as_by_a_plain_loop(store):
    learner = maml(NETWORK, inner_rate=0.3, inner_steps=1, order=1, norm="transductive")
    meta_params = learner.init(jax.random.key(4), (4,))

    def contrary(adapted, images):
        return -learner.predict(adapted, images)

    asked = [learner.predict, contrary]
    measure = task_measure(lambda _: learner, asked, episodes)
    found, lost = measure_tasks(measure, {}, meta_params, store, seed=5, tasks=3)
    assert found.shape == (3, 2) and found.dtype == np.float64
    np.testing.assert_array_equal(lost, np.zeros((3, 2)))

    for index, row in enumerate(found):
        episode = sampled(store, 5, index, 0)
        adapted = learner.adapt(meta_params, episode.support, jax.random.key(0))  # uses no key
        for predict, accuracy in zip(asked, row, strict=True):
            answers = np.asarray(predict(adapted, episode.query.images)).argmax(-1)
            labels = np.asarray(episode.query.labels)
            right = [int(a == b) for a, b in zip(answers, labels, strict=True)]
            assert len(right) == 12
            assert accuracy == pytest.approx(sum(right) / 12, abs=1e-7)
    assert len(np.unique(found)) > 2


def test_base_learning_draws_its_weights_from_the_tasks_own_key(store, base_measure):
    options = options_of(0.2, 2)
    found = measure_tasks(base_measure, options, (), store, seed=5, tasks=2).accuracies
    learner = scratch(NETWORK, optax.sgd(0.2), steps=2, norm="transductive")
    expected = []
    for index in range(2):
        episode = sampled(store, 5, index, 0)
        key = jax.random.fold_in(task_key(5, index, 0), 2)
        adapted = learner.adapt((), episode.support, key)
        answers = np.asarray(learner.predict(adapted, episode.query.images)).argmax(-1)
        expected.append(np.mean(answers == np.asarray(episode.query.labels)))
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)


def test_two_learners_answer_the_same_tasks():
    def learner_of(options):
        return stub(lambda _, support, key: (support, jax.random.uniform(key) * options["rate"]))

    def features(_, images):
        return images  # as logits: no learner decides

    measures = [
        task_measure(build, [features], cheap_episodes)
        for build in (learner_of, lambda _: stub(lambda *_: None))
    ]
    images = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 2, 2, 2]]
    found = [
        measure_tasks(m, {"rate": 1.0}, (), images, seed=3, tasks=6).accuracies for m in measures
    ]
    np.testing.assert_array_equal(*found)
    assert len(np.unique(found[0])) > 1


def stub(adapt):
    return MetaLearner(init=None, meta_gradient=None, adapt=adapt, predict=None)


def test_a_prediction_given_twice_is_asked_once():
    asked = []

    def counted(adapted, images):
        asked.append(images.shape)
        return images + adapted

    measure = task_measure(lambda _: stub(lambda *_: 1.0), [counted, counted], cheap_episodes)
    images = np.eye(3, dtype=np.float32)
    found = measure_tasks(measure, {}, (), images, seed=0, tasks=2).accuracies
    assert asked == [(3, 3)]  # once traced, for all tasks
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


def not_a_number_from(index):
    """Answers by the images, all right; those of the query `index` and later are not numbers."""

    def predict(adapted, images):
        lost = jnp.arange(len(images))[:, None] >= index
        return jnp.where(lost, jnp.nan, images)

    return predict


def test_an_answer_that_is_not_finite_is_wrong_and_counted():
    images = np.eye(3, dtype=np.float32)[[0, 1, 2]]

    def own_classes(images, seed, index, task):
        return Episode(*2 * [Examples(images, jnp.arange(3))])

    predictions = [not_a_number_from(first) for first in (3, 2, 0)]
    measure = task_measure(lambda _: stub(lambda *_: None), predictions, own_classes)
    found = measure_tasks(measure, {}, (), images, seed=0, tasks=2)
    # The argmax of three that are not numbers is class 0, which would be right for one query.
    np.testing.assert_allclose(found.accuracies, [[1, 2 / 3, 0]] * 2, rtol=1e-6)
    np.testing.assert_allclose(found.not_finite, [[0, 1 / 3, 1]] * 2, rtol=1e-6)
    rows = task_rows([found], ["whole", "part", "diverged"])
    assert [row["mean"] for row in rows] == pytest.approx([1, 2 / 3, 0])
    assert "not_finite" not in rows[0]
    assert [row["not_finite"] for row in rows[1:]] == pytest.approx([1 / 3, 1])

    # In the validation that the best state is chosen by, too.
    learner = stub(lambda *_: None)._replace(predict=predictions[2])
    accuracies = task_accuracies(learner, own_classes, 2, 0)((), images)
    np.testing.assert_array_equal(accuracies, np.zeros(2))


def test_a_search_does_not_choose_what_diverged(separable, base_measure):
    offered = [options_of(np.inf, 3), options_of(1e-9, 3)]
    best, diverged = search(base_measure, offered, (), separable, seed=0, tasks=4)
    assert best.options == offered[1] and best.not_finite == 0
    assert diverged.mean == 0 and diverged.not_finite == 1


def test_workers_change_neither_results_nor_their_order(store, base_measure):
    options, dones = options_of(0.2, 2), []
    run = partial(measure_tasks, base_measure, options, (), store, seed=1)
    one = run(tasks=9, workers=1)
    four = run(tasks=9, workers=4, done=dones.append)
    np.testing.assert_array_equal(one.accuracies, four.accuracies)
    assert dones == list(range(1, 10))
    # And fewer tasks are the first of them.
    np.testing.assert_array_equal(run(tasks=1).accuracies, one.accuracies[:1])


def test_a_search_finds_the_rate_that_learns(separable, base_measure):
    dones = []
    offered = [options_of(1e-9, 20), options_of(0.1, 20), options_of(0.1, 0)]
    found = search(base_measure, offered, (), separable, seed=0, tasks=10, done=dones.append)
    assert dones == [1, 2, 3]
    assert found[0].options == offered[1] and found[0].mean > 0.99
    # A rate of nearly nothing leaves what no steps leave; equals keep their order.
    assert [candidate.options for candidate in found[1:]] == [offered[0], offered[2]]
    assert found[1].mean == found[2].mean < 0.7
    for candidate in found:
        plain = measure_tasks(
            base_measure, candidate.options, (), separable, seed=0, tasks=10
        ).accuracies.ravel()
        assert candidate.mean == pytest.approx(plain.mean()) and candidate.n == 10
        assert candidate.ci95 == share_interval(plain).ci95


def test_candidates_are_ordered_best_first(store, base_measure):
    offered = [options_of(rate, 5) for rate in (1e-3, 0.3, 0.03, 3.0)]
    found = search(base_measure, offered, (), store, seed=2, tasks=8)
    means = [candidate.mean for candidate in found]
    assert means == sorted(means, reverse=True) and means[0] > means[-1]
    before = len(BUILT)
    assert search(base_measure, offered, (), store, seed=2, tasks=8) == found
    assert len(BUILT) == before <= 3  # a program for each shape of store, none for options
    assert sorted(c.options["rate"] for c in found) == sorted(o["rate"] for o in offered)


def test_rows_hold_mean_interval_and_the_mean_of_five_by_hand():
    accuracies = np.array([[0.2, 1.0], [0.4, 1.0], [0.6, 1.0], [0.8, 1.0], [1.0, 1.0], [0.0, 0.4]])
    rows = task_rows(
        [TaskFigures(accuracies, np.zeros((6, 2)))],
        ["inductive", "transductive"],
        **{"learning": "meta", "shots": 5, "paper": 0.7},
    )
    first, second = rows
    # t(0.975, 5) = 2.570582; variance of 0, .2, .., 1 is 0.14.
    assert first["mean"] == pytest.approx(0.5) and first["std"] == pytest.approx(0.14**0.5)
    assert first["ci95"] == pytest.approx(2.570582 * (0.14 / 6) ** 0.5, rel=1e-6)
    assert first["mean_of_first_5"] == pytest.approx(0.6)
    assert second["mean"] == pytest.approx(0.9) and second["mean_of_first_5"] == 1.0
    assert [row["norm"] for row in rows] == ["inductive", "transductive"]
    expected = {"learning": "meta", "shots": 5, "paper": 0.7, "metric": "accuracy", "n": 6}
    for row in rows:
        assert "not_finite" not in row
        assert row.items() >= (expected | {"unit": "tasks"}).items()


def test_rows_of_nearly_perfect_tasks_say_that_their_interval_is_another():
    nearly = np.array([1.0] * 58 + [0.5] * 2)
    uniform = np.random.default_rng(0).uniform(size=60)
    accuracies = np.stack([nearly, uniform], axis=1)
    skewed, plain = task_rows([TaskFigures(accuracies, 0 * accuracies)], ["a", "b"])
    assert plain["interval"] == "t" and skewed["interval"] == "gamma"
    assert skewed["ci95"] == share_interval(nearly).ci95
    assert skewed["ci95"] > stats.t.ppf(0.975, 59) * stats.sem(nearly)


def test_rows_of_several_trainings_average_them_and_say_so():
    rng = np.random.default_rng(0)
    each = [TaskFigures(rng.uniform(size=(40, 1)), np.full((40, 1), share)) for share in (0, 0.1)]
    (row,) = task_rows(each, ["inductive"], learning="meta")
    means = [figures.accuracies.mean() for figures in each]
    assert row["training_means"] == pytest.approx(means) and row["trainings"] == 2
    assert row["mean"] == pytest.approx(np.mean(means))
    assert row["not_finite"] == pytest.approx(0.05)
    assert row["covers"].endswith("and other trainings")
    over_tasks = share_interval(np.mean([f.accuracies[:, 0] for f in each], axis=0)).ci95
    # t(0.975, 1) = 12.7062.
    of_trainings = 12.7062 * np.std(means, ddof=1) / 2**0.5
    assert row["ci95"] == pytest.approx(np.hypot(over_tasks, of_trainings), rel=1e-5)
    (once,) = task_rows(each[:1], ["inductive"])
    assert once["trainings"] == 1 and "trainings" not in once["covers"]
    (never,) = task_rows(each[:1], ["inductive"], trained=False)
    assert never["trainings"] == 0

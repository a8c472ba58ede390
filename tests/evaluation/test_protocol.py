import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.sampling import draw, sample, task_key
from metabone.episodes.store import build_store
from metabone.evaluation.protocol import (
    compile_reading,
    read_draws,
    read_films,
    read_logits,
)
from metabone.evaluation.tasks import task_accuracies
from metabone.learners.base import MetaLearner

WAYS, SHOTS, QUERIES, REGIONS = 4, 2, 3, 3
DRAWS = 6


def _class_means(meta_params, support, key):
    member = jax.nn.one_hot(support.labels, WAYS)
    flat = support.images.reshape(len(support.labels), -1)
    return member.T @ flat / member.sum(0)[:, None]


def _nearness(means, images):
    flat = images.reshape(len(images), 1, -1)
    return -((flat - means) ** 2).sum(-1)


def _farness(means, images):
    return -_nearness(means, images)


def _learner(adapt, predict):
    return MetaLearner(init=lambda key, shape: (), meta_gradient=None, adapt=adapt, predict=predict)


NEAREST_MEAN = _learner(_class_means, _nearness)


def _read_draws(read, store, **options):
    program = compile_reading(read, (), store)
    return read_draws(program, (), store, **options)


@pytest.fixture(scope="module")
def films():
    """Noisy films whose regions tell their class now and then, and each region otherwise."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(WAYS), 8))
    pattern = rng.normal(scale=25, size=(WAYS, REGIONS, 4, 4, 1))
    images = 128 + pattern[labels] + rng.normal(scale=50, size=(len(labels), REGIONS, 4, 4, 1))
    return images.clip(0, 255).astype(np.uint8), labels


def _numpy_vote(logits):
    """Votes `[Q]` and ties from `[R, Q, W]` float64: most votes, then probability, then order."""
    probability = np.exp(logits - logits.max(-1, keepdims=True))
    probability = (probability / probability.sum(-1, keepdims=True)).sum(0)
    classes, tied = [], []
    for film, choices in enumerate(logits.argmax(-1).T):
        counts = np.bincount(choices, minlength=logits.shape[-1])
        leading = np.flatnonzero(counts == counts.max())
        classes.append(max(leading, key=lambda label: probability[film, label]))
        tied.append(len(leading) > 1)
    return np.array(classes), np.array(tied)


def _numpy_logits(images, labels, support, query, pooled):
    """Negative distances `[R, Q, W]` to the class means, classes in the films' own order."""
    scaled = images.astype(np.float64).reshape(len(images), REGIONS, -1) / 127.5 - 1
    means = np.stack([scaled[support[labels[support] == label]].mean(0) for label in range(WAYS)])
    if pooled:
        means = np.broadcast_to(means.mean(1, keepdims=True), means.shape)
    return np.stack(
        [
            -((scaled[query, region][:, None] - means[:, region]) ** 2).sum(-1)
            for region in range(REGIONS)
        ]
    )


@pytest.mark.parametrize("pooled", [False, True], ids=["one_adaptation_a_region", "pooled"])
def test_films_are_read_as_a_plain_numpy_reading_of_them(films, pooled):
    images, labels = films
    store = build_store(images, labels)
    read = read_films(
        NEAREST_MEAN, [_nearness, _farness], shots=SHOTS, queries=QUERIES, pooled=pooled
    )
    found = _read_draws(read, store, seed=5, draws=DRAWS)

    for index in range(DRAWS):
        drawn = draw(task_key(5, index, 0), store, WAYS, SHOTS, QUERIES)
        query = np.asarray(drawn.query).reshape(-1)
        support = np.asarray(drawn.support).reshape(-1)
        logits = _numpy_logits(images, labels, support, query, pooled)
        np.testing.assert_array_equal(found.films[index], query)
        np.testing.assert_array_equal(found.truth[index], labels[query])
        for prediction, expected in enumerate([logits, -logits]):
            np.testing.assert_array_equal(found.regions[index, prediction], expected.argmax(-1))
            classes, tied = _numpy_vote(expected)
            np.testing.assert_array_equal(found.votes[index, prediction], classes)
            np.testing.assert_array_equal(found.tied[index, prediction], tied)
    # The comparison covers what it should: ties and none, and orders of classes.
    assert 0 < found.tied.mean() < 1
    assert len({tuple(row) for row in found.truth}) > 1


def test_films_that_show_their_class_are_all_read_right_whatever_the_order_of_classes():
    labels = np.repeat(np.arange(WAYS), 6)
    images = np.broadcast_to((60 * labels)[:, None, None, None, None], (24, REGIONS, 2, 2, 1))
    store = build_store(images.astype(np.uint8), labels)
    read = read_films(NEAREST_MEAN, [_nearness], shots=SHOTS, queries=QUERIES)
    found = _read_draws(read, store, seed=0, draws=DRAWS)
    assert len({tuple(row) for row in found.truth}) > 1
    np.testing.assert_array_equal(found.votes[:, 0], found.truth)
    np.testing.assert_array_equal(
        found.regions[:, 0], np.repeat(found.truth[:, None], REGIONS, axis=1)
    )
    assert not found.tied.any()


@pytest.mark.parametrize("by_patient", [True, False])
def test_no_patient_is_both_in_the_support_and_asked(by_patient):
    # Patients 12..19 have two films each, in the classes 1 and 2. This learner gives a film the
    # class of a support film of the same patient, and class 0 where it has seen none.
    labels = np.concatenate([np.zeros(12, int), np.repeat([1, 2], 8)])
    patients = np.concatenate([np.arange(12), np.arange(12, 20), np.arange(12, 20)])
    images = np.broadcast_to(patients[:, None, None, None, None], (28, 2, 1, 1, 1))

    def recognise(support, images):
        same = images.reshape(-1, 1) == support.images.reshape(1, -1)
        return same.astype(jnp.float32) @ jax.nn.one_hot(support.labels, 3)

    memory = _learner(lambda meta_params, support, key: support, recognise)
    groups = patients if by_patient else None
    store = build_store(images.astype(np.uint8), labels, groups=groups)
    read = read_films(memory, [recognise], shots=2, queries=2)
    found = _read_draws(read, store, seed=0, draws=20)
    assert found.regions.any() == (not by_patient)


def test_the_films_of_a_draw_depend_on_seed_and_index_and_not_on_the_learner(films):
    store = build_store(*films)
    indifferent = _learner(lambda *_: (), lambda adapted, images: jnp.ones((len(images), WAYS)))
    readings = [
        read_films(learner, [learner.predict], shots=SHOTS, queries=QUERIES)
        for learner in (NEAREST_MEAN, indifferent)
    ]
    programs = [compile_reading(read, (), store) for read in readings]
    first, second = (read_draws(p, (), store, seed=1, draws=DRAWS) for p in programs)
    np.testing.assert_array_equal(first.films, second.films)
    np.testing.assert_array_equal(first.truth, second.truth)
    # Equal scores are the lowest class.
    assert first.regions.any() and not second.regions.any()
    assert len({tuple(row) for row in first.films}) == DRAWS
    assert np.any(first.films != read_draws(programs[0], (), store, seed=2, draws=DRAWS).films)


def test_each_region_adapts_with_random_numbers_of_its_own_and_the_same_ones_again(films):
    # Scores are drawn while adapting, so what a region tells is a throw of its key.
    chance = _learner(
        lambda meta_params, support, key: jax.random.uniform(key, (WAYS,)),
        lambda scores, images: jnp.broadcast_to(scores, (len(images), WAYS)),
    )
    store = build_store(*films)
    read = read_films(chance, [chance.predict], shots=SHOTS, queries=QUERIES)
    program = compile_reading(read, (), store)
    found, again = (read_draws(program, (), store, seed=0, draws=20) for _ in range(2))
    np.testing.assert_array_equal(found.regions, again.regions)
    thrown = found.regions[:, 0, :, 0]
    assert any(len(set(row)) > 1 for row in thrown.tolist())
    assert any(len(set(column)) > 1 for column in thrown.T.tolist())


def test_readings_do_not_depend_on_how_many_are_under_way_at_once(films):
    store = build_store(*films)
    read = read_films(NEAREST_MEAN, [_nearness], shots=SHOTS, queries=QUERIES)
    program = compile_reading(read, (), store)
    calls = []
    alone = read_draws(program, (), store, seed=3, draws=8, workers=1, done=calls.append)
    crowded = read_draws(program, (), store, seed=3, draws=8, workers=4)
    jax.tree.map(np.testing.assert_array_equal, alone, crowded)
    assert calls == [1, 2, 3, 4, 5, 6, 7, 8]


def test_task_accuracies_are_those_of_a_plain_loop_over_tasks(films):
    images, labels = films
    store = build_store(images[:, 0], labels)
    sizes = dict(ways=WAYS, shots=SHOTS, queries=QUERIES)

    def sample_task(store, seed, step, task):
        return sample(store, seed, step, task, **sizes)

    found = task_accuracies(NEAREST_MEAN, sample_task, 5, seed=7)((), jax.device_put(store))

    scaled = images[:, 0].astype(np.float64).reshape(len(images), -1) / 127.5 - 1
    expected = []
    for index in range(5):
        drawn = draw(task_key(7, index, 0), store, WAYS, SHOTS, QUERIES)
        means = scaled[np.asarray(drawn.support)].mean(1)
        queries = scaled[np.asarray(drawn.query)]
        nearest = ((queries[:, :, None] - means) ** 2).sum(-1).argmin(-1)
        expected.append((nearest == np.arange(WAYS)[:, None]).mean())
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(set(expected)) > 1


def _films(regions=REGIONS):
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(WAYS), 6)
    images = rng.normal(size=(len(labels), regions, 2, 2, 1)).astype(np.float32)
    images += 0.8 * labels[:, None, None, None, None].astype(np.float32)
    return build_store(images, labels), labels


def test_ordered_tasks_have_the_same_films_and_their_labels_in_order():
    store, labels = _films()

    def adapt(meta_params, support, key):
        # Labels must ascend with the class, which the mean grey of the support tells.
        return _class_means(meta_params, support, key)

    def predict(means, images):
        greys = means.mean(-1)
        in_order = (jnp.diff(greys) > 0).all()
        return jnp.where(in_order, 1.0, 0.0) * jnp.eye(WAYS)[jnp.zeros(len(images), int)]

    sizes = dict(shots=5, queries=1)
    firsts = {}
    for ordered in (False, True):
        read = jax.jit(read_films(_learner(adapt, predict), [predict], ordered=ordered, **sizes))
        firsts[ordered] = [read((), store, 0, index) for index in range(4)]
    for plain, sorted_ in zip(*firsts.values(), strict=True):
        assert sorted(plain.films.tolist()) == sorted(sorted_.films.tolist())
        assert sorted_.truth.tolist() == list(range(WAYS))
        np.testing.assert_array_equal(labels[sorted_.films], sorted_.truth)


def test_a_learner_of_whole_films_is_asked_of_all_regions_at_once():
    store, labels = _films()
    read = read_films(NEAREST_MEAN, [_nearness], shots=2, queries=3, whole=True)
    reading = jax.jit(read)((), store, 1, 0)
    drawn = draw(task_key(1, 0, 0), store, WAYS, 2, 3)
    flat = np.asarray(store.images).reshape(len(labels), -1)
    means = flat[np.asarray(drawn.support)].mean(1)
    asked = flat[np.asarray(drawn.query).reshape(-1)]
    nearest = ((asked[:, None] - means) ** 2).sum(-1).argmin(-1)
    expected = np.asarray(drawn.classes)[nearest]
    for answers in (reading.votes[0], reading.means[0], reading.regions[0, 0]):
        np.testing.assert_array_equal(answers, expected)


def test_the_mean_of_probabilities_hears_how_sure_a_region_is():
    store, _ = _films()
    reading = jax.jit(read_films(NEAREST_MEAN, [_nearness], shots=3, queries=3))((), store, 0, 0)
    drawn = draw(task_key(0, 0, 0), store, WAYS, 3, 3)
    images = np.asarray(store.images).reshape(-1, REGIONS, 4)
    total = 0
    for region in range(REGIONS):
        means = images[np.asarray(drawn.support), region].mean(1)
        asked = images[np.asarray(drawn.query).reshape(-1), region]
        odds = np.exp(-((asked[:, None] - means) ** 2).sum(-1))
        total = total + odds / odds.sum(-1, keepdims=True)
    expected = np.asarray(drawn.classes)[total.argmax(-1)]
    np.testing.assert_array_equal(reading.means[0], expected)


def test_an_answer_that_is_not_finite_is_never_right():
    store, _ = _films()

    def predict(means, images):
        # The first film that is asked has no answer in one region.
        found = _nearness(means, images)
        bad = images[:1].reshape(1, -1)[:, 0] > 1.0
        return found.at[0, 0].set(jnp.where(bad[0], jnp.nan, found[0, 0]))

    learner = _learner(_class_means, predict)
    reading = jax.jit(read_films(learner, [predict], shots=3, queries=3))((), store, 0, 0)
    alone = np.asarray(reading.regions[0])
    assert (alone[:, 1:] >= 0).all() and (alone[:, 0] == -1).any()
    assert reading.votes[0, 0] == reading.means[0, 0] == -1
    assert (reading.votes[0, 1:] >= 0).all()


def test_weights_of_regions_are_heard_in_the_weighted_mean_alone():
    store, _ = _films()
    sizes = dict(shots=3, queries=3)
    plain = jax.jit(read_films(NEAREST_MEAN, [_nearness], **sizes))((), store, 0, 0)
    assert plain.weighted is None
    only_second = np.array([0.0, 5.0, 0.0])
    read = jax.jit(read_films(NEAREST_MEAN, [_nearness], weights=only_second, **sizes))
    weighted = read((), store, 0, 0)
    np.testing.assert_array_equal(weighted.weighted, weighted.regions[:, 1])
    assert (weighted.weighted != weighted.means).any()
    for before, after in zip(plain[:-1], weighted[:-1], strict=True):
        np.testing.assert_array_equal(before, after)


def test_weights_of_regions_may_be_among_the_meta_parameters():
    store, _ = _films()
    read = read_films(
        NEAREST_MEAN, [_nearness], shots=3, queries=3, weights=lambda meta_params: meta_params["of"]
    )
    for region in range(REGIONS):
        reading = jax.jit(read)({"of": jnp.eye(REGIONS)[region]}, store, 0, 0)
        np.testing.assert_array_equal(reading.weighted, reading.regions[:, region])


def test_what_regions_say_one_by_one_are_the_logits_of_the_reading():
    store, _ = _films()
    sizes = dict(shots=3, queries=3)
    said = compile_reading(read_logits(NEAREST_MEAN, [_nearness], **sizes), (), store)
    found = read_draws(said, (), store, seed=2, draws=3)
    reading = _read_draws(read_films(NEAREST_MEAN, [_nearness], **sizes), store, seed=2, draws=3)
    assert found.logits.shape == (3, 1, REGIONS, WAYS * 3, WAYS)
    np.testing.assert_array_equal(found.films, reading.films)
    np.testing.assert_array_equal(found.truth, reading.truth)
    np.testing.assert_array_equal(found.logits.argmax(-1), reading.regions)

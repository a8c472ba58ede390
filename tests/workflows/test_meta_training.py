"""Meta-training and comparing in a few lines, as a user's script does."""

import jax
import numpy as np
import optax
import pytest

from metabone.errors import InputError
from metabone.learners.embedding import EmbeddingParams, protonet
from metabone.learners.transfer import scratch
from metabone.learners.variants import anil
from metabone.nets.networks import conv_net
from metabone.training.run import open_run
from metabone.workflows.comparison import compare
from metabone.workflows.meta_training import meta_train

SIZES = dict(ways=3, shots=1, queries=2)


def protonet_of(ways=3):
    return protonet(conv_net(0, blocks=2, filters=4, halvings=2), ways=ways)


@pytest.fixture
def trained(make_classes):
    def train(**options):
        return meta_train(protonet_of(), make_classes(20, 4, 0), **SIZES, steps=3, **options)

    return train


def test_what_is_learned_comes_in_the_learners_own_type_with_what_it_was_learned_from(trained):
    found = trained(seed=1)
    assert isinstance(found.meta_params, EmbeddingParams)
    assert found.image_shape == (8, 8, 1)
    assert found.about["source"] == "made" and found.about["seed"] == 1
    # A tenth of 20 classes would be 2, which are too few for tasks of 3.
    assert found.about["classes"] == 17
    start = protonet_of().init(jax.random.key(1), (8, 8, 1))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), found.meta_params.weights, start.weights)
    assert max(jax.tree.leaves(moved)) > 0


def test_a_run_that_is_continued_gives_the_bits_of_one_without_a_folder(trained, tmp_path):
    alone = trained()
    for _ in range(2):
        with open_run(tmp_path, "own", "first", {}, seed=0) as run:
            kept = trained(run=run)
        jax.tree.map(np.testing.assert_array_equal, kept.meta_params, alone.meta_params)


def test_a_learner_serves_as_many_classes_as_it_was_trained_for_and_refuses_more(trained):
    found = trained()
    assert found.learner_for(2) is found.learner_for(3)
    with pytest.raises(InputError, match="4 classes, but this learner was trained to tell 3"):
        found.learner_for(4)


def test_a_learner_of_more_classes_is_not_asked_for_those_that_a_task_has_not(
    trained, make_classes
):
    found = compare({"three": trained()}, make_classes(6, 5, 7), **SIZES | {"ways": 2}, tasks=12)
    # The prototype of a class without images is NaN, which argmax would take for the highest.
    assert found.accuracies["three"].mean() >= 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [(dict(learners={}), "no learners"), (dict(tasks=1), r"tasks \(=1\): expected at least 2")],
)
def test_nothing_to_compare_is_one_line(change, message):
    given = dict(learners={"one": None}, images=None, tasks=2) | change
    with pytest.raises(InputError, match=message):
        compare(**given)


def test_learners_are_compared_on_the_same_tasks(trained, make_classes):
    once, twice = trained(), trained()
    other = meta_train(
        anil(conv_net(3, blocks=2, filters=4, halvings=2), inner_rate=0.1, test_steps=1),
        make_classes(20, 4, 0),
        **SIZES,
        steps=1,
    )
    learners = {"once": once, "twice": twice, "anil": other}
    found = compare(learners, make_classes(6, 5, 7), **SIZES, tasks=12)
    assert found.accuracies["once"].tolist() == found.accuracies["twice"].tolist()
    assert [row["learning"] for row in found.rows] == list(learners)
    for row in found.rows:
        assert row["mean"] == pytest.approx(found.accuracies[row["learning"]].mean())
    # Patterns of classes never seen are easily told apart by their nearest mean.
    assert found.accuracies["once"].mean() > 0.7
    assert {entry["learning"] for entry in found.ranking} == set(learners)
    again = compare({"once": once}, make_classes(6, 5, 7), **SIZES, tasks=12)
    assert again.accuracies["once"].tolist() == found.accuracies["once"].tolist()


def test_images_of_another_size_are_refused_before_anything_is_compiled(trained, make_classes):
    with pytest.raises(InputError, match=r"once was trained on images of \(8, 8, 1\), and these"):
        compare({"once": trained()}, make_classes(6, 5, 7, size=12), **SIZES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": 4}, "need 5 images a class"),
        ({"mapping": "three"}, "--mapping=three: expected scan"),
    ],
)
def test_tasks_that_cannot_be_drawn_are_refused(make_classes, change, message):
    with pytest.raises(InputError, match=message):
        meta_train(protonet_of(), make_classes(20, 4, 0), **SIZES | change, steps=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ways": 2}, r"ways \(=2\): this learner tells 3 classes apart"),
        ({"steps": 0}, r"steps \(=0\): expected a whole number"),
        ({"steps": 1.5}, r"steps \(=1.5\): expected a whole number"),
        ({"meta_batch": 0}, r"meta_batch \(=0\): expected a whole number"),
        ({"seed": -1}, r"seed \(=-1\): expected"),
        ({"seed": 2**32}, r"seed \(=4294967296\): expected"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_compiled(
    make_classes, change, message
):
    with pytest.raises(InputError, match=message):
        meta_train(protonet_of(), make_classes(20, 4, 0), **SIZES | {"steps": 1} | change)


def test_what_is_no_learner_or_no_images_is_named(make_classes):
    images = make_classes(20, 4, 0)
    with pytest.raises(InputError, match="learner is a Network: expected one such as"):
        meta_train(conv_net(3), images, **SIZES)
    with pytest.raises(InputError, match="images are a ndarray: expected what"):
        meta_train(protonet_of(), images.images, **SIZES)


def test_classes_that_do_not_make_three_parts_are_refused(make_classes):
    with pytest.raises(InputError, match="20 classes of meta-data: 9 ways need as many"):
        meta_train(protonet_of(9), make_classes(20, 4, 0), **SIZES | {"ways": 9}, steps=1)


def test_a_baseline_is_not_meta_trained(make_classes):
    learner = scratch(conv_net(3, blocks=2, filters=4, halvings=2), optax.sgd(0.1))
    with pytest.raises(InputError, match="learns nothing across tasks"):
        meta_train(learner, make_classes(20, 4, 0), **SIZES, steps=1)

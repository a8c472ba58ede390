"""Reptile against gradient descent worked by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.carried import Carried
from metabone.learners.maml import MamlParams, maml
from metabone.learners.reptile import ReptileParams, reptile
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.training.checkpoints import Checkpoints
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step

RATE, STEPS = 0.1, 3
KEY = jax.random.key(0)


def _start(theta, optimizer=None):
    """Meta-parameters of one leaf; with an optimiser, its state."""
    weights = {"theta": jnp.asarray(theta)}
    return ReptileParams(weights, {}, Carried(optimizer.init(weights) if optimizer else ()))


def test_its_gradient_is_the_way_back_from_where_full_batches_lead(quadratic):
    learner = reptile(
        quadratic.network,
        optax.sgd(RATE),
        inner_steps=STEPS,
        inner_batch=6,
        test_steps=STEPS,
        test_batch=4,
        moments="fresh",
        loss=quadratic.loss,
    )
    params = _start(quadratic.theta)
    contraction = jnp.linalg.matrix_power(jnp.eye(3) - RATE * quadratic.hessian, STEPS)
    centre = (4 * quadratic.centre + 2 * quadratic.query_centre) / 6
    reached = centre + contraction @ (quadratic.theta - centre)
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    np.testing.assert_allclose(found.weights["theta"], quadratic.theta - reached, rtol=1e-9)

    adapted = learner.adapt(params, quadratic.episode.support, KEY)
    reached = quadratic.centre + contraction @ (quadratic.theta - quadratic.centre)
    np.testing.assert_allclose(adapted.weights["theta"], reached, rtol=1e-9)


def test_minibatches_show_each_image_once_before_any_again(quadratic):
    # Three minibatches of two of the six images: the order is found by trying all.
    sgd = optax.sgd(RATE)
    learner = reptile(quadratic.network, sgd, inner_steps=3, inner_batch=2, loss=quadratic.loss)
    params = _start(quadratic.theta, sgd)
    found, _ = learner.meta_gradient(params, quadratic.episode, KEY)
    images = jnp.concatenate([part.images for part in quadratic.episode])

    def reached(rows):
        theta = quadratic.theta
        for pair in rows:
            centre = images[jnp.array(pair)].mean(0)
            theta = theta - RATE * quadratic.hessian @ (theta - centre)
        return theta

    def pairings(left):
        if not left:
            yield []
        for i, first in enumerate(left):
            for second in left[i + 1 :]:
                rest = [row for row in left if row not in (first, second)]
                yield from ([(first, second), *others] for others in pairings(rest))

    ends = [reached(rows) for rows in pairings(list(range(6)))]
    assert len(ends) == 90
    apart = [float(jnp.abs(quadratic.theta - found.weights["theta"] - end).max()) for end in ends]
    assert sum(a < 1e-12 for a in apart) == 1
    other, _ = learner.meta_gradient(params, quadratic.episode, jax.random.key(1))
    assert not np.allclose(other.weights["theta"], found.weights["theta"])


# Two parameters, drawn to the mean of a task's images: the gradient of one image's loss is its
# distance, times the curvature.
CURVATURE = np.array([1.0, 30.0])
THETA = np.array([0.7, -0.2])
CENTRES = np.array([[2.0, 1.0], [-1.0, 0.5], [0.3, -3.0]])
DRAWN = Network(
    lambda key, shape: ({"theta": jnp.zeros(shape)}, {}),
    lambda params, stats, images, own: ((params["theta"] - images) * np.sqrt(CURVATURE), stats),
)


def _loss(outputs, labels):
    del labels
    return 0.5 * jnp.mean(jnp.sum(outputs**2, axis=-1))


def _task(centre, each):
    """Images about a centre, three in the support and one query, or all in the support."""
    images = centre + np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    labels = np.zeros(4, np.int32)
    parts = [Examples(jnp.asarray(images[rows]), jnp.asarray(labels[rows])) for rows in each]
    return Episode(*parts)


def _adam_by_hand(theta, second, count, centre, steps, images, rate=0.05):
    """The published optimiser: Adam without a first moment, on the sum over `images` images."""
    for _ in range(steps):
        gradient = images * CURVATURE * (theta - centre)
        count += 1
        second = 0.999 * second + 0.001 * gradient**2
        corrected = rate * np.sqrt(1 - 0.999**count)
        theta = theta - corrected * gradient / (np.sqrt(second) + 1e-8)
    return theta, second, count


def _published(**settings):
    return reptile(
        DRAWN,
        optax.adam(0.05, b1=0.0),
        inner_steps=STEPS,
        inner_batch=4,
        test_steps=2,
        test_batch=3,
        sum_loss=True,
        loss=_loss,
        **settings,
    )


def _of_parts(state):
    return state[0].nu["theta"], state[0].count


def test_moments_go_from_task_to_task_and_into_tests_as_worked_by_hand(x64):
    learner = _published()
    params = _start(THETA, optax.adam(0.05, b1=0.0))
    second, count = np.zeros(2), 0
    for centre in CENTRES[:2]:
        found, _ = learner.meta_gradient(params, _task(centre, ([0, 1, 2], [3])), KEY)
        reached, second, count = _adam_by_hand(THETA, second, count, centre, STEPS, 4)
        np.testing.assert_allclose(found.weights["theta"], THETA - reached, rtol=1e-6)
        np.testing.assert_allclose(_of_parts(found.moments.value)[0], second, rtol=1e-7)
        params = params._replace(moments=found.moments)
    assert _of_parts(params.moments.value)[1] == count == 2 * STEPS

    support = _task(CENTRES[2], ([0, 1, 2], [3])).support
    centre = np.asarray(support.images).mean(0)
    adapted = learner.adapt(params, support, KEY).weights["theta"]
    np.testing.assert_allclose(
        adapted, _adam_by_hand(THETA, second, count, centre, 2, 3)[0], rtol=1e-6
    )
    # Moments of other tasks count: neither those of no task nor the form that begins anew.
    anew = _adam_by_hand(THETA, np.zeros(2), 0, centre, 2, 3)[0]
    assert np.abs(anew - adapted).max() > 0.01
    fresh = _published(moments="fresh").adapt(_start(THETA), support, KEY)
    np.testing.assert_allclose(fresh.weights["theta"], anew, rtol=1e-6)


@pytest.mark.parametrize("mapping", ["scan", 2])
def test_an_outer_step_moves_weights_and_carries_moments(mapping, x64):
    """In the order of the tasks; of two taken at once the mean goes on."""
    centres = jnp.asarray(CENTRES)

    def sample(data, seed, step, task):
        del seed
        images = data[(step + task) % 3] + jnp.array([[0.0, 1.0], [0.0, -1.0]])
        part = Examples(images, jnp.zeros(2, jnp.int32))
        return Episode(part, part)

    descent = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.25))
    step = jax.jit(meta_step(_published(), descent, sample, meta_batch=2, mapping=mapping))
    state = meta_state(_start(THETA, optax.adam(0.05, b1=0.0)), descent)
    theta, second, count = THETA, np.zeros(2), 0
    for index in range(2):
        state, _ = step(state, centres, jnp.uint32(0), jnp.int32(index))
        ends = []
        for task in range(2):
            if mapping == "scan" and ends:
                _, second, count = ends[-1]
            centre = CENTRES[(index + task) % 3]
            ends.append(_adam_by_hand(theta, second, count, centre, STEPS, 4))
        reached, seconds, counts = (np.array(each) for each in zip(*ends, strict=True))
        theta = theta - 0.25 * (theta - reached.mean(0) + 0.5 * theta)
        second, count = seconds[-1], counts[-1]
        if mapping == 2:
            second = seconds.mean(0)
        np.testing.assert_allclose(state.meta_params.weights["theta"], theta, rtol=1e-6)
        found = _of_parts(state.meta_params.moments.value)
        np.testing.assert_allclose(found[0], second, rtol=1e-7)
        assert found[1] == count


def test_a_training_that_is_continued_has_the_same_moments_to_the_bit(tmp_path):
    """From the checkpoint, where they are kept with the weights."""

    def sample(data, seed, step, task):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), step), task)
        images = data[task] + jax.random.normal(key, (4, 2))
        part = Examples(images, jnp.zeros(4, jnp.int32))
        return Episode(part, part)

    learner, descent = _published(), optax.sgd(optax.linear_schedule(1.0, 0.0, 6))
    step = meta_step(learner, descent, sample, meta_batch=2)
    start = meta_state(learner.init(KEY, (2,)), descent)
    data = jnp.asarray(CENTRES, jnp.float32)

    def trained(steps, folder):
        kept = Checkpoints(tmp_path / folder)
        return train(step, start, data, steps=steps, seed=3, checkpoints=kept, progress=False).state

    whole = trained(6, "whole")
    trained(2, "parts")
    continued = trained(6, "parts")
    assert _of_parts(whole.meta_params.moments.value)[1] == 6 * 2 * STEPS
    assert (_of_parts(whole.meta_params.moments.value)[0] > 0).all()
    jax.tree.map(np.testing.assert_array_equal, continued, whole)


# The loss of an image is what theta says of its place: summed and descended at rate 1, theta counts
# how often each image was shown.
TELLS = Network(
    lambda key, shape: ({"theta": jnp.zeros(shape)}, {}),
    lambda params, stats, images, own: (images @ params["theta"][:, None], stats),
)


def _shown(inner_batch, inner_steps, key=KEY, **settings):
    one = Examples(jnp.eye(3), jnp.zeros(3, jnp.int32))
    learner = reptile(
        TELLS,
        optax.sgd(1.0),
        test_batch=inner_batch,
        test_steps=inner_steps,
        sum_loss=True,
        moments="fresh",
        loss=lambda outputs, labels: outputs.mean(),
        **settings,
    )
    return -np.asarray(learner.adapt(_start(jnp.zeros(3)), one, key).weights["theta"])


def test_minibatches_reach_across_orders_and_may_be_larger_than_the_task():
    np.testing.assert_array_equal(_shown(2, 3), [2, 2, 2])
    np.testing.assert_array_equal(_shown(5, 3), [5, 5, 5])
    assert sorted(_shown(5, 1)) == [1, 2, 2]


def test_with_replacement_minibatches_know_nothing_of_each_other():
    found = [_shown(2, 4, jax.random.key(seed), replacement=True) for seed in range(4)]
    assert all(each.sum() == 8 and each.max() <= 4 for each in found)
    assert any(each.max() == 4 for each in found)
    with pytest.raises(InputError, match="minibatches of 4 of 3 images"):
        _shown(4, 1, replacement=True)


def test_weights_decay_before_each_step():
    learner = reptile(
        TELLS,
        optax.sgd(1.0),
        test_steps=2,
        test_batch=3,
        weight_decay_rate=0.5,
        moments="fresh",
        loss=lambda outputs, labels: outputs.mean(),
    )
    support = Examples(jnp.eye(3), jnp.zeros(3, jnp.int32))
    adapted = learner.adapt(_start(jnp.array([8.0, 4.0, 0.0])), support, KEY).weights["theta"]
    # theta / 2 - 1/3, twice.
    np.testing.assert_allclose(adapted, np.array([2.0, 1.0, 0.0]) - 0.5, rtol=1e-6)


def test_foml_moves_by_its_last_step(quadratic):
    settings = dict(inner_steps=STEPS, inner_batch=6, moments="fresh", loss=quadratic.loss)
    learner = reptile(quadratic.network, optax.sgd(RATE), foml=True, **settings)
    found, _ = learner.meta_gradient(_start(quadratic.theta), quadratic.episode, KEY)
    centre = (4 * quadratic.centre + 2 * quadratic.query_centre) / 6
    contraction = jnp.linalg.matrix_power(jnp.eye(3) - RATE * quadratic.hessian, STEPS - 1)
    last = RATE * quadratic.hessian @ contraction @ (quadratic.theta - centre)
    np.testing.assert_allclose(found.weights["theta"], last, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, STEPS])
def test_foml_with_the_queries_for_its_tail_is_first_order_maml(quadratic, steps):
    settings = dict(inner_steps=steps, inner_batch=4, moments="fresh", loss=quadratic.loss)
    tail = reptile(quadratic.network, optax.sgd(RATE), foml=True, foml_tail=True, **settings)
    found, metrics = tail.meta_gradient(_start(quadratic.theta), quadratic.episode, KEY)
    other = maml(
        quadratic.network, inner_rate=RATE, inner_steps=steps - 1, order=1, loss=quadratic.loss
    )
    params = MamlParams({"theta": quadratic.theta}, {}, [])
    expected, of_query = other.meta_gradient(params, quadratic.episode, KEY)
    np.testing.assert_allclose(found.weights["theta"], RATE * expected.weights["theta"], rtol=1e-9)
    np.testing.assert_allclose(metrics["loss"], of_query["loss"], rtol=1e-9)


def _logits_by_hand(weights, images):
    """Of the network of `normed` in NumPy, by the statistics of all images given."""
    hidden = images.reshape(len(images), -1) @ weights["layer"]["kernel"]
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
    hidden = np.tanh(hidden * weights["norm_0"]["scale"] + weights["norm_0"]["bias"])
    return hidden @ weights["head"]["kernel"]


def test_a_query_is_classified_in_one_batch_with_the_support_and_no_other_query(normed):
    network, weights, stats, (support, query) = normed
    settings = dict(test_steps=0, query_with_support=True)
    makes = {
        norm: reptile(network, optax.sgd(RATE), norm=norm, **settings)
        for norm in ("inductive", "transductive")
    }
    params = ReptileParams(weights, stats, Carried(optax.sgd(RATE).init(weights)))
    plain, images = jax.tree.map(np.asarray, (weights, query.images))
    alone = [
        _logits_by_hand(plain, np.concatenate([support.images, image[None]]))[-1]
        for image in images
    ]
    # Whichever of both has adapted: tests under both norm modes adapt once.
    for norm in makes:
        adapted = makes[norm].adapt(params, support, KEY)
        found = makes["inductive"].predict(adapted, query.images)
        np.testing.assert_allclose(found, np.stack(alone), rtol=1e-9)
        together = makes["transductive"].predict(adapted, query.images)
        np.testing.assert_allclose(together, _logits_by_hand(plain, images), rtol=1e-9)
    by_support = reptile(network, optax.sgd(RATE), test_steps=0)
    other = by_support.predict(by_support.adapt(params, support, KEY), query.images)
    assert np.abs(other - np.stack(alone)).max() > 0.01


@pytest.mark.parametrize("name", ["inner_steps", "test_steps", "inner_batch", "test_batch"])
def test_numbers_that_cannot_be_are_refused(name):
    with pytest.raises(InputError, match=rf"{name} \(=-1\)"):
        reptile(conv_net(2), optax.sgd(0.1), **{name: -1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"moments": "new"}, "moments 'new': expected one of kept, fresh"),
        ({"weight_decay_rate": 0.0}, r"weight_decay_rate \(=0.0\): expected a number above 0"),
        ({"weight_decay_rate": 1.1}, r"weight_decay_rate \(=1.1\): expected at most 1"),
        ({"foml_tail": True}, "foml_tail: expected with foml"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        reptile(conv_net(2), optax.sgd(0.1), **settings)

"""Closed-form heads against NumPy, scikit-learn and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.linear_model import Ridge

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.base import distinct_norms
from metabone.learners.carried import Carried
from metabone.learners.embedding import protonet, r2d2
from metabone.nets.network import Network
from metabone.nets.networks import conv_net
from metabone.training.meta import meta_state, meta_step

WAYS = 3
KEY = jax.random.key(0)
R2D2_PUBLISHED = dict(
    strength=50.0, learn_strength=False, averaged=True, intercept=True, norm="running"
)
LABELS = jnp.array([2, 0, 1, 0, 1, 2, 2])  # as classes of different sizes have them


def _linear(images_shape=(4, 4, 1), features=6):
    """An embedding that is one matrix."""

    def init(key, shape):
        return {"map": jax.random.normal(key, (int(np.prod(shape)), features))}, {}

    def apply(params, norm_stats, images, use_batch_stats):
        del use_batch_stats
        return images.reshape(len(images), -1) @ params["map"], norm_stats

    return Network(init, apply)


def _task():
    rng = np.random.default_rng(0)
    support, query = (jnp.array(rng.normal(size=(7, 4, 4, 1))) for _ in range(2))
    return Episode(Examples(support, LABELS), Examples(query, LABELS[::-1]))


def _params(learner):
    start = learner.init(jax.random.key(0), (4, 4, 1))
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), start)


def test_prototypes_are_class_means_and_logits_distances_to_them(x64):
    learner, episode = protonet(_linear(), WAYS), _task()
    params = _params(learner)
    matrix = np.asarray(params.weights["map"])
    support, query = (np.asarray(part.images).reshape(7, -1) @ matrix for part in episode)
    means = np.stack([support[LABELS == label].mean(0) for label in range(WAYS)])
    adapted = learner.adapt(params, episode.support, jax.random.key(0))
    np.testing.assert_allclose(adapted.head, means, rtol=1e-12)
    found = learner.predict(adapted, episode.query.images)
    distances = np.linalg.norm(query[:, None] - means, axis=-1)
    np.testing.assert_allclose(found, -(distances**2), rtol=1e-10)
    np.testing.assert_array_equal(found.argmax(-1), distances.argmin(-1))


def test_r2d2_solves_scikit_learns_ridge(x64):
    learner, episode = r2d2(_linear(), WAYS), _task()
    params = _params(learner)
    params.head.update(
        log_lambda=jnp.array(np.log(0.7)), alpha=jnp.array(3.0), beta=jnp.array(-0.5)
    )
    matrix = np.asarray(params.weights["map"])
    support, query = (np.asarray(part.images).reshape(7, -1) @ matrix for part in episode)
    ridge = Ridge(alpha=0.7, fit_intercept=False).fit(support, np.eye(WAYS)[LABELS])
    adapted = learner.adapt(params, episode.support, jax.random.key(0))
    np.testing.assert_allclose(adapted.head["weights"], ridge.coef_.T, rtol=1e-9)
    found = learner.predict(adapted, episode.query.images)
    np.testing.assert_allclose(found, 3.0 * ridge.predict(query) - 0.5, rtol=1e-9)


def test_r2d2_as_published_is_the_ridge_of_its_code_in_numpy(x64):
    """`rr_standard` of fewshots/models/r2d2.py: a 7 x 7 system in features and their bias."""
    settings = R2D2_PUBLISHED | {"scale": 1e-4}
    learner, episode = r2d2(_linear(), WAYS, **settings), _task()
    params = _params(learner)
    assert set(params.head) == {"alpha", "beta"}
    assert (params.head["alpha"], params.head["beta"]) == (np.float32(1e-4), 0)
    params.head.update(beta=jnp.array(0.25))
    matrix = np.asarray(params.weights["map"])
    support, query = (np.asarray(part.images).reshape(7, -1) @ matrix for part in episode)
    x = np.hstack([support, np.ones((7, 1))]) / np.sqrt(7)
    y = np.eye(WAYS)[LABELS] / np.sqrt(7)
    w = np.linalg.inv(x.T @ x + 50 * np.eye(7)) @ x.T @ y
    expected = float(params.head["alpha"]) * (query @ w[:-1] + w[-1]) + 0.25
    found = learner.predict(
        learner.adapt(params, episode.support, jax.random.key(0)), episode.query.images
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_strength_that_is_learned_starts_where_it_is_told():
    head = r2d2(_linear(), WAYS, strength=np.float32(0.5)).init(KEY, (4, 4, 1)).head
    np.testing.assert_allclose(head["log_lambda"], np.log(0.5), rtol=1e-6)


def _normed(features=6):
    """An embedding that is one matrix and a batch norm without scale and bias."""

    def apply(params, norm_stats, images, use_batch_stats):
        found = images.reshape(len(images), -1) @ params["map"]
        if use_batch_stats:
            norm_stats = {"mean": found.mean(0), "var": found.var(0)}
        return (found - norm_stats["mean"]) / jnp.sqrt(norm_stats["var"] + 1e-3), norm_stats

    stats = {"mean": jnp.zeros(features), "var": jnp.ones(features)}
    return Network(lambda key, shape: (_linear().init(key, shape)[0], stats), apply)


def _ridge_logits(support, query):
    """R2-D2's logits as it starts, in NumPy."""
    w = np.linalg.solve(support.T @ support + np.eye(6), support.T @ np.eye(WAYS)[LABELS])
    return query @ w


def _distances(support, query):
    means = np.stack([support[np.asarray(LABELS) == way].mean(0) for way in range(WAYS)])
    return -np.square(query[:, None] - means).sum(-1)


def _scaled(values, by):
    return (values - by.mean(0)) / np.sqrt(by.var(0) + 1e-3)


@pytest.mark.parametrize(("make", "logits_of"), [(protonet, _distances), (r2d2, _ridge_logits)])
@pytest.mark.parametrize("norm", ["inductive", "transductive", "running"])
def test_training_normalises_and_keeps_statistics_by_the_norm_mode(x64, make, logits_of, norm):
    learner, episode = make(_normed(), WAYS, norm=norm, keep_stats=True), _task()
    params = _params(learner)
    matrix = np.asarray(params.weights["map"])
    support, query = (np.asarray(part.images).reshape(7, -1) @ matrix for part in episode)
    both = np.concatenate([support, query])
    seen = both if norm == "running" else support
    asked = {"inductive": support, "transductive": query, "running": both}[norm]
    logits = logits_of(_scaled(support, seen), _scaled(query, asked))
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    gradient, metrics = jax.jit(learner.meta_gradient)(params, episode, KEY)
    expected = -np.log(shares[np.arange(7), episode.query.labels]).mean()
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-9)
    after = gradient.running.value
    np.testing.assert_allclose(after["mean"], 0.1 * asked.mean(0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(after["var"], 0.9 + 0.1 * asked.var(0), rtol=1e-9)


@pytest.mark.parametrize("make", [protonet, r2d2])
def test_one_training_answers_in_each_norm_mode_by_that_modes_statistics(x64, make):
    network, episode = _normed(), _task()
    rng = np.random.default_rng(1)
    kept = {"mean": rng.normal(size=6), "var": rng.uniform(0.5, 2, size=6)}
    params = _params(make(network, WAYS, norm="running"))
    params = params._replace(running=Carried(jax.tree.map(jnp.array, kept)))
    matrix = np.asarray(params.weights["map"])
    support, query = (np.asarray(part.images).reshape(7, -1) @ matrix for part in episode)
    logits_of = _distances if make is protonet else _ridge_logits

    def by_kept(values):
        return (values - kept["mean"]) / np.sqrt(kept["var"] + 1e-3)

    for norm, expected in (
        ("inductive", logits_of(_scaled(support, support), _scaled(query, support))),
        ("transductive", logits_of(_scaled(support, support), _scaled(query, query))),
        ("running", logits_of(by_kept(support), by_kept(query))),
    ):
        learner = make(network, WAYS, norm=norm, keep_stats=True)
        adapted = learner.adapt(params, episode.support, KEY)
        found = learner.predict(adapted, episode.query.images)
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_running_statistics_move_from_task_to_task_beside_the_optimiser(x64):
    """PyTorch moves them at each forward pass, whatever the optimiser and the clipping."""
    learner, episode = protonet(_normed(), WAYS, norm="running"), _task()
    params = _params(learner)
    adam = optax.adam(1e-9)
    step = meta_step(learner, adam, lambda *_: episode, meta_batch=2, clip=1e-9)
    after = jax.jit(step)(meta_state(params, adam), (), 0, 0)[0].meta_params.running.value
    both = np.concatenate([np.asarray(part.images).reshape(7, -1) for part in episode])
    mean = (both @ np.asarray(params.weights["map"])).mean(0)
    np.testing.assert_allclose(after["mean"], (1 - 0.9**2) * mean, rtol=1e-6)


def test_running_statistics_that_were_not_kept_are_refused():
    episode = _task()
    params = protonet(_normed(), WAYS).init(KEY, (4, 4, 1))
    with pytest.raises(InputError, match="hold no running statistics"):
        protonet(_normed(), WAYS, norm="running").adapt(params, episode.support, KEY)


def test_norm_modes_are_one_function_without_a_batch_norm():
    norms = ("inductive", "transductive", "running")
    for network, distinct in ((_linear(), norms[:1]), (_normed(), norms)):
        params = protonet(network, WAYS).init(KEY, (4, 4, 1))
        assert distinct_norms(params, norms) == distinct


def _gradient_by_hand(params):
    """R2-D2's training loss as published, in plain JAX, of `_task` on `_normed`."""
    episode = _task()
    images = jnp.concatenate([part.images for part in episode]).reshape(14, -1)
    found = images @ params.weights["map"]
    found = (found - found.mean(0)) / jnp.sqrt(found.var(0) + 1e-3)
    x = jnp.pad(found[:7], ((0, 0), (0, 1)), constant_values=1) / jnp.sqrt(7)
    w = jnp.linalg.inv(x.T @ x + 50 * jnp.eye(7)) @ x.T @ jnp.eye(WAYS)[LABELS] / jnp.sqrt(7)
    logits = params.head["alpha"] * (found[7:] @ w[:-1] + w[-1]) + params.head["beta"]
    return -jax.nn.log_softmax(logits)[jnp.arange(7), episode.query.labels].mean()


def test_r2d2_as_published_has_the_gradient_worked_by_hand(x64):
    learner = r2d2(_normed(), WAYS, **R2D2_PUBLISHED, scale=10.0)
    params = _params(learner)
    found, metrics = jax.jit(learner.meta_gradient)(params, _task(), KEY)
    value, expected = jax.jit(jax.value_and_grad(_gradient_by_hand))(params)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-9)
    for ours, theirs in ((found.weights, expected.weights), (found.head, expected.head)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12), ours, theirs
        )


@pytest.mark.parametrize("norm", ["inductive", "transductive"])
@pytest.mark.parametrize("make", [protonet, r2d2])
def test_meta_gradients_equal_finite_differences_in_every_parameter(x64, make, norm):
    learner = make(conv_net(0, blocks=1, filters=2, halvings=1, form="lax"), WAYS, norm=norm)
    rng = np.random.default_rng(3)
    images = jnp.array(rng.normal(size=(2, 7, 4, 4, 1)))
    episode = Episode(Examples(images[0], LABELS), Examples(images[1], LABELS))
    params = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64), learner.init(jax.random.key(0), (4, 4, 1))
    )
    key = jax.random.key(0)

    @jax.jit
    def query_loss(params):
        adapted = learner.adapt(params, episode.support, key)
        log_shares = jax.nn.log_softmax(learner.predict(adapted, episode.query.images))
        return -log_shares[jnp.arange(7), LABELS].mean()

    found, metrics = jax.jit(learner.meta_gradient)(params, episode, key)
    np.testing.assert_allclose(metrics["loss"], query_loss(params), rtol=1e-9)
    leaves, structure = jax.tree.flatten(params)
    for index, gradient in enumerate(jax.tree.leaves(found)):
        direction = jnp.array(rng.normal(size=leaves[index].shape))
        up, down = (
            query_loss(structure.unflatten([*leaves[:index], moved, *leaves[index + 1 :]]))
            for moved in (leaves[index] + 1e-6 * direction, leaves[index] - 1e-6 * direction)
        )
        slope = jnp.vdot(gradient, direction)
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_single_way_is_refused():
    for make in (protonet, r2d2):
        with pytest.raises(InputError, match=r"ways \(=1\)"):
            make(conv_net(0), 1)

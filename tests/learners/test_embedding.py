"""Closed-form heads against NumPy, scikit-learn and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.embedding import protonet, r2d2
from metabone.nets.network import Network
from metabone.nets.networks import conv_net

WAYS = 3
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

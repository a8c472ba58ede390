import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.errors import InputError
from metabone.training.loop import train
from metabone.training.supervised import epoch_batch, supervised_state, supervised_step


@pytest.mark.parametrize(("count", "size"), [(12, 4), (13, 4), (7, 7), (10, 9), (5, 1)])
def test_every_epoch_sees_each_example_exactly_once(count, size):
    batch = jax.jit(lambda index: epoch_batch(jnp.uint32(8), index, count, size))
    drawn = np.concatenate([batch(jnp.int32(i)) for i in range(4 * count)])
    epochs = drawn[: len(drawn) // count * count].reshape(-1, count)
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    assert len({tuple(epoch) for epoch in epochs}) > len(epochs) // 2
    assert drawn.dtype == np.int32


def test_another_seed_gives_another_order():
    one, other = (epoch_batch(seed, 0, 100, 100) for seed in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("size", [0, 11])
def test_a_batch_larger_than_the_set_is_refused(size):
    with pytest.raises(InputError, match=rf"batch size \(={size}\) .* 10 images"):
        epoch_batch(0, 0, 10, size)


IMAGES = np.random.default_rng(0).integers(0, 256, (11, 2, 2, 1), np.uint8)
LABELS = np.arange(11, dtype=np.int32) % 3


def apply(params, norm_stats, images, use_batch_stats):
    assert use_batch_stats
    features = images.reshape(len(images), -1)
    mean = features.mean(axis=0)
    return (features - mean) @ params["w"] + params["b"], {"mean": mean}


def loss(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def prepare(images):
    return images.astype(jnp.float32) / 255


def test_a_step_is_plain_gradient_descent_with_a_running_mean():
    w = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    params = {"w": jnp.asarray(w), "b": jnp.zeros(3)}
    optimizer = optax.sgd(0.5)
    state = supervised_state(params, {"mean": jnp.ones(4)}, optimizer)
    step = supervised_step(apply, optimizer, loss, prepare, batch_size=4, norm_momentum=0.8)
    result = train(step, state, (IMAGES, LABELS), steps=5, seed=7, progress=False)

    w, b, mean = w.astype(float), np.zeros(3), np.ones(4)
    for index in range(5):
        chosen = np.asarray(epoch_batch(jnp.uint32(7), index, 11, 4))
        x = IMAGES[chosen].reshape(4, 4) / 255
        centred = x - x.mean(axis=0)
        p = np.exp(centred @ w + b)
        p /= p.sum(axis=1, keepdims=True)
        d = (p - np.eye(3)[LABELS[chosen]]) / 4
        w, b = w - 0.5 * centred.T @ d, b - 0.5 * d.sum(axis=0)
        mean = 0.8 * mean + 0.2 * x.mean(axis=0)
    np.testing.assert_allclose(result.state.params["w"], w, atol=2e-6)
    np.testing.assert_allclose(result.state.params["b"], b, atol=2e-6)
    np.testing.assert_allclose(result.state.norm_stats["mean"], mean, rtol=1e-6)


def test_metrics_are_those_of_the_batch_and_clipping_bounds_the_update():
    params = {"w": jnp.ones((4, 3)), "b": jnp.array([0.0, 5.0, 0.0])}
    optimizer = optax.sgd(1.0)
    state = supervised_state(params, {}, optimizer)

    def without_stats(params, norm_stats, images, use_batch_stats):
        return apply(params, norm_stats, images, use_batch_stats)[0], {}

    step = supervised_step(without_stats, optimizer, loss, prepare, batch_size=11, clip=0.01)
    new, metrics = jax.jit(step)(state, (IMAGES, LABELS), jnp.uint32(0), jnp.int32(0))
    logits, _ = without_stats(params, {}, prepare(IMAGES), True)
    np.testing.assert_allclose(metrics["loss"], loss(logits, LABELS), rtol=1e-6)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(LABELS == 1), rtol=1e-6)
    assert metrics["gradient_norm"] > 0.01
    moved = jax.tree.map(jnp.subtract, new.params, state.params)
    np.testing.assert_allclose(optax.tree.norm(moved), 0.01, rtol=1e-3)
    assert new.norm_stats == {}


def test_augmentation_gets_another_key_every_step():
    def augment(key, images):
        return jnp.full_like(images, jax.random.uniform(key))

    def bias_is_the_image(params, norm_stats, images, use_batch_stats):
        return jnp.zeros((11, 3)) + params["w"], {"seen": images[0, 0, 0, 0]}

    optimizer = optax.sgd(0.0)
    step = supervised_step(
        bias_is_the_image,
        optimizer,
        loss,
        prepare,
        batch_size=11,
        augment=augment,
        norm_momentum=0.0,
    )
    state = supervised_state({"w": jnp.zeros(3)}, {"seen": jnp.float32(0)}, optimizer)
    first, second, again = (
        float(jax.jit(step)(state, (IMAGES, LABELS), jnp.uint32(0), index)[0].norm_stats["seen"])
        for index in (jnp.int32(0), jnp.int32(1), jnp.int32(0))
    )
    assert first == again != second

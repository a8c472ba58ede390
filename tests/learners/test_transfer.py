import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.episodes.types import Examples
from metabone.learners.transfer import TrainedParams, fine_tune, scratch
from metabone.nets.frozen import on_frozen
from metabone.nets.networks import conv_net, fully_connected


def _examples():
    centres = jnp.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    labels = jnp.arange(12) % 3
    noise = 0.3 * jax.random.normal(jax.random.key(5), (12, 3))
    return Examples(centres[labels] + noise, labels)


def test_a_linear_scratch_learner_takes_optaxs_own_steps():
    network = fully_connected(3, ())
    learner = scratch(network, optax.sgd(0.5), steps=3)
    examples = _examples()
    key = jax.random.key(7)
    adapted = learner.adapt((), examples, key)
    # The reference: softmax regression by hand in NumPy.
    start = network.init(key, (3,))[0]["classes"]
    weights, bias = np.asarray(start["kernel"], np.float64), np.zeros(3)
    images, labels = np.asarray(examples.images, np.float64), np.eye(3)[examples.labels]
    for _ in range(3):
        logits = images @ weights + bias
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        weights, bias = (
            weights - 0.5 * images.T @ (chances - labels) / 12,
            bias - 0.5 * (chances - labels).mean(0),
        )
    np.testing.assert_allclose(adapted.weights["classes"]["kernel"], weights, atol=1e-5)
    np.testing.assert_allclose(adapted.weights["classes"]["bias"], bias, atol=1e-5)


def test_scratch_solves_an_easy_task_and_draws_anew_with_each_key():
    learner = scratch(fully_connected(3, (16,)), optax.adam(0.02), steps=80)
    examples = _examples()
    adapted = learner.adapt((), examples, jax.random.key(0))
    assert (learner.predict(adapted, examples.images).argmax(-1) == examples.labels).all()
    other = learner.adapt((), examples, jax.random.key(1))
    assert np.any(adapted.weights["classes"]["kernel"] != other.weights["classes"]["kernel"])
    assert learner.meta_gradient is None


def test_fine_tuning_trains_a_new_head_on_an_untouched_backbone():
    body = conv_net(0 + 1, blocks=1, filters=4, halvings=1)
    network = on_frozen(body, fully_connected(3, ()))
    learner = fine_tune(network, optax.adam(0.05), steps=20)
    images = jax.random.normal(jax.random.key(0), (6, 8, 8, 1))
    examples = Examples(images, jnp.arange(6) % 3)
    trained = learner.init(jax.random.key(1), (8, 8, 1))
    assert isinstance(trained, TrainedParams)
    adapted = learner.adapt(trained, examples, jax.random.key(2))
    jax.tree.map(
        np.testing.assert_array_equal, adapted.weights["backbone"], trained.weights["backbone"]
    )
    untrained = fine_tune(network, optax.adam(0.05), steps=0)
    fresh = untrained.adapt(trained, examples, jax.random.key(2)).weights["head"]
    assert np.any(
        np.asarray(fresh["classes"]["kernel"]) != trained.weights["head"]["classes"]["kernel"]
    ), "the head of the former task must not be kept"
    assert np.any(
        np.asarray(adapted.weights["head"]["classes"]["kernel"]) != fresh["classes"]["kernel"]
    )


def test_a_traced_number_of_steps_gives_what_the_same_python_number_gives():
    network, examples, key = fully_connected(3, ()), _examples(), jax.random.key(2)

    def adapted_by(steps):
        return scratch(network, optax.adam(0.05), steps=steps).adapt((), examples, key).weights

    traced, numbers = jax.jit(adapted_by), (0, 1, 3)
    start, *plainly = jax.jit(lambda: [network.init(key, (3,))[0], *map(adapted_by, numbers)])()
    seen = [start["classes"]["kernel"]]
    for steps, plain in zip(numbers, plainly, strict=True):
        found = traced(np.int32(steps))
        # Unrolled or not, a loop may round differently.
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found, plain)
        seen.append(found["classes"]["kernel"])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)
    assert np.any(seen[1] != seen[2]) and np.any(seen[2] != seen[3])

"""Reptile (Nichol et al. 2018): towards the weights that ordinary training on a task ends at."""

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.base import (
    Adapted,
    Loss,
    MetaLearner,
    Metrics,
    Norm,
    all_but_stats,
    check_norm,
    cross_entropy,
    guarded,
    predictor,
    query_metrics,
)
from metabone.learners.transfer import TrainedParams
from metabone.nets.device_axes import vary_together
from metabone.nets.network import Network


def reptile(
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    inner_steps: int = 5,
    inner_batch: int = 10,
    test_steps: int = 50,
    test_batch: int = 5,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Learns an initialisation without differentiating through the inner loop.

    theta' = `inner_steps` minibatch steps from theta on all images of the task, support and query
    alike (the paper trains on more shots than it tests); the gradient is theta - theta', so plain
    descent at rate epsilon is the paper's theta + epsilon (theta' - theta). The inner optimiser
    begins anew on each task, where the published code keeps Adam's second moments between tasks.

    Args:
      network: see `nets.network.Network`.
      optimizer: of the inner loop, any of optax's; the paper's is Adam with `b1=0`, rate 1e-3.
      inner_steps: minibatches while meta-training.
      inner_batch: images of each, drawn without replacement until all were seen; at most all.
      test_steps: minibatches in `adapt`.
      test_batch: images of each.
      norm: batch statistics of queries, see `base.query_logits`; minibatches use their own.
      loss: `(outputs, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `TrainedParams`. The metrics of its `meta_gradient` are of
      the last inner step's minibatch, before that step.

    Raises:
      InputError: a negative number of steps, a batch below 1, an unknown norm.
    """
    for name, value, least in (
        ("inner_steps", inner_steps, 1),
        ("test_steps", test_steps, 0),
        ("inner_batch", inner_batch, 1),
        ("test_batch", test_batch, 1),
    ):
        if value < least:
            raise InputError(f"{name} (={value}): expected at least {least}")
    check_norm(norm)

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> TrainedParams:
        return TrainedParams(*network.init(key, image_shape))

    def train(start: TrainedParams, examples: Examples, steps: int, batch: int, key: jax.Array):
        rows = _minibatches(key, len(examples.labels), steps, batch)

        def batch_loss(weights, images, labels):
            outputs, _ = network.apply(weights, start.norm_stats, images, True)
            return loss(outputs, labels), outputs

        if not isinstance(examples.labels, jax.core.Tracer):
            # Minibatches are traced: labels that have values are looked at here.
            jax.eval_shape(lambda w: batch_loss(w, *examples)[0], start.weights)

        def step(carry, rows):
            weights, state = carry
            images, labels = examples.images[rows], examples.labels[rows]
            gradient, metrics = jax.grad(
                lambda w: _with_metrics(*batch_loss(w, images, labels), labels), has_aux=True
            )(weights)
            updates, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, updates), state), metrics

        carry = vary_together((start.weights, optimizer.init(start.weights)), examples)
        (weights, _), metrics = jax.lax.scan(step, carry, rows)
        return weights, metrics

    def meta_gradient(
        meta_params: TrainedParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[TrainedParams, Metrics]:
        del step
        everything = jax.tree.map(lambda *parts: jnp.concatenate(parts), *episode)
        weights, metrics = train(meta_params, everything, inner_steps, inner_batch, key)
        gradient = jax.tree.map(jnp.subtract, meta_params.weights, weights)
        zeros = jax.tree.map(jnp.zeros_like, meta_params.norm_stats)
        return TrainedParams(gradient, zeros), jax.tree.map(lambda each: each[-1], metrics)

    def adapt(meta_params: TrainedParams, support: Examples, key: jax.Array) -> Adapted:
        weights, _ = train(meta_params, support, test_steps, test_batch, key)
        _, stats = network.apply(weights, meta_params.norm_stats, support.images, True)
        return Adapted(weights, stats)

    predict = predictor(network, norm)
    return guarded(MetaLearner(init, meta_gradient, adapt, predict, all_but_stats))


def _with_metrics(value, outputs, labels):
    return value, query_metrics(value, outputs, labels)


def _minibatches(key: jax.Array, count: int, steps: int, batch: int) -> jax.Array:
    """`[steps, batch]` rows of `count`, each once before any is drawn again."""
    batch = min(batch, count)
    rounds = -(-steps * batch // count)
    orders = jax.vmap(lambda k: jax.random.permutation(k, count))(jax.random.split(key, rounds))
    return orders.reshape(-1)[: steps * batch].reshape(steps, batch)

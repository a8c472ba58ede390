"""Reptile (Nichol et al. 2018): towards the weights that ordinary training on a task ends at."""

from typing import Any, Literal, NamedTuple, get_args

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
    check_norm,
    cross_entropy,
    guarded,
    prediction,
    query_logits,
    query_metrics,
)
from metabone.learners.carried import Carried
from metabone.learners.refusals import positive, whole
from metabone.nets.device_axes import vary_together
from metabone.nets.network import Network, NormStats, Params

Moments = Literal["kept", "fresh"]


class ReptileParams(NamedTuple):
    """What Reptile learns across tasks, and carries.

    Attributes:
      weights: the initialisation theta.
      norm_stats: batch statistics as a template.
      moments: state of the inner optimiser after all inner steps so far, its count of them
        included; `Carried(())` where it begins anew on each task.
    """

    weights: Params
    norm_stats: NormStats
    moments: Carried


class AdaptedWithSupport(NamedTuple):
    """A network that has seen a support set, and the set.

    Attributes:
      weights: the network's parameters.
      norm_stats: batch statistics of the whole support set under these weights.
      images: `[n, H, W, C]` the support images.
    """

    weights: Params
    norm_stats: NormStats
    images: jax.Array


def reptile(
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    inner_steps: int = 5,
    inner_batch: int = 10,
    test_steps: int = 50,
    test_batch: int = 5,
    moments: Moments = "kept",
    sum_loss: bool = False,
    replacement: bool = False,
    weight_decay_rate: float = 1.0,
    foml: bool = False,
    foml_tail: bool = False,
    query_with_support: bool = False,
    norm: Norm = "inductive",
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Learns an initialisation without differentiating through the inner loop.

    theta' = `inner_steps` minibatch steps from theta on all images of the task, support and query
    alike (the paper trains on more shots than it tests); the gradient is theta - theta', so plain
    descent at rate epsilon is the paper's theta + epsilon (theta' - theta).

    Settings are those of the published code, github.com/openai/supervised-reptile at 8f2b71c. It
    has one Adam for all tasks. `Reptile.train_step` (reptile.py) sets the trainable variables back
    after a task and not Adam's: the second moments, and the count of steps that corrects their
    bias, go on from task to task. They are in its checkpoints (`tf.train.Saver()`, train.py), and
    `Reptile.evaluate` starts from them, and sets all variables back after it; its author says that
    it is meant (issue 28 there). That is `moments="kept"`; with `moments="fresh"` the inner loop is
    a function of theta alone, as the paper writes it. As published are also `sum_loss=True`,
    `query_with_support=True` and Adam with `b1=0`, whose epsilon optax adds after the correction of
    bias and TensorFlow before, which is one after many steps.

    Args:
      network: see `nets.network.Network`.
      optimizer: of the inner loop, any of optax's; published `optax.adam(1e-3, b1=0.0)`.
      inner_steps: minibatches while meta-training (`--inner-iters`).
      inner_batch: images of each (`--inner-batch`).
      test_steps: minibatches in `adapt` (`--eval-iters`).
      test_batch: images of each (`--eval-batch`; 15 for mini-ImageNet at 5 shots).
      moments: `kept` makes the optimiser's state part of the meta-parameters, where each task takes
        it over from the one before (see `training.meta.meta_step` for tasks taken at once) and
        `adapt` begins with it; `fresh` begins anew on each task.
      sum_loss: descends the sum over a minibatch, as models.py minimises the vector of its losses.
        It scales plain descent; moments that are kept come from gradients of `inner_batch` images,
        so that by it steps of a smaller `test_batch` are smaller.
      replacement: draws each minibatch apart from the others (`--replacement`). Else the images
        are gone through in one random order after another, across which a minibatch may reach.
      weight_decay_rate: factor on all weights before each inner step (`--weight-decay`).
      foml: moves by the last inner step alone (`--foml`).
      foml_tail: with `foml`, the queries of the episode are the last minibatch, and the support
        all others (`--foml-tail` queries a class).
      query_with_support: an inductive query is classified in one batch with all support images and
        no other query, as `_test_predictions` (reptile.py) does; else it is normalised by the
        statistics of the support images alone. What `adapt` returns then holds these images.
      norm: batch statistics of queries, see `base.query_logits`; `transductive` is published as
        `--transductive`, with one query a class. Minibatches use their own.
      loss: `(outputs, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `ReptileParams`, what `adapt` returns is `Adapted` or
      `AdaptedWithSupport`. The metrics of its `meta_gradient` are of the last inner step's
      minibatch, before that step.

    Raises:
      InputError: a negative number of steps, a batch below 1, a factor that is not above 0 and at
        most 1, an unknown norm or way with moments, a tail without `foml`; in use, with
        `replacement`, a batch of more images than there are.
    """
    inner_steps = whole("inner_steps", inner_steps, 1)
    test_steps = whole("test_steps", test_steps, 0)
    inner_batch = whole("inner_batch", inner_batch, 1)
    test_batch = whole("test_batch", test_batch, 1)
    if moments not in get_args(Moments):
        raise InputError(f"moments {moments!r}: expected one of {', '.join(get_args(Moments))}")
    weight_decay_rate = positive("weight_decay_rate", weight_decay_rate)
    if weight_decay_rate > 1:
        raise InputError(f"weight_decay_rate (={weight_decay_rate}): expected at most 1")
    if foml_tail and not foml:
        raise InputError("foml_tail: expected with foml, whose last minibatch it chooses")
    check_norm(norm)
    rows_of = _drawn if replacement else _in_orders

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> ReptileParams:
        weights, norm_stats = network.init(key, image_shape)
        state = optimizer.init(weights) if moments == "kept" else ()
        return ReptileParams(weights, norm_stats, Carried(state))

    def begin(meta_params: ReptileParams) -> "_Reached":
        weights, _, carried = meta_params
        state = carried.value if moments == "kept" else optimizer.init(weights)
        return _Reached(weights, state, weights)

    def descend(
        start: "_Reached", norm_stats: NormStats, examples: Examples, rows: jax.Array
    ) -> tuple["_Reached", Metrics]:
        """Takes a step on each of the minibatches; metrics by step, before it."""

        def batch_loss(weights, images, labels):
            outputs, _ = network.apply(weights, norm_stats, images, True)
            value = loss(outputs, labels)
            metrics = query_metrics(value, outputs, labels)
            return value * len(labels) if sum_loss else value, metrics

        if not isinstance(examples.labels, jax.core.Tracer):
            # Minibatches are traced: labels that have values are looked at here.
            jax.eval_shape(lambda weights: batch_loss(weights, *examples), start.weights)

        def step(reached, rows):
            images, labels = examples.images[rows], examples.labels[rows]
            weights = jax.tree.map(lambda leaf: leaf * weight_decay_rate, reached.weights)
            gradient, metrics = jax.grad(batch_loss, has_aux=True)(weights, images, labels)
            updates, state = optimizer.update(gradient, reached.state, weights)
            return _Reached(optax.apply_updates(weights, updates), state, reached.weights), metrics

        return jax.lax.scan(step, vary_together(start, examples), rows)

    def meta_gradient(
        meta_params: ReptileParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[ReptileParams, Metrics]:
        del step
        stats = meta_params.norm_stats
        reached, early, count = begin(meta_params), episode.support, inner_steps - 1
        if not foml_tail:
            early, count = jax.tree.map(lambda *parts: jnp.concatenate(parts), *episode), count + 1
        rows = rows_of(key, len(early.labels), count, inner_batch)
        reached, metrics = descend(reached, stats, early, rows)
        if foml_tail:
            tail = jnp.arange(len(episode.query.labels))[None]
            reached, metrics = descend(reached, stats, episode.query, tail)
        origin = reached.before if foml else meta_params.weights
        gradient = jax.tree.map(jnp.subtract, origin, reached.weights)
        carried = Carried(reached.state if moments == "kept" else ())
        zeros = jax.tree.map(jnp.zeros_like, stats)
        last = jax.tree.map(lambda each: each[-1], metrics)
        return ReptileParams(gradient, zeros, carried), last

    def adapt(
        meta_params: ReptileParams, support: Examples, key: jax.Array
    ) -> Adapted | AdaptedWithSupport:
        stats = meta_params.norm_stats
        rows = rows_of(key, len(support.labels), test_steps, test_batch)
        (weights, _, _), _ = descend(begin(meta_params), stats, support, rows)
        _, stats = network.apply(weights, stats, support.images, True)
        if query_with_support:
            return AdaptedWithSupport(weights, stats, support.images)
        return Adapted(weights, stats)

    def logits(adapted: Any, images: jax.Array) -> jax.Array:
        seen = Adapted(adapted.weights, adapted.norm_stats)
        if norm == "inductive" and query_with_support:
            batch = jnp.concatenate([adapted.images, images])
            return network.apply(*seen, batch, True)[0][-len(images) :]
        return query_logits(network, seen, images, norm)

    def learned(meta_params: ReptileParams) -> ReptileParams:
        parts = zip((True, False, False), meta_params, strict=True)
        return ReptileParams(*(jax.tree.map(lambda _, own=own: own, part) for own, part in parts))

    return guarded(MetaLearner(init, meta_gradient, adapt, prediction(logits, norm), learned))


class _Reached(NamedTuple):
    """Weights and optimiser's state after some inner steps, and the weights before the last."""

    weights: Params
    state: Any
    before: Params


def _in_orders(key: jax.Array, count: int, steps: int, batch: int) -> jax.Array:
    """`[steps, batch]` rows of `count`, each once before any is drawn again."""
    rounds = -(-steps * batch // count)
    orders = jax.vmap(lambda k: jax.random.permutation(k, count))(jax.random.split(key, rounds))
    return orders.reshape(-1)[: steps * batch].reshape(steps, batch)


def _drawn(key: jax.Array, count: int, steps: int, batch: int) -> jax.Array:
    """`[steps, batch]` rows of `count`, each minibatch drawn apart from the others."""
    if batch > count:
        raise InputError(f"minibatches of {batch} of {count} images: expected no replacement")
    draw = jax.vmap(lambda k: jax.random.choice(k, count, (batch,), replace=False))
    return draw(jax.random.split(key, steps))

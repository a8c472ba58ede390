"""Every fast form of MAML's gradient against the plain one in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export

from metabone.episodes.types import Episode, Examples
from metabone.learners.base import cross_entropy
from metabone.learners.maml import maml
from metabone.nets.networks import conv_net
from metabone.training.meta import meta_state, meta_step

TASKS, WAYS = 4, 3
RATE, STEPS = 0.1, 2


def _tasks(dtype):
    rng = np.random.default_rng(0)

    def examples(shots):
        count = shots * WAYS
        images = rng.normal(size=(TASKS, count, 8, 8, 3))
        labels = np.tile(np.arange(count) % WAYS, (TASKS, 1))
        return Examples(jnp.array(images, dtype), jnp.array(labels, jnp.int32))

    return Episode(examples(2), examples(3))


def _network(form):
    return conv_net(WAYS, blocks=2, filters=4, halvings=2, form=form)


def _start(learner, dtype):
    # Drawn here, because those of `init` depend on the precision; scales are of both signs.
    shapes = jax.eval_shape(lambda key: learner.init(key, (8, 8, 3)), jax.random.key(0))
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda p: jnp.array(0.5 * rng.normal(size=p.shape), dtype), shapes)


def _by_hand(norm):
    """The same by an inner loop written out step by step, task by task, in the plain layers."""
    network, tasks = _network("lax"), _tasks(jnp.float64)
    params = _start(maml(network), jnp.float64)

    def query_loss(weights, support, query):
        for _ in range(STEPS):

            def support_loss(w):
                logits, _ = network.apply(w, params.norm_stats, support.images, True)
                return cross_entropy(logits, support.labels)

            gradient = jax.grad(support_loss)(weights)
            weights = jax.tree.map(lambda w, g: w - RATE * g, weights, gradient)
        _, stats = network.apply(weights, params.norm_stats, support.images, True)
        logits, _ = network.apply(weights, stats, query.images, norm == "transductive")
        return cross_entropy(logits, query.labels)

    of_task = jax.jit(jax.grad(query_loss))
    each = [
        of_task(params.weights, *(Examples(*(leaf[t] for leaf in part)) for part in tasks))
        for t in range(TASKS)
    ]
    mean = jax.tree.map(lambda *leaves: sum(leaves) / TASKS, *each)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(mean)]


def _gradient(form, remat, mapping, norm, dtype, order=2):
    """The mean meta-gradient over the tasks: what a step of plain descent at rate 1 takes away."""
    learner = maml(
        _network(form), inner_rate=RATE, inner_steps=STEPS, norm=norm, remat=remat, order=order
    )
    params = _start(learner, dtype)

    def sample(tasks, seed, step, task):
        return jax.tree.map(lambda leaf: leaf[task], tasks)

    optimizer = optax.sgd(1.0)
    step = meta_step(learner, optimizer, sample, meta_batch=TASKS, mapping=mapping)
    state = meta_state(params, optimizer)
    new, _ = jax.jit(step)(state, _tasks(dtype), jnp.int32(0), jnp.int32(0))
    moved = jax.tree.map(jnp.subtract, params.weights, new.meta_params.weights)
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(moved)]


def _worst(found, expected):
    """The largest difference of a leaf, relative to its largest entry."""
    pairs = zip(found, expected, strict=True)
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)


FORMS = [
    ("lax", True, "scan", "inductive"),
    ("rule", False, "vmap", "inductive"),
    ("rule", True, "overlap", "transductive"),
    ("dense", False, 2, "transductive"),
    ("auto", True, "scan", "transductive"),
]


@pytest.fixture(scope="module")
def by_hand():
    with jax.enable_x64(True):
        return {norm: _by_hand(norm) for norm in ("inductive", "transductive")}


@pytest.mark.parametrize(("form", "remat", "mapping", "norm"), FORMS)
def test_meta_gradients_equal_those_by_hand_in_float64(by_hand, form, remat, mapping, norm):
    with jax.enable_x64(True):
        found = _gradient(form, remat, mapping, norm, jnp.float64)
    assert _worst(found, by_hand[norm]) < 1e-9


@pytest.mark.parametrize(("form", "remat", "mapping", "norm"), FORMS[-1:])
@pytest.mark.optimized
def test_float32_is_within_a_thousandth_of_float64(by_hand, form, remat, mapping, norm):
    assert _worst(_gradient(form, remat, mapping, norm, jnp.float32), by_hand[norm]) < 1e-3


def test_first_order_is_the_same_in_the_plain_and_the_fast_form(by_hand):
    norm = "transductive"
    with jax.enable_x64(True):
        plain, fast = (_gradient(f, False, "scan", norm, jnp.float64, 1) for f in ("lax", "rule"))
    assert _worst(fast, plain) < 1e-9
    assert _worst(plain, by_hand[norm]) > 1e-2


@pytest.mark.parametrize("form", ["lax", "rule"])
def test_a_meta_step_lowers_for_accelerators(form):
    """Without one at hand no more than that can be shown."""
    learner, adam = maml(_network(form)), optax.adam(1e-3)
    shapes = jax.eval_shape(
        lambda key: meta_state(learner.init(key, (8, 8, 3)), adam), jax.random.key(0)
    )

    def sample(tasks, seed, step, task):
        return jax.tree.map(lambda leaf: leaf[task], tasks)

    step = jax.jit(meta_step(learner, adam, sample, meta_batch=TASKS, mapping=2))
    tasks = jax.eval_shape(lambda: _tasks(jnp.float32))
    number = jax.ShapeDtypeStruct((), jnp.int32)
    for platform in ("cuda", "tpu"):
        lowered = export.export(step, platforms=[platform])(shapes, tasks, number, number)
        assert lowered.platforms == (platform,)

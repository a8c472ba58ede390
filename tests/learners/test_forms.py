"""Every fast form of MAML's gradient against the plain one in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.learners.maml import maml
from metabone.nets.networks import conv_net
from metabone.training.meta import meta_state, meta_step

TASKS, WAYS = 4, 3


def _tasks(dtype):
    rng = np.random.default_rng(0)

    def examples(shots):
        count = shots * WAYS
        images = rng.normal(size=(TASKS, count, 8, 8, 3))
        labels = np.tile(np.arange(count) % WAYS, (TASKS, 1))
        return Examples(jnp.array(images, dtype), jnp.array(labels, jnp.int32))

    return Episode(examples(2), examples(3))


def _gradient(form, remat, mapping, dtype, order=2):
    """The mean meta-gradient over the tasks: what a step of plain descent at rate 1 takes away."""
    network = conv_net(WAYS, blocks=2, filters=4, halvings=2, form=form)
    learner = maml(
        network, inner_rate=0.1, inner_steps=2, norm="transductive", remat=remat, order=order
    )
    # Drawn here, because those of `init` depend on the precision; scales are of both signs.
    shapes = jax.eval_shape(lambda key: learner.init(key, (8, 8, 3)), jax.random.key(0))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: jnp.array(0.5 * rng.normal(size=p.shape), dtype), shapes)

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
    ("rule", False, "vmap"),
    ("rule", True, "overlap"),
    ("dense", False, 2),
    ("auto", True, "scan"),
]


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        return _gradient("lax", False, "scan", jnp.float64)


@pytest.mark.parametrize(("form", "remat", "mapping"), FORMS)
def test_meta_gradients_equal_the_plain_form_in_float64(reference, form, remat, mapping):
    with jax.enable_x64(True):
        assert _worst(_gradient(form, remat, mapping, jnp.float64), reference) < 1e-9


@pytest.mark.parametrize(("form", "remat", "mapping"), FORMS[-1:])
def test_float32_is_within_a_thousandth_of_float64(reference, form, remat, mapping):
    assert _worst(_gradient(form, remat, mapping, jnp.float32), reference) < 1e-3


def test_first_order_is_the_same_in_the_plain_and_the_fast_form(reference):
    with jax.enable_x64(True):
        plain, fast = (_gradient(f, False, "scan", jnp.float64, 1) for f in ("lax", "rule"))
    assert _worst(fast, plain) < 1e-9
    assert _worst(plain, reference) > 1e-2

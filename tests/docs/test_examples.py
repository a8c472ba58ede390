"""The examples of the documentation run, and do what they say."""

import runpy
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from metabone.evaluation.tasks import task_accuracies
from metabone.learners.maml import maml
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step

_EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("name", ["own_loop", "own_learner"])
def test_a_program_of_ones_own_learns_to_tell_classes_that_it_has_never_seen(name, monkeypatch):
    monkeypatch.syspath_prepend(_EXAMPLES)
    found = runpy.run_path(str(_EXAMPLES / f"{name}.py"))
    assert found["before"] < 0.6
    assert found["after"] > 0.75


@pytest.mark.parametrize("name", ["linen_network", "nnx_network", "function_network"])
def test_a_network_of_ones_own_keeps_its_promises_and_learns(name):
    network = runpy.run_path(str(_EXAMPLES / f"{name}.py"))["network"]
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    params, stats = network.init(jax.random.key(0), (8, 8, 1))
    together, same = network.apply(params, stats, images, False)
    alone, _ = network.apply(params, stats, images[:1], False)
    np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, same, stats)
    by_batch, found = network.apply(params, stats, images, True)
    np.testing.assert_allclose(
        network.apply(params, found, images, False)[0], by_batch, rtol=1e-4, atol=1e-5
    )

    classes = runpy.run_path(str(_EXAMPLES / "noisy_classes.py"))
    known, unseen, task = (classes[name] for name in ("known", "unseen", "task"))
    learner, optimizer = (
        maml(network, inner_rate=0.1, inner_steps=3, test_steps=3),
        optax.adam(1e-2),
    )
    start = meta_state(learner.init(jax.random.key(0), (8, 8, 1)), optimizer)
    step = meta_step(learner, optimizer, task, meta_batch=4)
    trained = train(step, start, known, steps=150, seed=0, progress=False).state
    accuracies = task_accuracies(learner, task, tasks=100, seed=1)
    before, after = (float(accuracies(s.meta_params, unseen).mean()) for s in (start, trained))
    assert after > before + 0.1, (before, after)


def test_examples_are_short():
    for path in _EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name

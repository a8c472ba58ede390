import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.learners.carried import Carried
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step, on_all_devices, on_one_device

pytestmark = pytest.mark.optimized


class Learner(NamedTuple):
    meta_gradient: object


def sample(data, seed, step, task):
    """A regression of `data` rows that step and task choose."""
    rows = (jnp.arange(3, dtype=jnp.int32) + 5 * step + 2 * task) % jnp.int32(len(data))
    images = data[rows]
    labels = jnp.full(3, task, jnp.int32)
    return Episode(Examples(images, labels), Examples(images + 1, labels))


def meta_gradient(meta_params, episode, key):
    noise = jax.random.normal(key, (2,))
    gap = meta_params["w"] - episode.query.images.mean(axis=0) - noise
    return {"w": 2 * gap, "scale": meta_params["scale"]}, {
        "loss": jnp.sum(gap**2),
        "task": episode.support.labels[0],
    }


DATA = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
PARAMS = {"w": jnp.array([1.0, -1.0]), "scale": jnp.float32(0.5)}


def plain_mean(params, seed, index, meta_batch):
    """The mean over tasks in a Python loop, float64."""
    total, losses = np.zeros(2), []
    for task in range(meta_batch):
        rows = (np.arange(3) + 5 * index + 2 * task) % 8
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), index), task)
        key = jax.random.fold_in(key, 2)  # the sampler's two streams are 0 and 1
        noise = np.asarray(jax.random.normal(key, (2,)), float)
        gap = params - (DATA[rows].mean(axis=0) + 1) - noise
        total += 2 * gap
        losses.append(np.sum(gap**2))
    return total / meta_batch, np.mean(losses)


@pytest.mark.parametrize("mapping", ["scan", "overlap", "devices", "vmap", 1, 2, 6])
def test_a_step_descends_the_plain_mean_of_the_task_gradients(mapping):
    optimizer = optax.sgd(0.1)
    step = meta_step(Learner(meta_gradient), optimizer, sample, meta_batch=6, mapping=mapping)
    state = meta_state(PARAMS, optimizer)
    new, metrics = jax.jit(step)(state, DATA, jnp.uint32(9), jnp.int32(4))
    gradient, loss = plain_mean(np.array([1.0, -1.0]), 9, 4, 6)
    np.testing.assert_allclose(new.meta_params["w"], [1.0, -1.0] - 0.1 * gradient, rtol=2e-6)
    np.testing.assert_allclose(new.meta_params["scale"], 0.5 - 0.1 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=2e-6)
    np.testing.assert_allclose(metrics["task"], 2.5)
    norm = np.sqrt(np.sum(gradient**2) + 0.25)
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=2e-6)


def test_a_learner_may_follow_a_schedule_of_the_step():
    def scaled(meta_params, episode, key, *, step=0):
        gradient, metrics = meta_gradient(meta_params, episode, key)
        return jax.tree.map(lambda g: g * step, gradient), metrics

    sgd = optax.sgd(0.1)
    for index in (0, 3):
        steps = [
            jax.jit(meta_step(learner, sgd, sample, meta_batch=2))
            for learner in (Learner(meta_gradient), Learner(scaled))
        ]
        start = meta_state(PARAMS, sgd)
        plain, scheduled = (
            step(start, DATA, np.uint32(9), np.int32(index))[0].meta_params["w"] for step in steps
        )
        moved = np.asarray(plain) - np.asarray(PARAMS["w"])
        np.testing.assert_allclose(scheduled, PARAMS["w"] + index * moved, rtol=1e-5)


def carrying(meta_params, episode, key):
    """Its gradient is what is carried, which halves and gains its task's number plus one."""
    del key
    value, count = meta_params["memory"].value
    gained = value / 2 + episode.support.labels[0].astype(jnp.float32) + 1
    gradient = {"w": jnp.full(2, value), "memory": Carried((gained, count + 1))}
    return gradient, {"loss": value}


def carried_by_hand(groups):
    """Gradients of tasks in groups, and what is carried after them: each group begins alike."""
    value, count, gradients = 4.0, 0, []
    for group in groups:
        ends = []
        for chain in group:
            reached = value
            for task in chain:
                gradients.append(reached)
                reached = reached / 2 + task + 1
            ends.append(reached)
        value, count = np.mean(ends), count + len(group[0])
    return np.mean(gradients), value, count


CARRYING = {"w": PARAMS["w"], "memory": Carried((jnp.float32(4.0), jnp.int32(0)))}
IN_ORDER = [[range(6)]]


def step_of_carrying(mapping):
    """With a decay and a bound that would both move what is carried."""
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    step = meta_step(Learner(carrying), optimizer, sample, meta_batch=6, clip=1e-3, mapping=mapping)
    return jax.jit(step), meta_state(CARRYING, optimizer)


@pytest.mark.parametrize(
    ("mapping", "groups"),
    [
        ("scan", IN_ORDER),
        ("overlap", IN_ORDER),
        ("devices", IN_ORDER),
        (2, [[[0], [1]], [[2], [3]], [[4], [5]]]),
        ("vmap", [[[0], [1], [2], [3], [4], [5]]]),
    ],
)
def test_what_is_carried_goes_from_task_to_task_and_is_not_stepped(mapping, groups):
    step, state = step_of_carrying(mapping)
    new, metrics = step(state, DATA, jnp.uint32(0), jnp.int32(0))
    gradient, value, count = carried_by_hand(groups)
    np.testing.assert_allclose(metrics["gradient_norm"], gradient * np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(new.meta_params["memory"].value, (value, count), rtol=1e-6)
    assert new.meta_params["memory"].value[1].dtype == np.int32
    assert (new.meta_params["w"] != PARAMS["w"]).all()


def print_what_two_devices_train():
    """Called in a process that has two devices."""
    step, state = step_of_carrying("devices")
    new, _ = step(*on_all_devices((state, DATA)), jnp.uint32(0), jnp.int32(0))
    print(*on_one_device(new.meta_params["memory"].value))
    adam = optax.adam(0.1)
    for mapping in ("scan", "devices"):
        step = meta_step(Learner(meta_gradient), adam, sample, meta_batch=6, mapping=mapping)
        start, data = meta_state(PARAMS, adam), DATA
        if mapping == "devices":
            start, data = on_all_devices((start, data))
        trained = train(step, start, data, steps=5, seed=9, progress=False).state.meta_params["w"]
        on_one = on_one_device(trained)
        print(len(trained.devices()), len(on_one.devices()), *on_one)


def test_training_on_two_devices_gives_the_numbers_of_one():
    """In a process of its own: the number of devices is settled when JAX starts."""
    done = subprocess.run(
        [sys.executable, "-c", "import test_meta; test_meta.print_what_two_devices_train()"],
        cwd=Path(__file__).parent,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        check=True,
    )
    carried, scanned, dealt = (np.array(line.split(), float) for line in done.stdout.splitlines())
    _, value, count = carried_by_hand([[[0, 1, 2], [3, 4, 5]]])
    np.testing.assert_allclose(carried, (value, count), rtol=1e-6)
    np.testing.assert_array_equal((scanned[:2], dealt[:2]), ((1, 1), (2, 1)))
    np.testing.assert_allclose(dealt[2:], scanned[2:], rtol=2e-6)


def test_training_equals_a_python_loop_over_steps_and_tasks():
    optimizer = optax.sgd(0.1, momentum=0.9)
    step = meta_step(Learner(meta_gradient), optimizer, sample, meta_batch=3)
    state = meta_state(PARAMS, optimizer)
    result = train(step, state, DATA, steps=7, seed=2, window=3, progress=False)
    w, trace = np.array([1.0, -1.0]), np.zeros(2)
    for index in range(7):
        trace = plain_mean(w, 2, index, 3)[0] + 0.9 * trace
        w = w - 0.1 * trace
    np.testing.assert_allclose(result.state.meta_params["w"], w, rtol=1e-5)


def test_clipping_bounds_the_mean_gradient_and_not_its_report():
    optimizer = optax.sgd(1.0)
    step = meta_step(Learner(meta_gradient), optimizer, sample, meta_batch=2, clip=0.01)
    state = meta_state(PARAMS, optimizer)
    new, metrics = jax.jit(step)(state, DATA, jnp.uint32(0), jnp.int32(0))
    moved = jax.tree.map(jnp.subtract, new.meta_params, state.meta_params)
    np.testing.assert_allclose(optax.tree.norm(moved), 0.01, rtol=1e-3)
    assert metrics["gradient_norm"] > 0.1


@pytest.mark.parametrize("optimizer", [optax.adamw(0.1, weight_decay=1.0), optax.lion(0.1)])
def test_what_a_learner_does_not_learn_no_optimizer_moves(optimizer):
    class Frozen(NamedTuple):
        meta_gradient: object
        learned: object

    learner = Frozen(meta_gradient, lambda params: {"w": True, "scale": False})
    step = jax.jit(meta_step(learner, optimizer, sample, meta_batch=2))
    state = meta_state(PARAMS, optimizer)
    new, _ = step(state, DATA, jnp.uint32(0), jnp.int32(0))
    everything, _ = jax.jit(meta_step(Learner(meta_gradient), optimizer, sample, meta_batch=2))(
        state, DATA, jnp.uint32(0), jnp.int32(0)
    )
    assert new.meta_params["scale"] == PARAMS["scale"] != everything.meta_params["scale"]
    np.testing.assert_array_equal(new.meta_params["w"], everything.meta_params["w"])
    # Checkpoints keep their form: the optimiser has a state for all.
    jax.tree.map(np.testing.assert_array_equal, new.opt_state, everything.opt_state)


def test_memory_does_not_grow_with_the_number_of_tasks():
    def big_gradient(meta_params, episode, key):
        return meta_params * episode.query.images.mean(), {"loss": jnp.float32(0)}

    def temporary(meta_batch):
        optimizer = optax.sgd(1.0)
        step = meta_step(Learner(big_gradient), optimizer, sample, meta_batch=meta_batch)
        state = meta_state(jnp.zeros(100_000), optimizer)
        lowered = jax.jit(step).lower(state, DATA, jnp.uint32(0), jnp.int32(0))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary(64) < 1.1 * temporary(2) + 10_000


@pytest.mark.parametrize(
    ("learner", "settings", "message"),
    [
        (Learner(meta_gradient), {"meta_batch": 0}, "meta_batch"),
        (Learner(meta_gradient), {"meta_batch": 4, "mapping": 3}, "must divide meta_batch"),
        (Learner(meta_gradient), {"meta_batch": 4, "mapping": "map"}, "one of 'scan', 'overlap'"),
        (Learner(None), {"meta_batch": 4}, "not meta-trained"),
    ],
)
def test_what_cannot_be_is_named(learner, settings, message):
    with pytest.raises(ValueError, match=message):
        meta_step(learner, optax.sgd(0.1), sample, **settings)

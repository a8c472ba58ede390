"""What every learner keeps, each asked of each; a newcomer adds one row to `contract.LEARNERS`."""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.nets.networks import conv_net
from metabone.training.meta import meta_state, meta_step

_HERE = Path(__file__).parent


def _table():
    spec = importlib.util.spec_from_file_location("contract", _HERE / "contract.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


contract = _table()
every_learner = pytest.mark.parametrize("name", contract.LEARNERS)
META_LEARNERS = [
    name for name in contract.LEARNERS if contract.learner_of(name).meta_gradient is not None
]
TASK = contract.task()


def _assert_close(found, expected, rtol=1e-5, atol=1e-6):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected
    )


@cache
def _compiled(name):
    """Learner, start, all that it says of `TASK`, and the program that says it."""
    learner = contract.learner_of(name)
    start = contract.start_of(learner)
    program = jax.jit(lambda start, task, key: contract.everything(learner, start, task, key))
    return learner, start, program, program(start, TASK, contract.KEY)


@every_learner
def test_it_learns_a_task_and_returns_what_the_interface_says(name):
    learner, start, _, (learnt, _, logits) = _compiled(name)
    assert logits.shape == (9, contract.WAYS)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((learnt, logits)))
    if learnt:
        gradient, metrics = learnt
        jax.tree.map(lambda g, p: np.testing.assert_equal(g.shape, p.shape), gradient, start)
        assert {"loss", "accuracy"} <= set(metrics) and all(m.shape == () for m in metrics.values())
    if learner.learned is not None:
        learned = learner.learned(start)
        assert jax.tree.structure(learned) == jax.tree.structure(start)
        assert all(type(leaf) is bool for leaf in jax.tree.leaves(learned))


@pytest.mark.slow
@every_learner
def test_compiled_or_not_it_says_the_same(name):
    learner, start, _, compiled = _compiled(name)
    _assert_close(contract.everything(learner, start, TASK), compiled, rtol=1e-4, atol=1e-5)


@every_learner
def test_mapped_over_tasks_it_says_what_it_says_of_each(name):
    learner, start, program, first = _compiled(name)
    other = contract.task(1)
    keys = jnp.stack([contract.KEY, jax.random.key(3)])
    second = program(start, other, keys[1])
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), TASK, other)
    mapped = jax.jit(jax.vmap(lambda t, k: contract.everything(learner, start, t, k)))(tasks, keys)
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    _assert_close(mapped, expected, rtol=1e-3, atol=1e-4)


@every_learner
def test_classes_may_be_numbered_in_any_order(name):
    """What has learned a head's columns is given them in that order too."""
    if contract.LEARNERS[name].draws:
        pytest.skip("draws its head: another number is another start")
    if contract.LEARNERS[name].ordered:
        pytest.skip("its classes are in order")
    _, start, program, (learnt, _, logits) = _compiled(name)
    order = np.array([2, 0, 1])  # class c is called order[c]
    renamed = Episode(*(Examples(part.images, jnp.array(order)[part.labels]) for part in TASK))

    def turned(params):
        if contract.LEARNERS[name].embeds:
            return params
        kernel = params.weights["head"]["kernel"]
        columns = jnp.zeros_like(kernel).at[:, order].set(kernel)
        return params._replace(weights={**params.weights, "head": {"kernel": columns}})

    again, _, others = program(turned(start), renamed, contract.KEY)
    np.testing.assert_allclose(others[:, order], logits, rtol=1e-3, atol=1e-4)
    if learnt:
        np.testing.assert_allclose(again[1]["loss"], learnt[1]["loss"], rtol=1e-4)
        _assert_close(again[0].weights, turned(learnt[0]).weights, rtol=1e-3, atol=1e-4)


@every_learner
@pytest.mark.optimized
def test_an_inductive_answer_is_the_same_to_the_bit_in_any_company(name):
    network = lambda outputs: conv_net(outputs, blocks=1, filters=3, halvings=1)  # noqa: E731
    learner = contract.learner_of(name, network)
    task = contract.task(shape=(8, 8, 1))
    start = contract.start_of(learner, (8, 8, 1))
    adapted = jax.jit(learner.adapt)(start, task.support, contract.KEY)
    predict = jax.jit(learner.predict)
    images = task.query.images
    together = np.asarray(predict(adapted, images))
    for rows in ([4], [8, 4, 0]):
        np.testing.assert_array_equal(predict(adapted, images[np.array(rows)]), together[rows])


@every_learner
def test_float64_in_is_float64_out_and_the_same_answer(name):
    _, _, _, single = _compiled(name)
    with jax.enable_x64(True):
        learner = contract.learner_of(name)
        # Drawn in float32, so that both begin alike; what a learner draws itself differs.
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), _compiled(name)[1])
        task = contract.task(dtype=np.float64)
        double = jax.jit(lambda: contract.everything(learner, start, task))()
    for leaf in jax.tree.leaves(double):
        assert leaf.dtype == np.float64 or not jnp.issubdtype(leaf.dtype, jnp.floating)
    assert single[2].dtype == np.float32
    if not contract.LEARNERS[name].draws and name != "reptile":
        _assert_close(single, double, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name for name, row in contract.LEARNERS.items() if row.no_steps is not None]
)
def test_no_steps_answer_by_the_start(name):
    row = contract.LEARNERS[name]
    learner = contract.learner_of(name, **row.no_steps)
    start = contract.start_of(learner)
    learnt, adapted, logits = contract.everything(learner, start, TASK)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((learnt, logits)))
    if name == "logistic_head":  # without a step its head is zero
        np.testing.assert_array_equal(logits, 0)
    elif not row.draws:
        jax.tree.map(
            np.testing.assert_array_equal, adapted.weights["layer"], start.weights["layer"]
        )


@pytest.mark.parametrize("name", META_LEARNERS)
def test_an_outer_optimizer_with_decay_moves_what_is_learned_alone(name):
    learner, start, _, _ = _compiled(name)
    adamw = optax.adamw(0.01, weight_decay=1.0)
    step = meta_step(learner, adamw, lambda *_: TASK, meta_batch=1)
    state = meta_state(start, adamw)
    moved = jax.jit(step)(state, (), jnp.uint32(0), jnp.int32(0))[0].meta_params
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), moved, start)
    # Decay moves all that is not zero, and tasks what is carried.
    stats = jax.tree.map(lambda _: False, start.norm_stats)
    assert changed == jax.tree.map(lambda _: True, start)._replace(norm_stats=stats)


_IMAGES, _LABELS = TASK.support


@every_learner
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros(_IMAGES.shape, np.uint8), _LABELS, "images are uint8: expected floats"),
        (_IMAGES, _LABELS[:-1], "for 6 images: expected one an image"),
        (_IMAGES, _LABELS.astype(jnp.float32), "labels are float32 .* expected integers"),
        (_IMAGES, jax.nn.one_hot(_LABELS, 3, dtype=jnp.int32), r"shape \(\d+, 3\).*not one-hot"),
        (_IMAGES, _LABELS + 1, r"labels 1 \.\. 3: expected 0 \.\. 2"),
        (_IMAGES, _LABELS - 1, r"labels -1 \.\. 1: expected 0 \.\. 2"),
        (_IMAGES, ["ulna"] * 6, "labels are <U4: expected numbers"),
    ],
    ids=["uint8", "few", "float", "one_hot", "beyond", "negative", "names"],
)
def test_wrong_images_and_labels_are_refused_in_one_line(name, images, labels, message):
    learner, start, _, (_, adapted, _) = _compiled(name)
    wrong = Examples(images, labels)
    with pytest.raises(InputError, match=message):
        learner.adapt(start, wrong, contract.KEY)
    if learner.meta_gradient is not None:
        with pytest.raises(InputError, match=message):
            learner.meta_gradient(start, Episode(wrong, wrong), contract.KEY)
    if images.dtype == np.uint8:
        with pytest.raises(InputError, match=message):
            learner.predict(adapted, images)


@every_learner
def test_a_traced_label_beyond_the_outputs_leaves_no_number(name):
    """Inside jit it cannot be refused; it must not be passed over either."""
    _, start, program, _ = _compiled(name)
    wrong = Episode(*(Examples(part.images, part.labels.at[0].set(3)) for part in TASK))
    learnt, _, logits = program(start, wrong, contract.KEY)
    assert np.isnan(logits).all()
    if learnt:
        gradient, metrics = learnt
        assert np.isnan(metrics["loss"])
        assert any(np.isnan(leaf).all() for leaf in jax.tree.leaves(gradient.weights))


def test_a_missing_channel_axis_is_refused_by_networks_that_need_one():
    with pytest.raises(InputError, match=r"images of shape .*expected \[n, H, W, C\]"):
        contract.learner_of("maml", conv_net).init(jax.random.key(0), (16, 16))


def _of_own_device(name, network, shape):
    """All that each of 8 devices says of its own task, and what one says of them one by one."""
    learner = contract.learner_of(name, network)
    start = contract.start_of(learner, shape)
    tasks = [contract.task(seed, shape) for seed in range(8)]
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)
    keys = jax.random.split(contract.KEY, 8)
    mesh = jax.make_mesh((8,), ("tasks",), (jax.sharding.AxisType.Auto,))

    def say(start, task, key):
        learnt, _, logits = contract.everything(learner, start, task, key)
        return learnt, logits

    def own(start, tasks, keys):
        task, key = jax.tree.map(lambda leaf: leaf[0], (tasks, keys))
        return jax.tree.map(lambda leaf: leaf[None], say(start, task, key))

    by_device = jax.P("tasks")
    specs = dict(in_specs=(jax.P(), by_device, by_device), out_specs=by_device)
    found = jax.jit(jax.shard_map(own, mesh=mesh, **specs))(start, tasks, keys)
    one = jax.jit(say)
    each = [one(start, *jax.tree.map(lambda a, i=i: a[i], (tasks, keys))) for i in range(8)]
    return found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def check_eight_devices():
    """Called in a process that has eight devices."""
    jax.config.update("jax_disable_most_optimizations", True)
    assert len(jax.devices()) == 8
    conv = lambda outputs: conv_net(outputs, blocks=2, filters=2, halvings=1)  # noqa: E731
    cases = [(name, contract.plain_network, contract.SHAPE) for name in contract.LEARNERS]
    cases += [(name, conv, (4, 4, 1)) for name in ("maml", "protonet")]
    for name, network, shape in cases:
        if name in ("logistic_head", "ordinal_head"):
            with pytest.raises(InputError, match="check_vma=False"):
                _of_own_device(name, network, shape)
            continue
        _assert_close(*_of_own_device(name, network, shape), rtol=1e-4, atol=1e-5)
    print(f"{len(cases)} cases")


# And the compiler is spared its slowest part.
_EIGHT = "--xla_force_host_platform_device_count=8 --xla_cpu_use_fusion_emitters=false"


@pytest.mark.slow
def test_inside_shard_map_each_device_says_of_its_own_task_what_one_device_says():
    """In a process of its own: the number of devices is settled when JAX starts."""
    done = subprocess.run(
        [sys.executable, "-c", "import test_contract; test_contract.check_eight_devices()"],
        cwd=_HERE,
        env=os.environ | {"XLA_FLAGS": _EIGHT},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{len(contract.LEARNERS) + 2} cases\n", done.stderr[-3000:]

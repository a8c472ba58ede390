"""The throughput benchmark: its count of operations, its contenders and their processes."""

import importlib.util
import math
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import optax
import pytest

from benchmarks.alternation import Worker, WorkerFailed
from benchmarks.contenders import CONTENDERS, OURS
from benchmarks.jax_contenders import plain_task_loss
from benchmarks.settings import SETTINGS, Setting, draw_episodes, draw_weights, flops, shrunk
from benchmarks.throughput import agreement, compare, is_right
from benchmarks.throughput_table import table

pytestmark = pytest.mark.optimized

TINY = Setting("tiny", 4, 1, 2, 1, 1, 1, 1, 0.1, blocks=2, filters=3, halvings=1)
# What is flattened is 4x4 pixels of 4 channels, so its order matters.
SMALL = Setting("small", 8, 2, 3, 2, 1, 2, 2, 0.1, blocks=1, filters=4, halvings=1, widths=(5,))


@pytest.fixture(scope="module")
def expected():
    """First loss and gradient norm of `SMALL`, in this process and in float64."""
    pytest.importorskip("torch")  # no one else asks
    with jax.enable_x64(True):
        weights, episodes = jax.tree.map(
            lambda x: x.astype(np.float64) if x.dtype == np.float32 else x,
            (draw_weights(SMALL, 3), draw_episodes(SMALL, 3)),
        )

        def mean_loss(weights):
            return jax.vmap(partial(plain_task_loss, SMALL), (None, 0))(weights, episodes).mean()

        loss, gradient = jax.jit(jax.value_and_grad(mean_loss))(weights)
        return float(loss), float(optax.tree.norm(gradient))


def test_operations_are_counted_as_by_hand():
    first, second, classes = 16 * 9 * 1 * 3, 4 * 9 * 3 * 3, 2 * 2 * 3 * 2
    # Per image, in multiply-adds: the first layer's products are two in a step and two more in its
    # differentiation, the others' three and six; a query takes two and three.
    support = first * (2 + 2) + (second + classes) * (3 + 6)
    query = first * 2 + (second + classes) * 3
    assert flops(TINY) == 2 * 2 * (support + query)


@pytest.mark.parametrize("downsample", ["pool", "stride"])
def test_operations_are_those_in_the_traced_gradient(downsample):
    setting = replace(shrunk(SETTINGS["smi"]), downsample=downsample, blocks=4, halvings=2)
    weights, episodes = draw_weights(setting, 0), draw_episodes(setting, 0)
    gradient = jax.grad(partial(plain_task_loss, setting))
    traced = jax.make_jaxpr(gradient)(weights, jax.tree.map(lambda x: x[0], episodes))
    assert setting.tasks * counted(traced.jaxpr) == flops(setting)


def counted(jaxpr):
    total = 0
    for equation in jaxpr.eqns:
        for parameter in equation.params.values():
            if hasattr(parameter, "jaxpr"):
                total += counted(parameter.jaxpr)
        if equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            summed = math.prod(equation.invars[0].aval.shape[axis] for axis in axes)
            total += 2 * summed * equation.outvars[0].aval.size
        if equation.primitive.name == "conv_general_dilated":
            total += convolution(equation)
    return total


def convolution(equation):
    # A gradient of a convolution is one whose operands and result have changed places, dilated and
    # padded. Whichever of the three is 3x3 is the kernel, and meets each pixel of the smaller map.
    images, kernel = (variable.aval.shape for variable in equation.invars)
    result = equation.outvars[0].aval.shape
    specs = equation.params["dimension_numbers"]
    sides = []
    for shape, spec in zip((images, kernel, result), specs, strict=True):
        assert shape[spec[2]] == shape[spec[3]]
        sides.append(shape[spec[2]])
    sides.remove(3)
    batch, features = (images[axis] for axis in specs.lhs_spec[:2])
    return 2 * batch * features * result[specs.out_spec[1]] * 9 * min(sides) ** 2


@pytest.mark.slow
def test_ours_and_plain_jax_take_turns_and_who_fails_is_a_row_with_its_reason(monkeypatch):
    monkeypatch.setitem(CONTENDERS, "unheard_of", CONTENDERS["plain_jax"])
    peers = ["unheard_of", "plain_jax"]
    found = compare(TINY, peers, rounds=2, tune=False, variant_limit=100)
    ours, failed, plain = found["rows"]
    assert [row["status"] for row in found["rows"]] == ["ok", "failed", "ok"]
    assert "unheard_of" in failed["reason"]
    assert plain["first_loss"] == pytest.approx(ours["first_loss"], rel=1e-4)
    assert plain["gradient_norm"] == pytest.approx(ours["gradient_norm"], rel=1e-3)
    # Turns of an untimed and a timed step: the losses told are those of steps 3 and 5.
    for one, other in zip(ours["losses"], plain["losses"], strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert ours["first_loss"] > ours["losses"][0][0] > ours["losses"][1][0]
    pairs = zip(ours["seconds"], plain["seconds"], strict=True)
    assert found["ratio_to_fastest_peer"]["paired"] == [other / own for own, other in pairs]
    assert is_right(found)
    assert "unheard_of (map): KeyError" in table(found)


def test_a_contender_out_of_time_is_told():
    worker = Worker(OURS, {}, TINY, seed=0)
    try:
        with pytest.raises(WorkerFailed, match="longer than 0 s"):
            worker.wait_for_first_step(limit=0.01)
    finally:
        worker.close()


def test_what_differs_from_the_first_is_wrong():
    check = agreement()
    assert check({"first_loss": 2.0, "gradient_norm": 5.0}) == ""
    assert check({"first_loss": 2.0001, "gradient_norm": 5.001}) == ""
    assert "first_loss" in check({"first_loss": 2.0003, "gradient_norm": 5.0})
    assert "gradient_norm" in check({"first_loss": 2.0, "gradient_norm": 5.01})
    assert "first_loss" in check({"first_loss": math.nan, "gradient_norm": 5.0})


@pytest.mark.parametrize(
    ("peer", "package"),
    [
        ("torch_func", "torch"),
        ("learn2learn", "learn2learn"),
        ("higher", "higher"),
        ("torchopt", "torchopt"),
    ],
)
def test_a_torch_peer_computes_the_same(peer, package, expected):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    worker = Worker(peer, {**CONTENDERS[peer].variants[0], "threads": 1}, SMALL, seed=3)
    try:
        worker.wait_for_first_step(limit=100)
    finally:
        worker.close()
    assert worker.first["first_loss"] == pytest.approx(expected[0], rel=1e-4)
    assert worker.first["gradient_norm"] == pytest.approx(expected[1], rel=1e-3)

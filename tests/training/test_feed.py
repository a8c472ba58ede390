import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.training.checkpoints import Checkpoints
from metabone.training.feed import Feed
from metabone.training.loop import train
from metabone.training.supervised import batch_plan, epoch_batch

VALUES = np.random.default_rng(0).normal(size=23).astype(np.float32)


class Values:
    """Gives step `i` the value `i`, and remembers what it was asked for."""

    def __init__(self, longest):
        self.longest = longest
        self.asked = []

    @property
    def shapes(self):
        return {
            "start": jax.ShapeDtypeStruct((), np.int32),
            "values": jax.ShapeDtypeStruct((self.longest,), np.float32),
        }

    def window(self, start, count):
        self.asked.append((start, count))
        values = np.full(self.longest, np.nan, np.float32)
        values[:count] = VALUES[start : start + count]
        return {"start": np.array(start, np.int32), "values": values}


def step(state, data, seed, index):
    value = data["values"][index - data["start"]]
    return state / 2 + value, {"value": value}


def run(feed, **changes):
    return train(
        step, jnp.float32(1), feed, **{"steps": 23, "seed": 0, "progress": False} | changes
    )


def expected():
    state = np.float32(1)
    for value in VALUES:
        state = state / np.float32(2) + value
    return state


@pytest.mark.parametrize(("longest", "window"), [(1, 200), (5, 200), (30, 4), (30, 200)])
def test_the_length_of_windows_changes_no_bit_and_exceeds_no_bound(longest, window):
    feed = Values(longest)
    assert run(feed, window=window).state == expected()
    assert [start for start, _ in feed.asked] == list(
        np.cumsum([0] + [count for _, count in feed.asked[:-1]])
    )
    assert max(count for _, count in feed.asked) <= min(longest, window)
    assert sum(count for _, count in feed.asked) == 23


def test_a_resumed_run_asks_from_where_it_was(tmp_path):
    run(Values(4), steps=10, checkpoints=Checkpoints(tmp_path))
    feed = Values(4)
    assert run(feed, checkpoints=Checkpoints(tmp_path)).state == expected()
    assert feed.asked[0] == (10, 1)
    feed = Values(4)
    run(feed, checkpoints=Checkpoints(tmp_path))
    assert feed.asked == []


def test_a_feed_is_told_from_data():
    assert isinstance(Values(1), Feed)
    for data in ((), (VALUES, VALUES), {"window": VALUES}, VALUES, jnp.ones(2)):
        assert not isinstance(data, Feed)


@pytest.mark.parametrize(("count", "size"), [(12, 4), (13, 4), (7, 7), (10, 9), (5, 1)])
def test_a_plan_of_batches_holds_the_batch_of_each_step(count, size):
    plan = batch_plan(3_000_000_000, 20, count, size)
    assert plan.shape == (20, size) and plan.dtype == np.int32
    batch = jax.jit(lambda index: epoch_batch(jnp.uint32(3_000_000_000), index, count, size))
    np.testing.assert_array_equal(plan, [batch(jnp.int32(index)) for index in range(20)])

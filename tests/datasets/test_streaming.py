import gc
import os
import threading
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metabone.datasets.memory import choose
from metabone.datasets.source import open_images
from metabone.datasets.streaming import RowStream
from metabone.episodes.sampling import sample
from metabone.episodes.store import build_store
from metabone.episodes.windows import episode_plan, streamed_batch, streamed_episode
from metabone.errors import InputError
from metabone.learners.base import cross_entropy
from metabone.nets.networks import conv_net
from metabone.training.checkpoints import Checkpoints
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step
from metabone.training.supervised import batch_plan, supervised_state, supervised_step

pytestmark = pytest.mark.optimized

SIZES = {"ways": 3, "shots": 1, "queries": 2}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Prepared records: 4 classes of 5 films."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("streaming")
    random = np.random.default_rng(0)
    for label in range(4):
        (folder / "images" / f"c{label}").mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(0, 256, (12, 9), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"c{label}" / f"{number}.png")
    return open_images(f"folder:{folder}/images", size=8, data_dir=str(folder / "prepared"))


def prefetching():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


def wait_until(true):
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


def same_bits(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def rows_of(records, steps, seed=0):
    return np.random.default_rng(seed).integers(0, len(records), (steps, 2, 3), dtype=np.int32)


def check_window(window, records, rows, longest):
    count = len(rows)
    whole = records.whole()
    np.testing.assert_array_equal(window.images[:count], whole.images[rows])
    np.testing.assert_array_equal(window.labels[:count], whole.labels[rows])
    assert window.images.shape == (longest, *rows.shape[1:], 8, 8, 1)
    assert not window.images[count:].any() and not window.labels[count:].any()
    assert (window.images.dtype, window.labels.dtype) == (np.uint8, np.int32)


def test_windows_hold_the_planned_images_whatever_their_lengths_and_wherever_they_start(records):
    rows = rows_of(records, 20)
    with RowStream(records, rows, longest=4, prefetch=3) as stream:
        for start, count in [(0, 1), (1, 4), (5, 2), (7, 4), (13, 4), (17, 3), (0, 2), (2, 2)]:
            window = stream.window(start, count)
            assert window.start == start and window.start.dtype == np.int32
            check_window(window, records, rows[start : start + count], 4)
            described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), window)
            assert described == jax.tree.map(lambda like: (like.shape, like.dtype), stream.shapes)


def test_windows_are_never_written_to_again(records):
    rows = rows_of(records, 6)
    with RowStream(records, rows, longest=2) as stream:
        first, *_ = [stream.window(start, 2) for start in (0, 2, 4)]
    check_window(first, records, rows[:2], 2)


def test_a_window_that_follows_is_read_before_it_is_asked_for(records):
    rows = rows_of(records, 40)
    asked = []

    class Watched:
        labels = records.labels

        def __len__(self):
            return len(records)

        def read(self, some):
            asked.append(len(some))
            return records.read(some)

    with RowStream(Watched(), rows, longest=5, threads=1, prefetch=7) as stream:
        assert asked == [1]  # the shape of an image
        stream.window(0, 5)
        wait_until(lambda: len(asked) == 1 + 5 + 7)
        time.sleep(0.05)
        assert len(asked) == 1 + 5 + 7  # and no further
        stream.window(30, 1)
        wait_until(lambda: len(asked) == 13 + 1 + 7)


def test_worker_processes_give_the_same_windows(records):
    rows = rows_of(records, 7)
    with RowStream(records, rows, longest=3, workers=2) as stream:
        for start in (0, 3, 6):
            count = min(3, 7 - start)
            check_window(stream.window(start, count), records, rows[start : start + count], 3)


def test_a_closed_or_forgotten_stream_leaves_no_thread(records):
    stream = RowStream(records, rows_of(records, 20), longest=2)
    stream.window(0, 2)
    assert prefetching()
    stream.close()
    stream.close()
    wait_until(lambda: not prefetching())
    stream.window(2, 2)
    assert prefetching()
    del stream
    gc.collect()
    wait_until(lambda: not prefetching())


def test_an_image_that_cannot_be_read_is_named_and_the_next_try_begins_anew(records):
    rows = rows_of(records, 9)
    broken = [True]

    class Broken:
        labels = records.labels

        def __len__(self):
            return len(records)

        def read(self, some):
            if broken[0] and np.array_equal(some, rows[4].reshape(-1)):
                raise InputError("c1/3.png: unreadable image")
            return records.read(some)

    with RowStream(Broken(), rows, longest=3) as stream:
        stream.window(0, 3)
        with pytest.raises(InputError, match=r"^c1/3.png: unreadable image$"):
            stream.window(3, 3)
        broken[0] = False
        check_window(stream.window(3, 3), records, rows[3:6], 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": np.full((2, 3), 20)}, "rows 20..20 of 20 images"),
        ({"rows": np.full((2, 3), -1)}, "rows -1..-1"),
        ({"rows": np.zeros(3, int)}, r"int64\[3\]: expected int32 \[steps"),
        ({"labels": np.zeros(3, int)}, "3 labels of 20"),
        ({"longest": 0}, r"longest \(=0\)"),
        ({"threads": 0}, r"threads \(=0\)"),
    ],
)
def test_what_cannot_be_streamed_is_named(records, changes, message):
    settings = {"rows": rows_of(records, 2)} | changes
    with pytest.raises(ValueError, match=message):
        RowStream(records, settings.pop("rows"), **settings)


@pytest.mark.parametrize("window", [(0, 0), (0, 3), (4, 2), (-1, 1), (5, 1)])
def test_steps_outside_the_plan_or_too_many_are_refused(records, window):
    with (
        RowStream(records, rows_of(records, 5), longest=2) as stream,
        pytest.raises(ValueError, match="of 5, at most 2 at once"),
    ):
        stream.window(*window)


def test_a_plan_holds_what_the_sampler_draws(records):
    whole = records.whole()
    groups = np.arange(20) % 18  # two groups are in two classes
    store = build_store(whole.images, whole.labels, classes=[3, 0, 2], groups=groups)
    index = build_store(records, records.labels, classes=[3, 0, 2], groups=groups)
    plan = episode_plan(index, 4_000_000_000, 300, meta_batch=2, **SIZES)
    in_memory = jax.jit(partial(sample, **SIZES))
    streamed = jax.jit(partial(streamed_episode, **SIZES))
    assert plan.shape == (300, 2, 9) and plan.dtype == np.int32
    with RowStream(records, plan, longest=2) as stream:
        for step in (0, 1, 255, 256, 299):
            for task in range(2):
                where = np.uint32(4_000_000_000), jnp.int32(step), jnp.int32(task)
                window = stream.window(step, 1)
                same_bits(streamed(window, *where), in_memory(store, *where))
    with pytest.raises(ValueError, match="3 ways of 1 \\+ 3 images, but a task has 9"):
        streamed_episode(window, *where, ways=3, shots=1, queries=3)


def test_streamed_meta_training_equals_that_in_memory_bit_for_bit_and_resumes(records, tmp_path):
    whole = records.whole()
    network = conv_net(3, blocks=1, filters=4, halvings=1)

    class Learner(NamedTuple):
        meta_gradient: object

    def meta_gradient(params, episode, key):
        def loss(params):
            logits = [network.apply(params, stats, part.images, True)[0] for part in episode]
            support, query = map(cross_entropy, logits, [part.labels for part in episode])
            return support + jax.random.uniform(key) * query

        value, gradient = jax.value_and_grad(loss)(params)
        return gradient, {"loss": value}

    learner = Learner(meta_gradient)
    optimizer = optax.sgd(0.1, momentum=0.9)
    params, stats = jax.jit(network.init, static_argnums=1)(jax.random.key(0), (8, 8, 1))

    def trained(draw, data, steps=8, **settings):
        def sample_task(data, seed, step, task):
            return draw(data, seed, step, task, **SIZES)

        step = meta_step(learner, optimizer, sample_task, meta_batch=2)
        state = meta_state(params, optimizer)
        return train(step, state, data, steps=steps, seed=5, progress=False, **settings).state

    expected = trained(sample, build_store(whole.images, whole.labels), window=3)
    plan = episode_plan(build_store(records, records.labels), 5, 8, meta_batch=2, **SIZES)
    checkpoints = Checkpoints(tmp_path)
    with RowStream(records, plan, longest=2) as stream:
        trained(streamed_episode, stream, steps=3, checkpoints=checkpoints)
    with RowStream(records, plan, longest=4) as stream:
        same_bits(trained(streamed_episode, stream, checkpoints=checkpoints), expected)


def test_streamed_supervised_training_equals_that_in_memory_bit_for_bit(records):
    whole = records.whole()
    network = conv_net(3, blocks=1, filters=4, halvings=1)
    optimizer = optax.sgd(0.1, momentum=0.9)
    params, stats = jax.jit(network.init, static_argnums=1)(jax.random.key(0), (8, 8, 1))
    rank = np.array([-1, 0, 1, 2], np.int32)[whole.labels]
    chosen = np.flatnonzero(rank >= 0)

    def trained(data, take=None):
        step = supervised_step(
            network.apply,
            optimizer,
            cross_entropy,
            lambda images: images.astype(jnp.float32) / 255,
            batch_size=4,
            augment=lambda key, images: images + jax.random.normal(key, images.shape),
            take=take,
        )
        state = supervised_state(params, stats, optimizer)
        return train(step, state, data, steps=9, seed=6, progress=False).state

    rows = chosen[batch_plan(6, 9, len(chosen), 4)]
    with RowStream(records, rows, labels=rank, longest=5) as stream:
        same_bits(trained(stream, streamed_batch), trained((whole.images[chosen], rank[chosen])))


def test_the_choice_follows_the_bytes_and_says_so():
    assert choose(10, 4, 1, limit_bytes=160).reason == (
        "10 images of 4x4x1 take 160 bytes, within the 160 bytes allowed: held in memory"
    )
    choice = choose(1_000_000, 84, 3)
    assert choice.stream and choice.reason == (
        "1,000,000 images of 84x84x3 take 19.7 GiB, above the 2 GiB allowed: streamed"
    )
    assert os.linesep not in choice.reason

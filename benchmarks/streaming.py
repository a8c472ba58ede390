"""Measures what streaming gives and what sampling costs.

    python -m benchmarks.streaming

First a source of 100 classes of 60 JPEG files of 64x64 pixels is written, prepared and streamed:
episodes of 175 images (5 ways, 20 support and 15 query images each) a second, by threads and by one
and two worker processes. A rate is the median over stretches of 20 episodes, after a warm-up that
is longer than what is read ahead. Nothing else computes meanwhile, so on a CPU that also trains the
rate is lower.

Then, with those images in memory, the share of a meta-step of MAML that sampling takes (draw,
gather and scale to [-1, 1] of 2 such tasks): the time of the sampling compiled alone over that of
the whole step compiled, medians, for the seven-block network. On two cores the compilation of the
default takes a minute; `--filters` and `--inner_steps` make it smaller, and the share larger.

    python -m benchmarks.streaming --filters=16 --inner_steps=1

Prints one JSON object a line; the lines with a `target` say whether it is met. Not to be run beside
other work: `load` is that of the machine before each measurement.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from PIL import Image

from metabone.datasets.images import Images
from metabone.datasets.source import open_images
from metabone.datasets.streaming import RowStream
from metabone.episodes.sampling import sample
from metabone.episodes.store import build_store
from metabone.episodes.windows import episode_plan
from metabone.learners.maml import maml
from metabone.nets.networks import smi_net
from metabone.training.meta import meta_state, meta_step

SIZES = {"ways": 5, "shots": 20, "queries": 15}
EPISODES_A_SECOND = 20.0
SAMPLING_SHARE = 0.05

_STRETCH = 20
_READ_AHEAD = 10


def report(**line: Any) -> None:
    """Prints one JSON line."""
    print(json.dumps(line), flush=True)


def write_images(folder: Path, classes: int, each: int, size: int = 64) -> None:
    """Writes smooth random colour images as JPEG files, one folder a class.

    Args:
      folder: where to.
      classes: folders.
      each: files in each.
      size: height and width.
    """
    random = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class{label:03}").mkdir(parents=True)
        for number in range(each):
            coarse = random.integers(0, 256, (size // 8, size // 8, 3), np.uint8)
            image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
            image.save(folder / f"class{label:03}" / f"{number:03}.jpg", quality=90)


def streamed_rate(images: Images, stretches: int, **how: int) -> float:
    """Episodes a second that arrive from a stream.

    Args:
      images: the source.
      stretches: of 20 episodes each.
      how: `threads` or `workers` of `RowStream`.

    Returns:
      The median over the stretches.
    """
    store = build_store(images, images.labels)
    steps = _STRETCH * (stretches + 1)
    plan = episode_plan(store, 0, steps, meta_batch=1, **SIZES)
    rates = []
    with RowStream(images, plan, longest=4, prefetch=_READ_AHEAD, **how) as stream:
        for first in range(0, steps, _STRETCH):
            began = time.perf_counter()
            for start in range(first, first + _STRETCH, stream.longest):
                stream.window(start, stream.longest)
            rates.append(_STRETCH / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call, the device waited for, after one that is not counted."""
    jax.block_until_ready(call())
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def sampling_share(
    images: Images, filters: int, inner_steps: int, repeats: int
) -> dict[str, float]:
    """Times the sampling of two tasks alone, and the whole meta-step.

    Args:
      images: the source, read into memory.
      filters: of the network's seven blocks.
      inner_steps: of MAML.
      repeats: calls that are timed.

    Returns:
      `sampling_seconds`, `step_seconds` and `share`.
    """
    whole = images.whole()
    store = jax.device_put(build_store(whole.images, whole.labels))
    draw = partial(sample, **SIZES)
    learner = maml(smi_net(SIZES["ways"], filters=filters), inner_steps=inner_steps)
    optimizer = optax.adam(1e-3)
    shape = whole.images.shape[1:]
    state = meta_state(jax.jit(learner.init, static_argnums=1)(jax.random.key(0), shape), optimizer)
    step = jax.jit(meta_step(learner, optimizer, draw, meta_batch=2))
    tasks = np.arange(2, dtype=np.int32)

    @jax.jit
    def sampling(store, seed, index):
        return jax.lax.map(lambda task: draw(store, seed, index, task), tasks)

    where = store, np.uint32(0), np.int32(0)
    sampled = median_seconds(lambda: sampling(*where), 10 * repeats)
    stepped = median_seconds(lambda: step(state, *where), repeats)
    return {"sampling_seconds": sampled, "step_seconds": stepped, "share": sampled / stepped}


def main() -> None:
    """Runs both measurements."""
    parser = argparse.ArgumentParser(prog="benchmarks.streaming", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--classes", type=int, default=100, help="classes of the source")
    parser.add_argument("--images", type=int, default=60, help="images a class, 35 or more")
    parser.add_argument("--stretches", type=int, default=7, help="of 20 episodes, timed each")
    parser.add_argument("--filters", type=int, default=64, help="of the network; 0: no meta-step")
    parser.add_argument("--inner_steps", type=int, default=5, help="of MAML")
    parser.add_argument("--repeats", type=int, default=5, help="meta-steps timed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files, prepared = Path(folder, "images"), str(Path(folder, "prepared"))
        write_images(files, given.classes, given.images)
        images = open_images(f"folder:{files}", size=64, channels=3, data_dir=prepared)
        best = 0.0
        for how in ({"threads": 1}, {"threads": 2}, {"workers": 1}, {"workers": 2}):
            load = os.getloadavg()[0]
            rate = streamed_rate(images, given.stretches, **how)
            best = max(best, rate)
            report(streamed=how, episodes_per_second=round(rate, 1), load=load)
        met = best >= EPISODES_A_SECOND
        report(target=f">= {EPISODES_A_SECOND:g} episodes/s", best=round(best, 1), met=met)
        if given.filters:
            load = os.getloadavg()[0]
            found = sampling_share(images, given.filters, given.inner_steps, given.repeats)
            report(filters=given.filters, inner_steps=given.inner_steps, load=load, **found)
            met = found["share"] < SAMPLING_SHARE
            report(target=f"< {SAMPLING_SHARE:.0%} sampling", share=found["share"], met=met)


if __name__ == "__main__":
    main()

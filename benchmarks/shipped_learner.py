"""Trains the learner that metabone ships, on simulated images alone, and writes it with its card.

  python -m benchmarks.shipped_learner --out=metabone/workflows

Five to ten minutes on two cores. Half of the tasks are five of 300 classes of bone joints, half
are five of the eleven stages of whole hands, left or right; `--hands=false` leaves those out.
Then it reads whole hands of another seed, which it has not seen, and says how well.
"""

import json
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags
from PIL import Image
from safetensors.numpy import save_file

import metabone
from metabone.datasets import reading
from metabone.datasets.simulated import load_bones
from metabone.episodes.sampling import sample
from metabone.episodes.store import build_store
from metabone.episodes.types import Episode
from metabone.evaluation.tasks import task_accuracies
from metabone.learners.base import MetaLearner
from metabone.radiograph.film_sets import simulate_films
from metabone.radiograph.stages import MERGE_SMI, merge_stages
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step
from metabone.workflows import shipped

_OUT = flags.DEFINE_string("out", "", "Folder for weights and card; by default nothing is written.")
_HANDS = flags.DEFINE_bool("hands", True, "Whole hands among the training images.")
_STEPS = flags.DEFINE_integer("steps", 1500, "Outer steps.")
_FILMS = flags.DEFINE_integer("films", 60, "Whole hands of each stage.")
_SEED = flags.DEFINE_integer("seed", 0, "Of everything that is drawn.")

_TASK = dict(ways=5, shots=5, queries=5)
_TESTED = 40  # films of each stage, of another seed


def hands(seed: int, films: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole hands `[n, size, size, 1]` uint8, their stages, 1 to 11, and whether they are right."""
    stages = np.repeat(np.arange(1, 12), films)
    drawn = simulate_films(seed, stages, keep=range(len(stages))).films
    small = [reading.resize(Image.fromarray(film), shipped.SIZE) for film in drawn]
    right = np.arange(len(stages)) // 2 % 2
    # Sexes take turns, so that a side is of both; a mirrored left hand is a right one.
    images = np.stack(
        [image[:, ::-1] if side else image for image, side in zip(small, right, strict=True)]
    )
    return images, stages, right


def trained_learner(seed: int, steps: int, films: int, whole_hands: bool):
    """Meta-trains it; returns the meta-parameters."""
    learner = shipped.shipped_learner(_TASK["ways"])
    bones = load_bones(size=shipped.SIZE, seed=seed, images_per_class=40)
    stores = [build_store(bones.images, bones.labels)]
    if whole_hands:
        images, stages, right = hands(seed, films)
        stores.append(build_store(images, (2 * (stages - 1) + right).astype(np.int32)))

    def task(data, seed: int, step, number) -> Episode:
        drawn = [sample(store, seed, step, number, **_TASK) for store in data]
        return jax.tree.map(lambda *each: jnp.stack(each)[number % len(each)], *drawn)

    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, steps, 0.05))
    params = jax.jit(learner.init, static_argnums=1)(
        jax.random.key(seed), (shipped.SIZE, shipped.SIZE, 1)
    )
    result = train(
        meta_step(learner, optimizer, task, meta_batch=2, clip=10.0),
        meta_state(params, optimizer),
        jax.device_put(tuple(stores)),
        steps=steps,
        seed=seed,
    )
    return result.state.meta_params


def accuracies_on_hands(params, seed: int) -> dict[str, float]:
    """Shares of whole hands read rightly, by the task."""
    images, stages, right = hands(seed + 1000, _TESTED)
    found = {}
    for name, classes in (
        ("left and right hands", right),
        ("three groups of stages", np.searchsorted([4, 8], stages, side="right")),
        ("five groups of stages", merge_stages(stages, MERGE_SMI)),
    ):
        store = jax.device_put(build_store(images, classes.astype(np.int32)))
        ways = int(classes.max()) + 1
        learner: MetaLearner = shipped.shipped_learner(ways)
        for shots in (5, 15):
            draw = partial(sample, ways=ways, shots=shots, queries=15)
            measured = task_accuracies(learner, draw, 100, seed)(params, store)
            found[f"{name}, {shots} films a class"] = round(float(measured.mean()), 3)
    return found


def main(_: list[str]) -> None:
    """Trains, measures and writes."""
    start = time.monotonic()
    seed, steps, films = _SEED.value, _STEPS.value, _FILMS.value
    params = trained_learner(seed, steps, films, _HANDS.value)
    seconds = time.monotonic() - start
    accuracy = accuracies_on_hands(params, seed)
    print(json.dumps(accuracy, indent=1), f"{seconds:.0f} s")
    if not _OUT.value:
        return
    source = "simulated:bones" + (" and whole hands" if _HANDS.value else "")
    about = {
        "learner": "R2-D2",
        "source": source,
        "kind": "simulated",
        "norm": "inductive",
        "ways": "any",
        "steps": steps,
        "seed": seed,
        "metabone": metabone.__version__,
        "accuracy_on_simulated_hands": accuracy,
    }
    out = Path(_OUT.value)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = {shipped.leaf_name(path): np.asarray(leaf) for path, leaf in leaves}
    save_file(named, out / shipped.WEIGHTS)
    (out / shipped.CARD).write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    app.run(main)

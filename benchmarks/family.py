"""What each learner's meta-step costs, as multiples of plain MAML's: seconds and memory.

    python -m benchmarks.family --json=family.json

Images of 28x28 of noise, 5 ways, 5 shots, 5 queries, 4 tasks, 5 inner steps, MAML's own network of
32 strided filters, float32, on the CPU. All learners are compiled in one process and take turns;
memory is what the compiled program asks for beyond its arguments and results, as XLA reports it.
MAML++ is timed twice: in the first and in the last part of its schedule.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from metabone.episodes.sampling import sample
from metabone.episodes.store import build_store
from metabone.training.meta import meta_state, meta_step
from metabone.workflows.family import entry_of
from metabone.workflows.family_settings import FITTED, LEARNERS, FamilySettings

CONFIG = FamilySettings(
    shots=5,
    meta_queries=5,
    filters=32,
    meta_batch=4,
    inner_steps=5,
    meta_steps=100,
    first_order_until=0.5,
)


def prepared(name: str, store: Any) -> tuple[Any, Any]:
    """A learner's compiled step and its first state."""
    entry = entry_of(name, CONFIG)
    params = jax.jit(entry.asked["inductive"].init, static_argnums=1)(
        jax.random.key(0), store.images.shape[1:]
    )
    state = meta_state(params, entry.optimizer)
    task = partial(sample, ways=CONFIG.ways, shots=CONFIG.shots, queries=CONFIG.meta_queries)
    step = meta_step(
        entry.trained, entry.optimizer, task, meta_batch=CONFIG.meta_batch, clip=entry.clip
    )
    return jax.jit(step).lower(state, store, np.uint32(0), np.int32(0)).compile(), state


def measure(rounds: int) -> list[dict[str, Any]]:
    """Times all learners in turns.

    Args:
      rounds: timed steps of each.

    Returns:
      One row a learner, `maml` first: `learner`, `seconds`, `mib`, and both over MAML's.
    """
    images = np.random.default_rng(0).integers(0, 256, (400, 28, 28, 1), np.uint8)
    store = jax.device_put(build_store(images, np.arange(400) // 20))
    programs = {name: prepared(name, store) for name in LEARNERS if name not in FITTED}
    turns = {name: (*each, 0) for name, each in programs.items()}
    turns["maml_plus_plus, last part"] = (*programs["maml_plus_plus"], CONFIG.meta_steps - 1)
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for round_ in range(rounds + 1):
        for name, (program, state, index) in turns.items():
            began = time.perf_counter()
            jax.block_until_ready(program(state, store, np.uint32(0), np.int32(index)))
            if round_:  # the first is warm-up
                seconds[name].append(time.perf_counter() - began)
    rows = []
    for name, (program, _, _) in turns.items():
        mib = program.memory_analysis().temp_size_in_bytes / 2**20
        rows.append({"learner": name, "seconds": statistics.median(seconds[name]), "mib": mib})
    for row in rows:
        row["times_seconds"] = row["seconds"] / rows[0]["seconds"]
        row["times_memory"] = row["mib"] / rows[0]["mib"]
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="timed steps of each [7]")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds={options.rounds}: expected at least 1")
    jax.config.update("jax_platforms", "cpu")
    rows = measure(options.rounds)
    print(f"{'learner':26} {'ms':>8} {'of maml':>8} {'MiB':>8} {'of maml':>8}")
    for row in rows:
        print(
            f"{row['learner']:26} {1e3 * row['seconds']:8.1f} {row['times_seconds']:8.2f} "
            f"{row['mib']:8.1f} {row['times_memory']:8.2f}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Few-shot learners under one protocol: the same classes, the same tasks, one table.

Splits a source's classes, trains each learner on most of them, and tests all on the same tasks of
classes never seen, so that learners are ranked by paired differences. Published figures stand
beside ours with what differs. Without flags it does so on simulated images in minutes, which shows
that it works and nothing about the learners.

  python -m experiments.benchmark
  python -m experiments.benchmark --preset=cpu --source=omniglot:FILE.npz
  python -m experiments.benchmark --preset=maml_omniglot_5w1s --source=omniglot:FILE.npz \
      --learners=maml,protonet
"""

import contextlib
import dataclasses
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmark_classes import Classes, load_classes
from experiments.benchmark_learners import (
    Entry,
    entry_of,
    network_of,
    takes_inner_steps,
    test_steps_of,
)
from experiments.benchmark_presets import PRESETS
from experiments.benchmark_settings import BenchmarkSettings, check
from experiments.learning import cosine_adam, store_of
from experiments.meta_training import check_mapping, make_devices, meta_train
from experiments.runs import carry_out, define_run_flags
from experiments.settings import define_flags, launch, resolve
from metabone.datasets.images import ImageSet
from metabone.datasets.source import parse_source
from metabone.episodes.sampling import sample, scale
from metabone.episodes.store import ImageStore
from metabone.evaluation.metrics import paired_difference
from metabone.evaluation.tasks import measure_tasks, task_accuracies, task_measure, task_rows
from metabone.learners.base import cross_entropy
from metabone.learners.transfer import TrainedParams
from metabone.report.published import few_shot
from metabone.training.loop import train
from metabone.training.progress import ProgressLine
from metabone.training.run import Run
from metabone.training.supervised import supervised_state, supervised_step

NORMS = ("inductive", "transductive")
_PAPER_TASKS = 600

define_flags(BenchmarkSettings, PRESETS, default="demo")
define_run_flags()


def main() -> None:
    """Runs the comparison that the flags describe."""
    config = resolve(BenchmarkSettings, PRESETS)
    check(config)
    check_mapping(config.mapping, config.meta_batch)
    make_devices(config.mapping, config.meta_batch)
    entries = {name: entry_of(name, config) for name in config.learners}
    parse_source(config.source)
    classes = load_classes(config)
    stores = {
        "train": store(classes.train, **train_sizes(config)),
        "validation": store(classes.validation, **test_sizes(config, config.meta_queries)),
        "test": store(classes.test, **test_sizes(config, max(config.queries, config.meta_queries))),
    }
    # With the split: the file of `--split` may have changed since a run was begun.
    data = dataclasses.asdict(classes.train.provenance) | {"role": "meta", "split": classes.split}
    carry_out("benchmark", config, lambda run: fill(config, run, classes, stores, entries), [data])


def train_sizes(config: BenchmarkSettings) -> dict[str, int]:
    """Classes of a task, and images a class, while meta-training."""
    return dict(
        ways=config.meta_ways or config.ways,
        shots=config.meta_shots or config.shots,
        queries=config.meta_queries,
    )


def test_sizes(config: BenchmarkSettings, queries: int) -> dict[str, int]:
    """Classes of a task, and images a class, in validations and tests."""
    return dict(ways=config.ways, shots=config.shots, queries=queries)


def store(images: ImageSet, **sizes: int) -> ImageStore:
    """A store of which every task of such sizes can be drawn."""
    return store_of(images.images, images.labels, images.class_names, **sizes)


def fill(
    config: BenchmarkSettings,
    run: Run,
    classes: Classes,
    stores: dict[str, ImageStore],
    entries: dict[str, Entry],
) -> None:
    """Trains and tests what the run does not hold yet."""
    run.results.set(
        seed=config.seed,
        ways=config.ways,
        meta_classes={part: list(getattr(classes, part).class_names) for part in stores},
    )
    found: dict[str, np.ndarray] = {}
    for name, entry in entries.items():
        kept = run.path / "accuracies" / f"{name}.npy"
        if not kept.exists():
            measure_learner(config, run, classes, stores, name, entry)
        found[name] = np.load(kept, allow_pickle=False)
    run.results.set(ranking=ranking_of(found))
    run.results.finish()


def measure_learner(
    config: BenchmarkSettings,
    run: Run,
    classes: Classes,
    stores: dict[str, ImageStore],
    name: str,
    entry: Entry,
) -> None:
    """Trains one learner, tests it under each protocol, and writes its rows."""
    if entry.trained is None:
        params, seconds = pretrained(config, run, classes.train)
    else:
        params, seconds = meta_trained(config, run, stores, name, entry)
    test = jax.device_put(stores["test"])
    labels = {
        "learning": name,
        "shots": config.shots,
        "ways": config.ways,
        "seed": config.seed,
        "split": classes.split,
        "train_seconds": round(seconds, 1),
        "meta_norm": config.norm,
    }
    rows, ranked = tested(config, entry, params, test, labels)
    sweep = [*run.results.get("sweep", []), *swept(config, params, test, labels)]
    kept = run.path / "accuracies" / f"{name}.npy"
    kept.parent.mkdir(exist_ok=True)
    if run.results.find(learning=name) is None:
        run.results.append(*rows)
        run.results.set(sweep=sweep)
    part = kept.with_suffix(".part.npy")
    np.save(part, ranked)
    part.replace(kept)


def tested(
    config: BenchmarkSettings, entry: Entry, params: Any, test: ImageStore, labels: dict[str, Any]
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Rows of each protocol, and the `[tasks]` accuracies by which learners are ranked.

    Those are of the first norm mode of our protocol, or of the paper's if it alone is asked for.
    """
    name = labels["learning"]
    published = few_shot(config.source, name, config.ways, config.shots)
    rows, accuracies_by = [], {}
    for protocol in config.protocol:
        ours = protocol == "ours"
        norms = NORMS if ours else NORMS[1:]
        queries = config.queries if ours else config.meta_queries
        accuracies = accuracies_of(
            config,
            entry,
            params,
            test,
            norms,
            queries=queries,
            tasks=config.tasks if ours else _PAPER_TASKS,
            title=f"{name}, {protocol}",
        )
        accuracies_by[protocol] = accuracies[:, 0]
        more = {
            "model": f"{config.ways} ways" + ("" if ours else ", paper's protocol"),
            "queries": queries,
            "test_steps": test_steps_of(name, config),
            "paper": published and published.accuracy,
            "paper_conditions": published and published.conditions,
        }
        rows += task_rows(accuracies, norms, **labels, **more)
    return rows, accuracies_by["ours" if "ours" in accuracies_by else "paper"]


def swept(
    config: BenchmarkSettings, params: Any, test: ImageStore, labels: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows after other numbers of inner steps, where the learner takes them and they are asked."""
    name = labels["learning"]
    if config.sweep == (0,) or not takes_inner_steps(name):
        return []
    rows = []
    for steps in config.sweep:
        accuracies = accuracies_of(
            config,
            entry_of(name, config, steps),
            params,
            test,
            NORMS[:1],
            queries=config.queries,
            tasks=config.tasks,
            title=f"{name}, {steps} steps",
        )
        rows += task_rows(accuracies, NORMS[:1], **labels, test_steps=steps)
    return rows


def meta_trained(
    config: BenchmarkSettings, run: Run, stores: dict[str, ImageStore], name: str, entry: Entry
) -> tuple[Any, float]:
    """Meta-trains a learner; its best meta-parameters by validation, and the seconds it took."""
    asked = entry.asked["inductive"]

    held_out = jax.device_put(stores["validation"])
    accuracies = task_accuracies(
        asked,
        partial(sample, **test_sizes(config, config.meta_queries)),
        config.validation_tasks,
        config.seed,
    )
    shape = stores["train"].images.shape[1:]
    trained = meta_train(
        run,
        name,
        entry.trained,
        entry.optimizer,
        partial(sample, **train_sizes(config)),
        jax.jit(asked.init, static_argnums=1)(jax.random.key(config.seed), shape),
        jax.device_put(stores["train"]),
        lambda params: float(accuracies(params, held_out).mean()),
        meta_batch=config.meta_batch,
        clip=entry.clip,
        mapping=config.mapping,
        steps=config.meta_steps,
        seed=config.seed,
        validate_every=config.validate_every,
    )
    return trained.best_state.meta_params, trained.seconds


def pretrained(config: BenchmarkSettings, run: Run, images: ImageSet) -> tuple[Any, float]:
    """Trains the network to tell all training classes apart, for a head on its features."""
    network = network_of(config, len(images.class_names))
    optimizer = cosine_adam(config.meta_rate, config.pretrain_steps, 0.0)
    step = supervised_step(
        network.apply, optimizer, cross_entropy, scale, batch_size=config.pretrain_batch
    )
    shape = images.images.shape[1:]
    params, stats = network.init(jax.random.key(config.seed), shape)
    trained = train(
        step,
        supervised_state(params, stats, optimizer),
        (images.images, images.labels),
        steps=config.pretrain_steps,
        seed=config.seed,
        checkpoints=run.checkpoints("pretrain"),
        metrics=run.metrics,
        phase="pretrain",
    )
    state = trained.state
    body = {name: leaf for name, leaf in state.params.items() if name != "head"}
    return TrainedParams(body, state.norm_stats), trained.seconds


def accuracies_of(
    config: BenchmarkSettings,
    entry: Entry,
    params: Any,
    test: ImageStore,
    norms: tuple[str, ...],
    *,
    queries: int,
    tasks: int,
    title: str,
) -> np.ndarray:
    """`[tasks, norms]` accuracies on the test tasks, which are the same for every learner."""
    learner = entry.asked[norms[0]]
    measure = task_measure(
        lambda options: learner,
        [entry.asked[norm].predict for norm in norms],
        partial(sample, **test_sizes(config, queries)),
    )
    with contextlib.closing(ProgressLine(title, 0, tasks)) as line:
        return measure_tasks(
            measure,
            {},
            params,
            test,
            seed=config.seed,
            tasks=tasks,
            done=lambda _: line.advance(1, {}),
        )


def ranking_of(found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Learners from the best mean down, each with its paired difference to the best."""
    order = sorted(found, key=lambda name: -found[name].mean())
    best = found[order[0]]
    ranking = [{"learning": order[0], "mean": float(best.mean()), "n": len(best)}]
    for name in order[1:]:
        behind = paired_difference(found[name], best)
        ranking.append(
            {
                "learning": name,
                "mean": float(found[name].mean()),
                "n": len(best),
                "to_best": behind.mean,
                "ci95": behind.ci95,
            }
        )
    return ranking


if __name__ == "__main__":
    launch(main)

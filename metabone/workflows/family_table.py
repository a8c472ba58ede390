"""The learners of the family under one training and protocol: the table of the comparison."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from metabone.episodes.store import ImageStore
from metabone.evaluation.tasks import TaskFigures, task_rows
from metabone.learners.transfer import TrainedParams
from metabone.report.published import few_shot
from metabone.training.run import Run
from metabone.workflows.backbones import pretrain, without_head
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.comparison import figures_of, ranking_of
from metabone.workflows.family import (
    Entry,
    entry_of,
    network_of,
    takes_inner_steps,
    test_steps_of,
)
from metabone.workflows.family_settings import FamilySettings
from metabone.workflows.meta_training import Outer, TaskSizes, meta_train_on, store_of
from metabone.workflows.networks import cosine_adam
from metabone.workflows.settings import NORMS
from metabone.workflows.task_table import keep_accuracies

_PAPER_TASKS = 600


class Protocol(NamedTuple):
    """How the learners of the family are compared.

    Attributes:
      source: of the images, which decides what published figures stand beside ours.
      tasks: of unseen classes, the same for every learner.
      queries: query images a class in them.
      protocols: `ours` and/or `paper` (600 tasks, transductive, as many queries as in training).
      inner_steps: other numbers of inner steps to test MAML and its variants after.
    """

    source: str
    tasks: int
    queries: int
    protocols: tuple[str, ...]
    inner_steps: tuple[int, ...]


class FamilyTable:
    """The comparison of the family's learners under one training, as a run keeps it.

    Args:
      config: of all learners.
      protocol: how they are compared.
      classes: images in memory, of disjoint classes.

    Raises:
      InputError: a learner that cannot be, or a class with too few images.
    """

    def __init__(self, config: FamilySettings, protocol: Protocol, classes: ClassParts):
        self._config, self._protocol, self._classes = config, protocol, classes
        self._training = TaskSizes(
            config.meta_ways or config.ways, config.meta_shots or config.shots, config.meta_queries
        )
        most = max(protocol.queries, config.meta_queries)
        self._stores = {
            "train": store_of(classes.train, self._training),
            "validation": store_of(classes.validation, self._tested(config.meta_queries)),
            "test": store_of(classes.test, self._tested(most)),
        }

    def fill(self, run: Run, learners: Sequence[str]) -> None:
        """Trains and tests what a run does not hold yet."""
        found: dict[str, np.ndarray] = {}
        for name in learners:
            kept = run.path / "accuracies" / f"{name}.npy"
            if not kept.exists():
                self._measure(run, name)
            found[name] = np.load(kept, allow_pickle=False)
        run.results.set(ranking=ranking_of(found))

    def _tested(self, queries: int) -> TaskSizes:
        return TaskSizes(self._config.ways, self._config.shots, queries)

    def _measure(self, run: Run, name: str) -> None:
        config, entry = self._config, entry_of(name, self._config)
        train = self._pretrain if entry.trained is None else self._meta_train
        params, seconds = train(run, name, entry)
        test = jax.device_put(self._stores["test"])
        labels = {
            "learning": name,
            "shots": config.shots,
            "ways": config.ways,
            "seed": config.seed,
            "split": self._classes.split,
            "train_seconds": round(seconds, 1),
            "meta_norm": config.norm,
        }
        rows, ranked = self._test(entry, params, test, labels)
        sweep = [*run.results.get("sweep", []), *self._after_other_steps(params, test, labels)]
        if run.results.find(learning=name) is None:
            run.results.append(*rows)
            run.results.set(sweep=sweep)
        keep_accuracies(run, {"learning": name}, ranked)

    def _test(
        self, entry: Entry, params: Any, test: ImageStore, labels: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], np.ndarray]:
        """Rows of each protocol, and the `[tasks]` accuracies by which learners are ranked.

        Those are of the first norm mode of our protocol, or of the paper's if it alone is asked.
        """
        config, name = self._config, labels["learning"]
        published = few_shot(self._protocol.source, name, config.ways, config.shots)
        rows, by_protocol = [], {}
        for protocol in self._protocol.protocols:
            ours = protocol == "ours"
            norms = NORMS if ours else NORMS[1:]
            queries = self._protocol.queries if ours else config.meta_queries
            tasks = self._protocol.tasks if ours else _PAPER_TASKS
            figures = self._figures(
                entry, params, test, norms, queries, tasks, f"{name}, {protocol}"
            )
            by_protocol[protocol] = figures.accuracies[:, 0]
            more = {
                "model": f"{config.ways} ways" + ("" if ours else ", paper's protocol"),
                "queries": queries,
                "test_steps": test_steps_of(name, config),
                "paper": published and published.accuracy,
                "paper_conditions": published and published.conditions,
            }
            rows += task_rows(figures, norms, **labels, **more)
        return rows, by_protocol["ours" if "ours" in by_protocol else "paper"]

    def _after_other_steps(
        self, params: Any, test: ImageStore, labels: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Rows after other numbers of inner steps, of a learner that takes them, if asked for."""
        name, protocol, rows = labels["learning"], self._protocol, []
        if protocol.inner_steps == (0,) or not takes_inner_steps(name):
            return rows
        for steps in protocol.inner_steps:
            entry, title = entry_of(name, self._config, steps), f"{name}, {steps} steps"
            figures = self._figures(
                entry, params, test, NORMS[:1], protocol.queries, protocol.tasks, title
            )
            rows += task_rows(figures, NORMS[:1], **labels, test_steps=steps)
        return rows

    def _figures(
        self,
        entry: Entry,
        params: Any,
        test: ImageStore,
        norms: Sequence[str],
        queries: int,
        tasks: int,
        title: str,
    ) -> TaskFigures:
        predictions = [entry.asked[norm].predict for norm in norms]
        sizes = self._tested(queries)
        learner, seed = entry.asked[norms[0]], self._config.seed
        return figures_of(learner, predictions, params, test, sizes, tasks, seed, title)

    def _meta_train(self, run: Run, name: str, entry: Entry) -> tuple[Any, float]:
        """Its best meta-parameters by validation, and the seconds it took."""
        config = self._config
        trained = meta_train_on(
            entry.trained,
            self._stores,
            self._training,
            Outer(
                entry.optimizer,
                config.meta_steps,
                config.meta_batch,
                entry.clip,
                config.mapping,
                config.validate_every,
                config.validation_tasks,
                config.seed,
            ),
            validated=entry.asked["inductive"],
            validation_sizes=self._tested(config.meta_queries),
            run=run,
            phase=name,
        )
        return trained.best_state.meta_params, trained.seconds

    def _pretrain(self, run: Run, name: str, entry: Entry) -> tuple[Any, float]:
        """The network trained to tell all training classes apart, for a head on its features."""
        del name, entry
        config, images = self._config, self._classes.train
        trained = pretrain(
            network_of(config, len(images.class_names)),
            images,
            steps=config.pretrain_steps,
            optimizer=cosine_adam(config.meta_rate, config.pretrain_steps, 0.0),
            batch=config.pretrain_batch,
            seed=config.seed,
            run=run,
        )
        state = trained.state
        return TrainedParams(without_head(state.params), state.norm_stats), trained.seconds

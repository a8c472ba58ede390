"""The learners of the family under one training and protocol: the table of the comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from metabone.episodes.store import ImageStore
from metabone.evaluation.tasks import TaskFigures, task_rows
from metabone.training.run import Run, training_folder
from metabone.workflows.backbones import pretrain, without_head
from metabone.workflows.class_parts import ClassParts
from metabone.workflows.comparison import figures_of, ranking_of
from metabone.workflows.family import (
    Entry,
    entry_of,
    fitted_params,
    network_of,
    takes_inner_steps,
    test_steps_of,
)
from metabone.workflows.family_protocols import (
    Asked,
    Protocol,
    asked_at_once,
    asked_of,
    most_queries,
    published,
)
from metabone.workflows.family_settings import FamilySettings
from metabone.workflows.meta_training import Outer, TaskSizes, meta_train_on, store_of
from metabone.workflows.networks import cosine_adam
from metabone.workflows.seeds import seeds_of, trainings_of
from metabone.workflows.settings import NORMS
from metabone.workflows.task_table import keep_accuracies

_PAPER_ROW = ", paper's protocol"


class FamilyTable:
    """The comparison of the family's learners under one training, as a run keeps it.

    Args:
      config: of all learners.
      protocol: how they are compared.
      classes: images in memory, of disjoint classes; or their features, see `family_features`.

    Raises:
      InputError: a learner that cannot be, or a class with too few images.
    """

    def __init__(self, config: FamilySettings, protocol: Protocol, classes: ClassParts):
        self._config, self._protocol, self._classes = config, protocol, classes
        self._training = TaskSizes(
            config.meta_ways or config.ways, config.meta_shots or config.shots, config.meta_queries
        )
        most = most_queries(protocol, config)
        self._stores = {
            "train": store_of(classes.train, self._training),
            "validation": store_of(classes.validation, self._tested(config.meta_queries)),
            "test": store_of(classes.test, self._tested(most)),
        }

    def fill(self, run: Run) -> None:
        """Trains and tests what a run does not hold yet."""
        for name in self._protocol.learners:
            if run.results.find(learning=name) is None:
                self._measure(run, name)
        rows = [run.results.find(learning=name) for name in self._protocol.learners]
        folders = [training_folder(run.path, index) for index in range(self._config.trainings)]
        found = {
            row["learning"]: np.stack(
                [np.load(each / f"accuracies/{row['learning']}.npy") for each in folders]
            )
            for row in rows
        }
        run.results.set(ranking=ranking_of(found))

    def _tested(self, queries: int) -> TaskSizes:
        return TaskSizes(self._config.ways, self._config.shots, queries)

    def _measure(self, run: Run, name: str) -> None:
        config, entry = self._config, entry_of(name, self._config)
        test = jax.device_put(self._stores["test"])
        by_protocol: dict[str, list[TaskFigures]] = {}
        protocols = asked_of(name, entry, self._protocol, config)
        took, sweep = [], []
        labels = {
            "learning": name,
            "shots": config.shots,
            "ways": config.ways,
            "seed": seeds_of(config).draw,
            "split": self._classes.split,
            "meta_norm": config.norm,
        }
        for index, own in enumerate(trainings_of(config)):
            train = self._meta_train
            if entry.trained is None:
                train = self._as_it_is if config.backbone else self._pretrain
            params, seconds = train(run.training(index), name, entry, own)
            took.append(seconds)
            for protocol, asked in protocols.items():
                figures = self._test(entry, params, test, asked, f"{name}, {protocol}")
                by_protocol.setdefault(protocol, []).append(figures)
            if index == 0:
                sweep = self._after_other_steps(params, test, labels)
            # Ranked by the first norm mode of our protocol, or of the paper's if it alone is asked.
            ranked = by_protocol["ours" if "ours" in by_protocol else "paper"][-1]
            keep_accuracies(run.training(index), {"learning": name}, ranked.accuracies[:, 0])
        labels["train_seconds"] = round(float(np.mean(took)), 1)
        rows = self._rows(protocols, by_protocol, labels)
        others = [entry for entry in run.results.get("sweep", []) if entry["learning"] != name]
        run.results.set(sweep=[*others, *sweep])
        run.results.append(*rows)

    def _test(
        self, entry: Entry, params: Any, test: ImageStore, asked: Asked, title: str
    ) -> TaskFigures:
        parts = [
            self._figures(entry, params, test, rules, asked.queries, asked.tasks, title)
            for rules in asked_at_once(asked.rules)
        ]
        return TaskFigures(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True)))

    def _rows(
        self,
        protocols: Mapping[str, Asked],
        by_protocol: Mapping[str, Sequence[TaskFigures]],
        labels: dict[str, Any],
    ) -> list[dict[str, Any]]:
        config, name = self._config, labels["learning"]
        rows, line = [], published(name, self._protocol.source, config)
        on = f" on frozen {config.backbone}" if config.backbone else ""
        for protocol, trainings in by_protocol.items():
            asked = protocols[protocol]
            more = {
                "model": f"{config.ways} ways{on}" + ("" if protocol == "ours" else _PAPER_ROW),
                "queries": asked.queries,
                "test_steps": test_steps_of(name, config),
                **(line.fields() if line is not None else {}),
            }
            rows += task_rows(trainings, asked.rules, **labels, **more)
        return rows

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
            rows += task_rows([figures], NORMS[:1], **labels, test_steps=steps)
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
        learner, seed = entry.asked[norms[0]], seeds_of(self._config).draw
        return figures_of(learner, predictions, params, test, sizes, tasks, seed, title)

    def _meta_train(
        self, run: Run, name: str, entry: Entry, config: FamilySettings
    ) -> tuple[Any, float]:
        """Its best meta-parameters by validation, and the seconds it took."""
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
                seeds_of(config).train,
            ),
            validated=entry.asked["inductive"],
            validation_sizes=self._tested(config.meta_queries),
            run=run,
            phase=name,
        )
        return trained.best_state.meta_params, trained.seconds

    def _as_it_is(
        self, run: Run, name: str, entry: Entry, config: FamilySettings
    ) -> tuple[Any, float]:
        """A head on features that are there."""
        del run, name, config
        learner = next(iter(entry.asked.values()))
        return learner.init(jax.random.key(0), self._classes.train.images.shape[1:]), 0.0

    def _pretrain(
        self, run: Run, name: str, entry: Entry, config: FamilySettings
    ) -> tuple[Any, float]:
        """The network trained to tell all training classes apart, for a head on its features."""
        del entry
        images = self._classes.train
        trained = pretrain(
            network_of(config, len(images.class_names)),
            images,
            steps=config.pretrain_steps,
            optimizer=cosine_adam(config.meta_rate, config.pretrain_steps, 0.0),
            batch=config.pretrain_batch,
            seed=seeds_of(config).train,
            run=run,
        )
        state = trained.state
        body = without_head(state.params)
        return fitted_params(name, body, state.norm_stats), trained.seconds

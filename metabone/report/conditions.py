"""What can be told of how the authors of a learner trained and tested it.

A place is `owner/repository@commit file:lines`, or a table or section of the paper. Rates, losses
and clipping are in the authors' own units.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

TRANSDUCTIVE = "transductive"
RUNNING = "running"
WITH_SUPPORT = "query with support"

CITED = "RL-VIG/LibFewShot@a14796c reproduce/README.md, which cites it"
"""Where figures were read whose papers were not at hand."""


class Figure(NamedTuple):
    """An accuracy that was published.

    Attributes:
      accuracy: a share.
      place: where it was read.
      confirmed: whether that is the paper itself or its authors' repository, not a citation.
    """

    accuracy: float
    place: str
    confirmed: bool = True


class Conditions(NamedTuple):
    """What the authors of a learner did in one setting.

    Attributes:
      source: kind of the images.
      learning: name of the learner.
      ways, shots: classes and support images a class, in tests.
      version: `code` as their repository does it, `paper` where their paper says otherwise.
      figure: what they report; None where none was found.
      inner_steps, inner_rate: while meta-training; None for learners without.
      test_steps: inner steps in tests, of the same rate.
      train_ways, train_shots: of a task while meta-training; 0 as in tests.
      train_queries: query images a class of such a task; 0 where all images are support.
      test_queries: query images a class in tests.
      meta_batch, meta_steps: tasks an outer step, and outer steps; None until validation stops.
      meta_rate: of the outer optimiser, Adam but for Reptile.
      schedule: of that rate: constant, cosine, halving (every 2,000 steps) or linear (to nothing).
      rate_end: share of the rate that a cosine ends at.
      clip: bound of each element of the meta-gradient, if there is one.
      summed: losses are summed over images and divided by shots, not averaged.
      norm: of queries in tests: by `TRANSDUCTIVE` statistics of the queries, `WITH_SUPPORT` of the
        support and the one query, `RUNNING` of training.
      tasks: of a test.
      places: where all this was read; empty where nothing was found.
      differs: what ours does otherwise.
      more: what only this learner has, by name.
    """

    source: str
    learning: str
    ways: int = 5
    shots: int = 1
    version: str = "code"
    figure: Figure | None = None
    inner_steps: int | None = None
    inner_rate: float | None = None
    test_steps: int | None = None
    train_ways: int = 0
    train_shots: int = 0
    train_queries: int = 15
    test_queries: int = 15
    meta_batch: int = 4
    meta_steps: int | None = 60_000
    meta_rate: float = 1e-3
    schedule: str = "constant"
    rate_end: float = 1.0
    clip: float | None = None
    summed: bool = False
    norm: str = TRANSDUCTIVE
    tasks: int = 600
    places: tuple[str, ...] = ()
    differs: str = ""
    more: Mapping[str, Any] = MappingProxyType({})

    def told(self) -> str:
        """How its figure was measured, where that and the figure were read, what is uncertain."""
        queries = "1 query" if self.test_queries == 1 else f"{self.test_queries} queries"
        parts = [f"{self.norm} batch norm, {queries} a class, {self.tasks:,} tasks"]
        parts += [f"unlike ours {self.differs}"] if self.differs else []
        where = f"read in {', '.join(self.places)}" if self.places else "conditions unconfirmed"
        parts.append(where)
        if self.figure is not None:
            said = "figure in" if self.figure.confirmed else "figure unconfirmed, in"
            parts.append(f"{said} {self.figure.place}")
        return "; ".join(parts)

    def fields(self) -> dict[str, Any]:
        """What a row of `result.json` says of it, see `row_tables.conditions_note`."""
        fields: dict[str, Any] = {"paper_conditions": self.told(), "paper_places": self.places}
        if self.figure is not None:
            fields |= {"paper": self.figure.accuracy, "paper_place": self.figure.place}
            fields |= {} if self.figure.confirmed else {"paper_unconfirmed": True}
        return fields


def figures_in(place: str, *accuracies: float, confirmed: bool = True) -> list[Figure]:
    """Figures that were read in one place."""
    return [Figure(accuracy, place, confirmed) for accuracy in accuracies]


def five_way(base: Conditions, figures: list[Figure], **five: Any) -> list[Conditions]:
    """The two settings of mini-ImageNet.

    Args:
      base: of 1 shot.
      figures: of 1 and of 5 shots.
      **five: what 5 shots have otherwise.
    """
    one, many = figures
    return [base._replace(figure=one), base._replace(shots=5, figure=many, **five)]

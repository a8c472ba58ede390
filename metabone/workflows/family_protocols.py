"""How the learners of the family are asked: by our protocol, and by that of each one's authors."""

from collections.abc import Sequence
from typing import NamedTuple

from metabone.report.conditions import Conditions
from metabone.report.few_shot_papers import conditions_of
from metabone.workflows.family import Entry
from metabone.workflows.family_settings import RULES, FamilySettings
from metabone.workflows.settings import NORMS


class Protocol(NamedTuple):
    """How the learners of the family are compared.

    Attributes:
      source: of the images, which decides what published figures stand beside ours.
      tasks: of unseen classes, the same for every learner.
      queries: query images a class in them.
      protocols: `ours` and/or `paper`, which is that of its authors for each learner that has
        published on such images, see `report.few_shot_papers`.
      inner_steps: other numbers of inner steps to test MAML and its variants after.
      learners: which are compared.
    """

    source: str
    tasks: int
    queries: int
    protocols: tuple[str, ...]
    inner_steps: tuple[int, ...]
    learners: tuple[str, ...]


class Asked(NamedTuple):
    """What a protocol asks of a learner.

    Attributes:
      rules: of batch norm, the headline's first, see `family.Entry`.
      queries: query images a class.
      tasks: how many.
    """

    rules: Sequence[str]
    queries: int
    tasks: int


def published(name: str, source: str, config: FamilySettings) -> Conditions | None:
    """What a learner's authors did in a setting like this one, if they did."""
    if config.backbone:  # Nobody's network had seen ImageNet.
        return None
    return conditions_of(source, name, config.ways, config.shots)


def asked_of(
    name: str, entry: Entry, protocol: Protocol, config: FamilySettings
) -> dict[str, Asked]:
    """What each protocol asks of a learner; its paper's only where there is one.

    Args:
      name: of the learner.
      entry: its entry.
      protocol: of the comparison.
      config: of all learners.

    Returns:
      By `ours` and/or `paper`, in the order of the protocol's.
    """
    rules = [rule for rule in RULES if rule in entry.asked]
    found = {"ours": Asked(rules, protocol.queries, protocol.tasks)}
    line = published(name, protocol.source, config)
    if line is not None:
        found["paper"] = Asked([line.norm], line.test_queries, line.tasks)
    return {each: found[each] for each in protocol.protocols if each in found}


def asked_at_once(rules: Sequence[str]) -> list[list[str]]:
    """Rules in groups that answer from the same adaptation, in their order.

    Example:
      >>> asked_at_once(["inductive", "transductive", "running"])
      [['inductive', 'transductive'], ['running']]
    """
    together = [rule for rule in rules if rule in NORMS]
    return [group for group in (together, *([r] for r in rules if r not in NORMS)) if group]


def most_queries(protocol: Protocol, config: FamilySettings) -> int:
    """The most query images a class that any test takes."""
    lines = [published(name, protocol.source, config) for name in protocol.learners]
    theirs = [line.test_queries for line in lines if line and "paper" in protocol.protocols]
    return max(protocol.queries, *theirs) if theirs else protocol.queries

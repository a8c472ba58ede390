"""How the papers' authors train and test their learners: one line a setting, with its places."""

from metabone.report.conditions import Conditions
from metabone.report.embedding_papers import PROTO_LINES, R2D2_LINES
from metabone.report.inner_step_papers import (
    BOIL_LINES,
    IMAML_LINES,
    MAML_LINES,
    PLUS_LINES,
    REPTILE_LINES,
)

LINES = (
    *MAML_LINES,
    *PLUS_LINES,
    *REPTILE_LINES,
    *PROTO_LINES,
    *R2D2_LINES,
    *BOIL_LINES,
    *IMAML_LINES,
)


def conditions_of(
    source: str, learning: str, ways: int, shots: int, version: str = "code"
) -> Conditions | None:
    """What a learner's authors did on a source's kind of images, if it is known.

    Example:
      >>> conditions_of("omniglot:FILE.npz", "maml", 5, 1).test_queries
      1
      >>> conditions_of("simulated:bones", "maml", 5, 1) is None
      True
    """
    asked = (source.partition(":")[0], learning, ways, shots, version)
    return next((line for line in LINES if line[:5] == asked), None)

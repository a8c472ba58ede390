"""A published backbone, frozen, and a probe on its features: what most would use instead."""

from pathlib import Path

from metabone.errors import InputError
from metabone.learners.base import MetaLearner
from metabone.learners.ordinal_probe import ordinal_probe
from metabone.learners.probe import ProbeParams, probe
from metabone.learners.transfer import TrainedParams
from metabone.nets.published_backbones import BACKBONES, load_backbone
from metabone.workflows.learned_runs import features_of
from metabone.workflows.trained import Trained


def is_backbone(learner: str) -> bool:
    """Whether a learner is named as `NAME:FILE`, a published backbone and its weights."""
    return learner.partition(":")[0] in BACKBONES


def backbone_learner(learner: str, *, ordered: bool = False, crops: int = 1) -> Trained:
    """The probe on a published backbone's features, or the ordinal probe where classes are stages.

    Args:
      learner: `NAME:FILE`, see `nets.published_backbones.load_backbone`.
      ordered: whether classes are stages.
      crops: of an image, whose features are averaged; see `nets.crops`.

    Returns:
      It, of images of three channels; grey ones are repeated.

    Raises:
      InputError: no file, or one of another network.
    """
    name, _, file = learner.partition(":")
    if not file:
        raise InputError(f"backbone {name}: expected {name}:FILE with its published weights")
    found = load_backbone(name, file, crops=crops)

    def learner_for(ways: int) -> MetaLearner:
        if ordered:
            return ordinal_probe(found.network, ways)
        return probe(found.network, ways, norm="running")

    seen = name if crops == 1 else f"{name}, the mean of {crops} crops,"
    about = {
        "learner": f"{seen} and {'an ordinal probe' if ordered else 'a probe'}",
        "source": f"published weights, {Path(file).name}, sha256 {found.sha256[:12]}",
        "kind": "real",
        "ways": "any",
    }
    weights = found.params, found.norm_stats
    # Nobody publishes how its features spread.
    params = TrainedParams(*weights) if ordered else ProbeParams(*weights, None)
    shape = (found.size, found.size, 3)
    return Trained(learner_for, params, shape, found.prepare, features_of(found.network), about)

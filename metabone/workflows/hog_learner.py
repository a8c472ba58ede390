"""Histograms of oriented gradients with a head: what learns from films without any training."""

import jax

from metabone.episodes.sampling import scale
from metabone.learners.base import MetaLearner
from metabone.learners.ordinal_probe import ordinal_probe
from metabone.learners.probe import probe
from metabone.nets.heads import with_head
from metabone.nets.hog import hog_net
from metabone.radiograph.sex import SEX_WEIGHT
from metabone.workflows.learned_runs import features_of
from metabone.workflows.trained import Trained

HOG = "hog"
"""What it is called where a learner is named."""

SIZE = 64

REGION_BLUR = 3.5
"""Pixels of 64, of the gradients of a hand's region: a film of half the resolution reads alike.

Chosen among 0, 2.5, 3.5 and 5 on real films (docs/own-films.md); 5 loses accuracy.
"""


def hog_learner(*, ordered: bool = False, sex: bool = False, blur: float = 0.0) -> Trained:
    """The baseline that nobody likes: features of Dalal and Triggs (2005), which nobody trained.

    Args:
      ordered: whether classes are stages: an ordinal probe instead of a probe. Either is as good as
        a head fitted by a search, or better, on real films and photographs (docs/methods.md).
      sex: whether a row of pixels below the image tells it, see `sex.with_sex_row`.
      blur: of the gradients, see `hog_net`; `REGION_BLUR` for regions of hands.

    Returns:
      It, without meta-parameters.
    """
    network = with_head(hog_net(blur=blur), 0, beside=SEX_WEIGHT if sex else None)
    shape = (SIZE + sex, SIZE, 1)

    def learner_for(ways: int) -> MetaLearner:
        if ordered:
            return ordinal_probe(network, ways, beside=int(sex))
        return probe(network, ways)

    params = learner_for(2).init(jax.random.key(0), shape)
    head = "an ordinal probe" if ordered else "a probe"
    about = {
        "learner": f"HOG and {head}{' that is told sex' if sex else ''}",
        "source": "no training",
        "kind": "none",
        "ways": "any",
    }
    return Trained(learner_for, params, shape, scale, features_of(network), about)

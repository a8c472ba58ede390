"""Functional meta-learning in JAX for small medical image sets: the index of the library.

`import metabone as mb` costs nothing: each name is imported when it is first asked for.
"""

from typing import TYPE_CHECKING

from metabone.lazy import lazy_names

__version__ = "0.1.0"

_MODULES = {
    # Images, and the tasks that are drawn from them.
    "datasets.source": ("load_images", "load_films"),
    "episodes.types": ("Examples", "Episode"),
    "episodes.store": ("build_store",),
    "episodes.sampling": ("sample",),
    # Networks: ours, or any as a pair of functions.
    "nets.networks": ("conv_net", "smi_net", "vgg16"),
    "nets.network": ("Network", "network"),
    # Ways to learn from one task, and across tasks.
    "learners.base": ("MetaLearner",),
    "learners.maml": ("maml",),
    "learners.variants": ("anil", "boil", "first_order_maml", "meta_sgd"),
    "learners.maml_plus_plus": ("maml_plus_plus",),
    "learners.imaml": ("imaml",),
    "learners.reptile": ("reptile",),
    "learners.embedding": ("protonet", "r2d2"),
    "learners.logistic": ("logistic_head",),
    "learners.probe": ("probe",),
    "learners.ordinal_probe": ("ordinal_probe",),
    "learners.transfer": ("fine_tune", "scratch"),
    # From a learner to a trained one, and from a few images of one's own to predictions.
    "workflows.meta_training": ("meta_train",),
    "workflows.learned_runs": ("load_learner",),
    "training.checkpoints": ("load_checkpoint",),
    "workflows.hand_preparation": ("prepare_hands",),
    "workflows.adaptation": ("adapt",),
    "workflows.model": ("Model",),
    "workflows.saved_model": ("load",),
    # What a user got wrong.
    "errors": ("InputError",),
}

if TYPE_CHECKING:
    from metabone.datasets.source import load_films as load_films
    from metabone.datasets.source import load_images as load_images
    from metabone.episodes.sampling import sample as sample
    from metabone.episodes.store import build_store as build_store
    from metabone.episodes.types import Episode as Episode
    from metabone.episodes.types import Examples as Examples
    from metabone.errors import InputError as InputError
    from metabone.learners.base import MetaLearner as MetaLearner
    from metabone.learners.embedding import protonet as protonet
    from metabone.learners.embedding import r2d2 as r2d2
    from metabone.learners.imaml import imaml as imaml
    from metabone.learners.logistic import logistic_head as logistic_head
    from metabone.learners.maml import maml as maml
    from metabone.learners.maml_plus_plus import maml_plus_plus as maml_plus_plus
    from metabone.learners.ordinal_probe import ordinal_probe as ordinal_probe
    from metabone.learners.probe import probe as probe
    from metabone.learners.reptile import reptile as reptile
    from metabone.learners.transfer import fine_tune as fine_tune
    from metabone.learners.transfer import scratch as scratch
    from metabone.learners.variants import anil as anil
    from metabone.learners.variants import boil as boil
    from metabone.learners.variants import first_order_maml as first_order_maml
    from metabone.learners.variants import meta_sgd as meta_sgd
    from metabone.nets.network import Network as Network
    from metabone.nets.network import network as network
    from metabone.nets.networks import conv_net as conv_net
    from metabone.nets.networks import smi_net as smi_net
    from metabone.nets.networks import vgg16 as vgg16
    from metabone.training.checkpoints import load_checkpoint as load_checkpoint
    from metabone.workflows.adaptation import adapt as adapt
    from metabone.workflows.hand_preparation import prepare_hands as prepare_hands
    from metabone.workflows.learned_runs import load_learner as load_learner
    from metabone.workflows.meta_training import meta_train as meta_train
    from metabone.workflows.model import Model as Model
    from metabone.workflows.saved_model import load as load
else:
    # Unseen by type checkers, for which every name would be there.
    __getattr__, __dir__ = lazy_names(
        __name__,
        {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names},
    )

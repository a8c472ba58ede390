"""The published variants of MAML that differ from it in what adapts, and by what."""

from typing import Any

from metabone.learners import roles
from metabone.learners.base import MetaLearner
from metabone.learners.maml import maml
from metabone.nets.network import Network


def first_order_maml(network: Network, **options: Any) -> MetaLearner:
    """MAML whose meta-gradient is the query gradient at the adapted weights (Finn et al. 2017).

    Args:
      network: see `maml`, as all options.
      **options: of `maml`, but for `order`.
    """
    return maml(network, order=1, **options)


def anil(network: Network, **options: Any) -> MetaLearner:
    """ANIL (Raghu et al. 2020): the inner loop adapts the head alone, on features seen once.

    Args:
      network: with a head, see `nets.network.Network`.
      **options: of `maml`, but for `roles`.
    """
    return maml(network, roles=roles.head_adapts, **options)


def boil(network: Network, **options: Any) -> MetaLearner:
    """BOIL (Oh et al. 2021): the inner loop adapts the body alone, under a head that stays.

    Args:
      network: with a head, see `nets.network.Network`.
      **options: of `maml`, but for `roles`.
    """
    return maml(network, roles=roles.body_adapts, **options)


def meta_sgd(network: Network, **options: Any) -> MetaLearner:
    """Meta-SGD (Li et al. 2017): one inner rate for each parameter is learned as well.

    Args:
      network: see `maml`, as all options.
      **options: of `maml`, but for `learn_rates`; the paper takes one inner step and draws the
        first rates between 0.005 and 0.1, where all start at `inner_rate` here.
    """
    return maml(network, learn_rates=True, **options)

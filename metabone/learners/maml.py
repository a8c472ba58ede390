"""Model-agnostic meta-learning (Finn et al. 2017), the learner of Min and Kang (2018)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners import roles as roles_lib
from metabone.learners.base import (
    Adapted,
    Loss,
    MetaLearner,
    Metrics,
    Norm,
    all_but_stats,
    check_norm,
    check_order,
    cross_entropy,
    guarded,
    look_at_support,
    predictor,
    query_logits,
    query_metrics,
)
from metabone.learners.inner_loop import descend
from metabone.learners.refusals import positive, whole
from metabone.nets.network import Network, NormStats, Params


class MamlParams(NamedTuple):
    """What MAML learns across tasks.

    Attributes:
      weights: the initialisation theta.
      norm_stats: batch statistics as a template (a network that normalises by stored statistics
        finds them here); their gradient is zero.
      rates: a list with one array like each adapting leaf of `weights` if inner rates are learned,
        else empty.
    """

    weights: Params
    norm_stats: NormStats
    rates: list[jax.Array]


def maml(
    network: Network,
    *,
    inner_rate: float = 0.05,
    inner_steps: int = 5,
    test_steps: int = 10,
    order: int = 2,
    norm: Norm = "inductive",
    roles: roles_lib.Roles = roles_lib.everything,
    learn_rates: bool = False,
    optimizer: optax.GradientTransformation | None = None,
    remat: bool = False,
    loss: Loss = cross_entropy,
) -> MetaLearner:
    """Learns an initialisation from which a few gradient steps solve a new task.

    theta' = theta - inner_rate * grad loss(support; theta), `inner_steps` times, and the
    meta-gradient is that of loss(query; theta') in theta (Min and Kang 2018, eq. 1 to 3). What they
    describe as the meta-learner's one update followed by the learner's several on the same images
    is inner steps 1..K.

    Args:
      network: see `nets.network.Network`.
      inner_rate: of the loss averaged over examples; 0.05 is the published 0.01 on summed losses
        at 5 ways, its Omniglot 0.4 is 2.0 here.
      inner_steps: while meta-training.
      test_steps: in `adapt`.
      order: 2, or 1 for the first-order approximation.
      norm: batch statistics of queries, see `base.query_logits`; support images always use their
        own.
      roles: which parameters adapt and which are meta-learned, see `roles.assign`; by default all.
        Of the published code it is `roles.norms_stay`, on a network of `conv_net` with
        `norm_scale=False` (github.com/cbfinn/maml: the variables of `normalize` in `utils.py` are
        not among the weights that `maml.py` adapts).
      learn_rates: also learns one inner rate a parameter (Meta-SGD, Li et al. 2017), from
        `inner_rate`.
      optimizer: takes the inner steps instead of `inner_rate`, its state anew for each task. Adam
        needs `eps_root` (1e-8) to be differentiated.
      remat: see `inner_loop.descend`.
      loss: `(outputs, labels) -> scalar`, a mean over examples.

    Returns:
      The learner; its `meta_params` are `MamlParams`, what `adapt` returns is `Adapted`.

    Raises:
      InputError: a negative number of steps, a rate that is not positive, an unknown order or norm,
        learned rates with an optimiser; in use, an optimiser that cannot be differentiated.
    """
    inner_steps = whole("inner_steps", inner_steps, 0)
    test_steps = whole("test_steps", test_steps, 0)
    inner_rate, order = positive("inner_rate", inner_rate), check_order(order)
    if learn_rates and optimizer is not None:
        raise InputError("learn_rates goes without an inner optimiser")
    check_norm(norm)

    def adapts(weights: Params) -> list[bool]:
        return [role in ("both", "inner") for role in roles_lib.assign(roles, weights)]

    def learned(weights: Params) -> list[bool]:
        return [role in ("both", "outer") for role in roles_lib.assign(roles, weights)]

    def init(key: jax.Array, image_shape: tuple[int, ...]) -> MamlParams:
        weights, norm_stats = network.init(key, image_shape)
        start = roles_lib.take(weights, adapts(weights)) if learn_rates else []
        return MamlParams(weights, norm_stats, [jnp.full_like(leaf, inner_rate) for leaf in start])

    def adapt_by(meta_params: MamlParams, support: Examples, steps: int) -> Adapted:
        weights, norm_stats, rates = meta_params
        mask = adapts(weights)
        head_alone = roles_lib.only_head_adapts(roles, weights)
        seen = look_at_support(network, weights, norm_stats, support.images, head_alone=head_alone)

        def support_loss(leaves: list[jax.Array]) -> jax.Array:
            return loss(seen.outputs(roles_lib.put(weights, mask, leaves)), support.labels)

        leaves = descend(
            support_loss,
            roles_lib.take(weights, mask),
            optimizer or (rates if learn_rates else inner_rate),
            steps,
            first_order=order == 1,
            remat=remat,
        )
        adapted = roles_lib.put(weights, mask, leaves)
        return Adapted(adapted, seen.stats(adapted))

    def meta_gradient(
        meta_params: MamlParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[MamlParams, Metrics]:
        del key, step  # nothing is drawn or scheduled
        mask = learned(meta_params.weights)

        def query_loss(leaves: list[jax.Array], rates: list[jax.Array]) -> tuple[jax.Array, Any]:
            weights = roles_lib.put(meta_params.weights, mask, leaves)
            start = MamlParams(weights, meta_params.norm_stats, rates)
            adapted = adapt_by(start, episode.support, inner_steps)
            outputs = query_logits(network, adapted, episode.query.images, norm)
            value = loss(outputs, episode.query.labels)
            return value, query_metrics(value, outputs, episode.query.labels)

        (by_leaf, by_rate), metrics = jax.grad(query_loss, argnums=(0, 1), has_aux=True)(
            roles_lib.take(meta_params.weights, mask), meta_params.rates
        )
        zeros = jax.tree.map(jnp.zeros_like, meta_params)
        weights = roles_lib.put(zeros.weights, mask, by_leaf)
        return MamlParams(weights, zeros.norm_stats, by_rate), metrics

    def adapt(meta_params: MamlParams, support: Examples, key: jax.Array) -> Adapted:
        del key
        return adapt_by(meta_params, support, test_steps)

    def learned_part(meta_params: MamlParams) -> MamlParams:
        structure = jax.tree.structure(meta_params.weights)
        weights = jax.tree.unflatten(structure, learned(meta_params.weights))
        return all_but_stats(meta_params)._replace(weights=weights)

    predict = predictor(network, norm)
    return guarded(MetaLearner(init, meta_gradient, adapt, predict, learned_part))

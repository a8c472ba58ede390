"""What a meta-learner is, and the pieces that every learner shares."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

import jax
import jax.numpy as jnp
import optax

from metabone.episodes.types import Episode, Examples
from metabone.errors import InputError
from metabone.learners.refusals import among, examples_of, images_of, whole
from metabone.nets.device_axes import vary_together
from metabone.nets.network import Network, NormStats, Params

MetaParams = Any
Metrics = dict[str, jax.Array]
Loss = Callable[[jax.Array, jax.Array], jax.Array]
Norm = Literal["inductive", "transductive", "running"]


class Init(Protocol):
    """`init(key, image_shape)` to meta-parameters: where meta-learning begins."""

    def __call__(self, key: jax.Array, image_shape: tuple[int, ...]) -> MetaParams:
        """Draws the meta-parameters.

        Args:
          key: a typed key.
          image_shape: `[H, W, C]` of one image, or the shape of its stored features.

        Returns:
          Any pytree of arrays.
        """
        ...


class MetaGradient(Protocol):
    """`meta_gradient(meta_params, episode, key, step=0)` to a gradient and metrics.

    A function of one's own may leave `step` away: `meta_step` gives it to those that take it.
    """

    def __call__(
        self,
        meta_params: MetaParams,
        episode: Episode,
        key: jax.Array,
        *,
        step: int | jax.Array = 0,
    ) -> tuple[MetaParams, Metrics]:
        """What one task asks of the meta-parameters.

        Args:
          meta_params: as from `init`.
          episode: one task.
          key: what is drawn on the task is drawn from it.
          step: of the outer loop, from 0, an int32 scalar that may be traced; what follows a
            schedule follows it.

        Returns:
          What the outer optimiser descends, like `meta_params` (zero where nothing is learned; of
          what is `carried.Carried` its value after this task), and scalars by name.
        """
        ...


class Adapt(Protocol):
    """`adapt(meta_params, support, key)` to whatever `predict` takes."""

    def __call__(self, meta_params: MetaParams, support: Examples, key: jax.Array) -> Any:
        """Learns a task from its labelled images.

        Args:
          meta_params: as from `init`.
          support: images `[n, H, W, C]` float and their labels `[n]`.
          key: what is drawn is drawn from it.

        Returns:
          Any pytree of arrays.
        """
        ...


class Predict(Protocol):
    """`predict(adapted, images)` to logits."""

    def __call__(self, adapted: Any, images: jax.Array) -> jax.Array:
        """Answers for images of an adapted task.

        Args:
          adapted: as from `adapt`.
          images: `[n, H, W, C]` float.

        Returns:
          `[n, ways]` logits, or what the learner's loss takes.
        """
        ...


class Learned(Protocol):
    """`learned(meta_params)` to what of them is learned across tasks."""

    def __call__(self, meta_params: MetaParams) -> Any:
        """Says what an outer optimiser may move, weight decay included.

        Args:
          meta_params: as from `init`; only the structure counts.

        Returns:
          A tree of `bool` like `meta_params`.
        """
        ...


class MetaLearner(NamedTuple):
    """A way to learn from tasks, as pure functions of one task; callers map over tasks.

    Attributes:
      init: see `Init`.
      meta_gradient: see `MetaGradient`; None for a baseline, which learns nothing across tasks.
      adapt: see `Adapt`.
      predict: see `Predict`.
      learned: see `Learned`; None where all is.
    """

    init: Init
    meta_gradient: MetaGradient | None
    adapt: Adapt
    predict: Predict
    learned: Learned | None = None


def guarded(learner: MetaLearner) -> MetaLearner:
    """A learner that refuses what it would be silently wrong on, and is right in `jax.shard_map`.

    Images that are not scaled and labels that are too few are refused by their types. What differs
    from device to device inside `shard_map` meets no parameters that do not, so that gradients are
    those of each device's own task, see `nets.device_axes`.

    Args:
      learner: any.

    Returns:
      The same learner to all that it can use.
    """
    of_task = learner.meta_gradient

    def meta_gradient(
        meta_params: MetaParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[MetaParams, Metrics]:
        episode = Episode(*map(examples_of, episode))
        return of_task(*vary_together((meta_params, episode, key), step), step=step)

    def adapt(meta_params: MetaParams, support: Examples, key: jax.Array) -> Any:
        support = examples_of(support)
        return learner.adapt(*vary_together((meta_params, support, key)))

    def predict(adapted: Any, images: jax.Array) -> jax.Array:
        images = images_of(images)
        return learner.predict(*vary_together((adapted, images)))

    gradient = None if of_task is None else meta_gradient
    return learner._replace(meta_gradient=gradient, adapt=adapt, predict=predict)


def all_but_stats(meta_params: Any) -> Any:
    """The `learned` of learners that learn all but batch statistics.

    Args:
      meta_params: a named tuple with a field `norm_stats`, perhaps `running`.

    Returns:
      A tree of `bool` like it.
    """
    fields = meta_params._asdict()
    return type(meta_params)(
        *(
            jax.tree.map(lambda _, own=name not in ("norm_stats", "running"): own, part)
            for name, part in fields.items()
        )
    )


class Adapted(NamedTuple):
    """A network that has seen a support set.

    Attributes:
      weights: the network's parameters.
      norm_stats: batch statistics of the whole support set under these weights.
    """

    weights: Params
    norm_stats: NormStats


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Softmax cross-entropy, the mean over examples (Min and Kang 2018, eq. 2).

    MAML's published code sums over classes' examples instead: its inner rate of 0.01 at 5 ways and
    1 shot is 0.05 here.

    Args:
      logits: `[n, ways]` float.
      labels: `[n]` int.

    Returns:
      Scalar, in nats; NaN, as its gradient, where a traced label is none of the classes.

    Raises:
      InputError: labels that are one-hot, of another number, not integers or beyond the classes.
    """
    logits = among(logits, labels)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def query_metrics(loss: jax.Array, logits: jax.Array, labels: jax.Array) -> Metrics:
    """The loss, and the accuracy where labels are classes."""
    metrics = {"loss": loss}
    if jnp.issubdtype(labels.dtype, jnp.integer):
        metrics["accuracy"] = (logits.argmax(-1) == labels).mean(dtype=logits.dtype)
    return metrics


def check_norm(norm: str, *, kept: bool = False) -> None:
    """Raises `InputError` for a norm mode that does not exist, or needs statistics to be kept.

    Args:
      norm: as given.
      kept: whether the learner keeps running statistics.
    """
    modes = get_args(Norm) if kept else get_args(Norm)[:2]
    if norm not in modes:
        raise InputError(f"norm {norm!r}: expected one of {', '.join(modes)}")


def check_order(order: Any) -> int:
    """The order of a meta-gradient as a Python number; raises `InputError` if it is not 1 or 2."""
    if whole("order", order, 1) > 2:
        raise InputError(f"order (={order}): expected 1 or 2")
    return int(order)


def distinct_norms(meta_params: MetaParams, norms: Sequence[Norm]) -> tuple[Norm, ...]:
    """Those of some norm modes that are not one function, so that each is worth a row.

    Args:
      meta_params: of a learner.
      norms: modes that it is asked in.

    Returns:
      All of them; the first alone where no batch statistics are stored, as there is no batch
      normalisation.
    """
    stats = getattr(meta_params, "norm_stats", None)
    none = stats is not None and not jax.tree.leaves(stats)
    return tuple(norms)[:1] if none else tuple(norms)


class Support(NamedTuple):
    """What an inner loop asks of the support images.

    Attributes:
      outputs: `weights -> [n, ways]`, normalised by the support's own statistics.
      stats: `weights -> norm_stats` of the whole support set; `{}` without batch norm.
    """

    outputs: Callable[[Params], jax.Array]
    stats: Callable[[Params], NormStats]


def look_at_support(
    network: Network, start: Params, norm_stats: NormStats, images: jax.Array, *, head_alone: bool
) -> Support:
    """Prepares the support images for an inner loop.

    Args:
      network: see `nets.network.Network`.
      start: weights before the first inner step.
      norm_stats: template of the batch statistics.
      images: `[n, H, W, C]`.
      head_alone: whether no other weights adapt. The body's features and statistics are then those
        of `start` at every step, and are computed once where the network can be cut.

    Returns:
      A `Support`, differentiable in `start` and in the weights it is asked with.
    """
    if head_alone and network.body is not None and network.head is not None:
        head = network.head
        features, stats = network.body(start, norm_stats, images, True)
        return Support(lambda weights: head(weights, features), lambda _: stats)

    def stats_of(weights: Params) -> NormStats:
        if not jax.tree.leaves(norm_stats):
            return norm_stats
        return network.apply(weights, norm_stats, images, True)[1]

    return Support(lambda weights: network.apply(weights, norm_stats, images, True)[0], stats_of)


def query_logits(network: Network, adapted: Adapted, images: jax.Array, norm: Norm) -> jax.Array:
    """Logits of a query set under either norm mode, differentiable.

    Args:
      network: as adapted.
      adapted: weights and the support's statistics.
      images: `[n, H, W, C]`.
      norm: `transductive` normalises by the statistics of `images`, so that each query sees the
        others, as the published MAML does; all else by those of `adapted`, which are the support
        set's (`inductive`) or were kept in training (`running`).

    Returns:
      `[n, ways]`.
    """
    return network.apply(*adapted, images, norm == "transductive")[0]


def predictor(network: Network, norm: Norm) -> Callable[[Adapted, jax.Array], jax.Array]:
    """Makes the `predict` of a learner whose `adapt` returns `Adapted`; see `prediction`."""
    check_norm(norm)
    return prediction(lambda adapted, images: query_logits(network, adapted, images, norm), norm)


def prediction(
    logits: Callable[[Any, jax.Array], jax.Array], norm: Norm
) -> Callable[[Any, jax.Array], jax.Array]:
    """Makes a learner's `predict`.

    Any but transductive prediction computes image by image: a matrix product over a batch may round
    differently with the batch's size, and one film's answer must be the same to the bit whichever
    other films are asked with it.

    Args:
      logits: `(adapted, images [n, H, W, C]) -> [n, ways]` under this norm mode.
      norm: see `query_logits`.

    Returns:
      `predict(adapted, images [n, H, W, C]) -> logits [n, ways]`.
    """
    check_norm(norm, kept=True)

    def predict(adapted: Any, images: jax.Array) -> jax.Array:
        if norm == "transductive":
            return logits(adapted, images)
        return jax.lax.map(lambda image: logits(adapted, image[None])[0], images)

    return predict


def query_gradient(
    adapt: Adapt, logits: Callable[[Any, jax.Array], jax.Array], loss: Loss
) -> MetaGradient:
    """Makes a learner's `meta_gradient`: that of the query loss, through all that `adapt` does.

    Args:
      adapt: `(meta_params, support, key) -> adapted`, differentiable.
      logits: `(adapted, images [n, H, W, C]) -> [n, ways]`, all images at once.
      loss: `(logits, labels) -> scalar`, a mean over examples.

    Returns:
      The function; nothing of it follows the outer step.
    """

    def query_loss(
        meta_params: MetaParams, episode: Episode, key: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        outputs = logits(adapt(meta_params, episode.support, key), episode.query.images)
        value = loss(outputs, episode.query.labels)
        return value, query_metrics(value, outputs, episode.query.labels)

    def meta_gradient(
        meta_params: MetaParams, episode: Episode, key: jax.Array, *, step: int | jax.Array = 0
    ) -> tuple[MetaParams, Metrics]:
        del step
        given = vary_together((meta_params, episode, key))
        return jax.grad(query_loss, has_aux=True)(*given)

    return meta_gradient

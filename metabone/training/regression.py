"""One step of training a network to tell age, all of it or some of its blocks."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from metabone.episodes.sampling import scale as scaled_greys
from metabone.episodes.streams import TrainingStream, stream_key
from metabone.errors import InputError
from metabone.nets.network import Network
from metabone.nets.trainable_blocks import merge_params, split_params
from metabone.training.age_scale import AgeScale
from metabone.training.meta import clip_gradient
from metabone.training.randomness import base_key
from metabone.training.supervised import SupervisedState, epoch_batch

Loss = Literal["mae", "mse"]


class AgeData(NamedTuple):
    """What a network learns age from, on the device.

    Attributes:
      images: `[N, ...]` uint8, with the row of sex.
      months: `[N]` float32.
      chances: `[N]` float32, how many of them are drawn at or before each, between 0 and 1; None
        where each epoch has each film once. See `equal_chances`.
    """

    images: jax.Array
    months: jax.Array
    chances: jax.Array | None = None


def equal_chances(months: np.ndarray, bands: int = 12, top: float = 240.0) -> np.ndarray:
    """Chances under which a film of each band of ages is drawn as often as one of any other.

    Args:
      months: `[N]` ages.
      bands: of equal width from 0 to `top`; those without a film are not drawn.
      top: months at which the last but open band ends.

    Returns:
      `[N]` float32, ascending to 1, for `AgeData`.
    """
    band = np.clip((np.asarray(months) * bands / top).astype(int), 0, bands)
    weight = 1.0 / np.bincount(band, minlength=bands + 1)[band]
    return np.minimum(np.cumsum(weight / weight.sum()), 1.0).astype(np.float32)


def age_step(
    network: Network,
    optimizer: optax.GradientTransformation,
    scale: AgeScale,
    mask: Any,
    *,
    batch_size: int,
    loss: Loss = "mae",
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    norm_momentum: float = 0.95,
    clip: float = 1.0,
) -> Callable[
    [SupervisedState, AgeData, jax.Array, jax.Array], tuple[SupervisedState, dict[str, jax.Array]]
]:
    """Builds the step that trains a network to tell age.

    Frozen parameters stay to the bit and no gradient is computed of them. Statistics of all
    normalisation layers are those of the minibatch, and are smoothed, frozen or not: they are
    of the films at hand, not of those that the frozen weights were trained on.

    Args:
      network: outputs `[n, 1]`.
      optimizer: of the trainable parameters; one that asks for the loss as `value` is given it.
      scale: what outputs are measured in.
      mask: like the parameters, True where they are trained.
      batch_size: films a step.
      loss: `mae`, the mean absolute error, or `mse`, the mean squared error, of outputs.
      augment: `(key, scaled images) -> images`; None for none.
      norm_momentum: what smoothed statistics keep of themselves at each step.
      clip: largest global norm of the gradient.

    Returns:
      A step for `train` with metrics `loss`, `mae` (months, of this minibatch) and
      `gradient_norm`; its state is a `SupervisedState` whose `opt_state` is of the trainable part.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def step(state, data, seed, index):
        rows = _rows(data, seed, index, batch_size)
        images, months = scaled_greys(data.images[rows]), data.months[rows]
        if augment is not None:
            key = stream_key(base_key(seed), TrainingStream.AUGMENTATION)
            images = augment(jax.random.fold_in(key, index), images)
        trainable, frozen = split_params(state.params, mask)

        def objective(trainable):
            params = merge_params(trainable, frozen)
            outputs, stats = network.apply(params, state.norm_stats, images, True)
            error = outputs[..., 0] - scale.standardised(months)
            value = jnp.abs(error).mean() if loss == "mae" else jnp.square(error).mean()
            return value, (scale.deviation * jnp.abs(error).mean(), stats)

        (value, (mae, stats)), gradient = jax.value_and_grad(objective, has_aux=True)(trainable)
        metrics = {"loss": value, "mae": mae, "gradient_norm": optax.tree.norm(gradient)}
        updates, opt_state = optimizer.update(
            clip_gradient(gradient, clip), state.opt_state, trainable, value=value
        )
        norm_stats = jax.tree.map(
            lambda kept, seen: norm_momentum * kept + (1.0 - norm_momentum) * seen,
            state.norm_stats,
            stats,
        )
        params = merge_params(optax.apply_updates(trainable, updates), frozen)
        return SupervisedState(params, norm_stats, opt_state), metrics

    return step


def _rows(data: AgeData, seed: jax.Array, index: jax.Array, size: int) -> jax.Array:
    if data.chances is None:
        return epoch_batch(seed, index, data.months.shape[0], size)
    key = jax.random.fold_in(stream_key(base_key(seed), TrainingStream.ORDER), index)
    found = jnp.searchsorted(data.chances, jax.random.uniform(key, (size,)), side="right")
    return jnp.minimum(found, data.months.shape[0] - 1)


def read_months(
    network: Network, scale: AgeScale, *, batch: int = 128
) -> Callable[[Any, Any, Any], np.ndarray]:
    """Builds what reads the age on films, each by itself: `(params, norm_stats, images) -> [N]`.

    Args:
      network: outputs `[n, 1]`.
      scale: what outputs are measured in.
      batch: films at a time; the last are padded, so that one program serves all.

    Returns:
      A function to months `[N]` float32 on the host, of uint8 images with the row of sex.

    Raises:
      InputError: in use, images that are not uint8.
    """

    @jax.jit
    def some(params, norm_stats, images):
        outputs, _ = network.apply(params, norm_stats, scaled_greys(images), False)
        return scale.months(outputs)

    def read(params, norm_stats, images):
        if images.dtype != np.uint8:
            raise InputError(f"images are {images.dtype}: expected uint8")
        found = []
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            room = ((0, batch - len(part)), *((0, 0),) * (part.ndim - 1))
            found.append(np.asarray(some(params, norm_stats, np.pad(part, room)))[: len(part)])
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    return read

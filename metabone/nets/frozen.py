"""A frozen backbone: as a part of a network, and as features computed once."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from metabone.nets.network import Network, NormStats, Params


def on_frozen(backbone: Network, head: Network) -> Network:
    """A head on a backbone that is never trained and normalises by its own stored statistics.

    Args:
      backbone: maps images to features.
      head: maps features to outputs.

    Returns:
      A network with parameters `{"backbone": {"params", "norm_stats"}, "head": ...}`; pair it with
      `learners.roles.head_only`. An inner loop computes the backbone anew at every step: where
      tasks share images, `features` once and the head alone are far cheaper, and give the same.
    """

    def init(key, image_shape):
        body_key, head_key = jax.random.split(key)
        params, norm_stats = backbone.init(body_key, image_shape)
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
        shape = jax.eval_shape(
            lambda x: backbone.apply(params, norm_stats, x, False)[0], images
        ).shape[1:]
        head_params, head_stats = head.init(head_key, shape)
        body = {"params": params, "norm_stats": norm_stats}
        return {"backbone": body, "head": head_params}, head_stats

    def apply(params, norm_stats, images, use_batch_stats):
        body = jax.lax.stop_gradient(params["backbone"])
        hidden = backbone.apply(body["params"], body["norm_stats"], images, False)[0]
        return head.apply(params["head"], norm_stats, hidden, use_batch_stats)

    return Network(init, apply)


def feature_program(
    backbone: Network, prepare: Callable[[jax.Array], jax.Array]
) -> Callable[[Params, NormStats, jax.Array], jax.Array]:
    """Compiles a frozen backbone, for `features`.

    Args:
      backbone: maps images to features.
      prepare: uint8 to float32, on the device.

    Returns:
      `(params, norm_stats, images [n, H, W, C] uint8) -> features [n, ...]`.
    """
    return jax.jit(lambda params, stats, x: backbone.apply(params, stats, prepare(x), False)[0])


def features(
    program: Callable[[Params, NormStats, jax.Array], jax.Array],
    params: Params,
    norm_stats: NormStats,
    images: np.ndarray,
    batch: int = 256,
) -> np.ndarray:
    """Computes a frozen backbone's features of many images, once.

    Args:
      program: from `feature_program`.
      params: the backbone's parameters.
      norm_stats: its stored statistics.
      images: `[N, H, W, C]` uint8 on the host.
      batch: images at a time; the last batch is padded, so that one program serves all.

    Returns:
      `[N, ...]` float32 on the host.
    """
    parts = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        padded = np.pad(part, ((0, batch - len(part)), *((0, 0),) * (images.ndim - 1)))
        parts.append(np.asarray(program(params, norm_stats, padded))[: len(part)])
    return np.concatenate(parts)

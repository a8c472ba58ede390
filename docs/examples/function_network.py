"""A network that is a plain function."""

import jax
import jax.numpy as jnp

from metabone.nets.network import network as as_network


def init(key, image_shape):
    """Parameters and, for a network without batch norm, no statistics."""
    height, width, channels = image_shape
    pixels = height * width * channels
    keys = jax.random.split(key)
    return {
        "body": jax.random.normal(keys[0], (pixels, 32)) * (2 / pixels) ** 0.5,
        "head": jax.random.normal(keys[1], (32, 5)) * 0.01,
    }, {}


def apply(params, norm_stats, images, use_batch_stats):
    """`[n, H, W, C]` to logits `[n, 5]`, and the statistics that there are not."""
    hidden = jax.nn.relu(images.reshape(len(images), -1) @ params["body"])
    return jnp.dot(hidden, params["head"]), norm_stats


network = as_network((init, apply), (8, 8, 1), outputs=5)

"""Tasks for the examples: 30 classes of 20 images in much noise, 10 of them kept unseen."""

from functools import partial

import jax
import numpy as np

from metabone.episodes.sampling import sample
from metabone.episodes.store import build_store

random = np.random.default_rng(0)
telling = random.normal(0, 1, (30, 1, 4)) @ random.normal(0, 12, (4, 64))
images = (128 + telling + random.normal(0, 25, (30, 20, 64))).clip(0, 255)
images, labels = images.astype(np.uint8).reshape(600, 8, 8, 1), np.arange(600) // 20
known = jax.device_put(build_store(images, labels, classes=range(20)))
unseen = jax.device_put(build_store(images, labels, classes=range(20, 30)))
task = partial(sample, ways=5, shots=1, queries=5)

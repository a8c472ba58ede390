"""Labelled images that a small network learns to tell apart in seconds."""

import numpy as np
import pytest

from metabone.datasets.images import ImageSet
from metabone.provenance import Provenance


def noisy_classes(classes, each, seed, size=8):
    """Classes of one random pattern with a little noise on each image."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (classes, 1, size, size, 1))
    images = patterns + rng.normal(0, 40, (classes, each, size, size, 1))
    images = images.clip(0, 255).astype(np.uint8).reshape(-1, size, size, 1)
    names = tuple(f"{seed} {index:03}" for index in range(classes))
    provenance = Provenance("made", "simulated", str(seed), len(images), "none", "any")
    labels = np.repeat(np.arange(classes, dtype=np.int32), each)
    return ImageSet(images, labels, names, provenance)


@pytest.fixture
def make_classes():
    return noisy_classes

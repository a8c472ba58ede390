"""A task as the few arrays it consists of."""

from typing import NamedTuple

import jax


class Examples(NamedTuple):
    """Labelled images of one task.

    Attributes:
      images: `[n, H, W, C]` float32 (or stored features of any shape after `n`).
      labels: `[n]` int32 in `0 .. ways - 1`, the task's own numbering.
    """

    images: jax.Array
    labels: jax.Array


class Episode(NamedTuple):
    """One task: what the learner may adapt to, and what it is then asked.

    Attributes:
      support: `ways * shots` labelled images.
      query: `ways * queries` labelled images, disjoint from the support by image and by group.
    """

    support: Examples
    query: Examples

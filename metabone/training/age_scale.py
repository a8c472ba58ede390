"""What the output of a network that tells age is measured in, by the ages it is trained on."""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from metabone.errors import InputError


class AgeScale(NamedTuple):
    """Months are `mean + deviation * output`.

    Attributes:
      mean: in months.
      deviation: in months, above 0.
    """

    mean: float
    deviation: float

    def months(self, outputs: jax.Array) -> jax.Array:
        """Outputs `[n, 1]` of a network as months `[n]`."""
        return self.mean + self.deviation * outputs[..., 0]

    def standardised(self, months: ArrayLike) -> jax.Array:
        """Months `[n]` as the network is to say them, `[n]`."""
        return (months - self.mean) / self.deviation


OF_240 = AgeScale(0.0, 240.0)
"""Age as a share of twenty years, whatever films there are; the published code of paced transfer
has it so."""


def fit_scale(months: ArrayLike) -> AgeScale:
    """Mean and standard deviation of the ages that are trained on.

    Args:
      months: `[n]`, of training films alone.

    Returns:
      The scale.

    Raises:
      InputError: no two different ages.

    Example:
      >>> fit_scale([60.0, 100.0])
      AgeScale(mean=80.0, deviation=20.0)
    """
    months = np.asarray(months, np.float64)
    if months.size < 2 or months.std() == 0:
        raise InputError(f"{months.size} films to learn age from: expected two different ages")
    return AgeScale(float(months.mean()), float(months.std()))

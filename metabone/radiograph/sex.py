"""Sex beside a region's features: bone age is read from standards that differ by sex."""

import numpy as np

from metabone.errors import InputError

_SIGNS = {"F": -1.0, "M": 1.0, "": 0.0}


def join_sex(features: np.ndarray, sex: np.ndarray, weight: float = 0.1) -> np.ndarray:
    """Joins sex to features as one more, of a stated weight.

    Args:
      features: `[N, ..., D]` float, films first.
      sex: `[N]` str, `"F"`, `"M"`, or `""` where it is not known.
      weight: of the feature, in the unit of the others; a head with L2 hears it by its square. A
        head that scales features leaves it as it is by `beside=1`: `learners.ordinal.ordinal_head`.

    Returns:
      `[N, ..., D + 1]` of the features' dtype: `weight` for male, `-weight` for female, else 0.

    Raises:
      InputError: another number of films, another value.

    Example:
      >>> join_sex(np.ones((3, 1), np.float32), np.array(["F", "M", ""]), 0.5).tolist()
      [[1.0, -0.5], [1.0, 0.5], [1.0, 0.0]]
    """
    sex = np.asarray(sex)
    if sex.shape != features.shape[:1]:
        raise InputError(f"sex of shape {sex.shape} for {len(features)} films: expected one a film")
    unknown = sorted(set(sex.tolist()) - set(_SIGNS))
    if unknown:
        raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")
    signs = np.array([_SIGNS[each] for each in sex.tolist()], features.dtype)
    column = np.broadcast_to(
        (features.dtype.type(weight) * signs).reshape(-1, *(1,) * (features.ndim - 1)),
        (*features.shape[:-1], 1),
    )
    return np.concatenate([features, column], axis=-1)

"""Sex beside an image or its features: bone age is read from standards that differ by sex."""

from collections.abc import Mapping

import numpy as np

from metabone.errors import InputError

SEX_WEIGHT = 0.3
"""Of sex, -1 or 1, beside features whose variances sum to one.

Chosen among 0.1, 0.2, 0.3, 0.4 and 0.8 on real films (docs/hands.md).
"""

_SIGNS = {"F": -1.0, "M": 1.0, "": 0.0}
_GREYS = {"F": 0, "M": 255, "": 128}


def join_sex(features: np.ndarray, sex: np.ndarray, weight: float = SEX_WEIGHT) -> np.ndarray:
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
    signs = _of_films(sex, len(features), _SIGNS).astype(features.dtype)
    column = np.broadcast_to(
        (features.dtype.type(weight) * signs).reshape(-1, *(1,) * (features.ndim - 1)),
        (*features.shape[:-1], 1),
    )
    return np.concatenate([features, column], axis=-1)


def with_sex_row(images: np.ndarray, sex: np.ndarray) -> np.ndarray:
    """Puts sex below images as one more row of pixels, so that it travels wherever they do.

    Networks with `beside` of `nets.heads.with_head` take the row off and hear its value.

    Args:
      images: `[N, ..., H, W, C]` uint8, films first.
      sex: `[N]` str, `"F"`, `"M"`, or `""` where it is not known.

    Returns:
      `[N, ..., H + 1, W, C]` uint8: the last row is 255 for male, 0 for female, else 128, which
      `episodes.sampling.scale` makes 1, -1 and 1 / 255.

    Raises:
      InputError: images that are not uint8 or of too few axes, another number of films, another
        value.

    Example:
      >>> with_sex_row(np.full((2, 1, 1, 1), 7, np.uint8), np.array(["F", "M"]))[..., 0, 0].tolist()
      [[7, 0], [7, 255]]
    """
    if images.dtype != np.uint8 or images.ndim < 4:
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}: expected uint8 [N, ..., H, W, C]"
        )
    greys = _of_films(sex, len(images), _GREYS).astype(np.uint8)
    row = np.broadcast_to(
        greys.reshape(-1, *(1,) * (images.ndim - 1)),
        (*images.shape[:-3], 1, *images.shape[-2:]),
    )
    return np.concatenate([images, row], axis=-3)


def _of_films(sex: np.ndarray, films: int, values: Mapping[str, float]) -> np.ndarray:
    """`[N]` what stands for each film's sex, checked."""
    sex = np.asarray(sex)
    if sex.shape != (films,):
        raise InputError(f"sex of shape {sex.shape} for {films} films: expected one a film")
    unknown = sorted(set(sex.tolist()) - set(values))
    if unknown:
        raise InputError(f"sex {unknown[0]!r}: expected 'F', 'M', or '' where it is not known")
    return np.array([values[each] for each in sex.tolist()])

"""Where on new films of hands a bone age comes from."""

import jax
import numpy as np

from metabone.episodes.sampling import scale as scaled
from metabone.evaluation.activation_maps import grad_cam
from metabone.nets.age_net import age_features, age_maps
from metabone.radiograph.region_sets import REGION_SETS
from metabone.radiograph.sex import with_sex_row
from metabone.workflows.age_model import AgeModel


def age_map(model: AgeModel, images: np.ndarray, sex: np.ndarray) -> np.ndarray:
    """Signed Grad-CAM of whole films: what each place adds to a bone age.

    Args:
      model: of whole films.
      images: `[n, H, W, 1]` uint8 in its view, n at least 1.
      sex: `[n]`.

    Returns:
      `[n, H, W]` float32 months, below 0 where a place makes the answer younger.
    """
    network, pool = model.made.network, model.settings.head_pool or "mean"
    of_body = age_maps(model.made.body)

    def maps_of(images: jax.Array) -> jax.Array:
        return of_body(model.params, model.norm_stats, images)

    def score_of(maps: jax.Array, images: jax.Array) -> jax.Array:
        features = age_features(maps, images, pool=pool, sex=model.knows_sex)
        return model.scale.months(network.head(model.params, features))

    given = np.asarray(scaled(jax.numpy.asarray(with_sex_row(images, sex))))
    return grad_cam(maps_of, score_of, given, signed=True, height=images.shape[1])


def moves_without_regions(
    model: AgeModel, images: np.ndarray, sex: np.ndarray
) -> list[dict[str, float]]:
    """By how many months a bone age changes when one region is covered by its mean grey.

    Args:
      model: of regions.
      images: `[n, R, H, W, 1]` uint8.
      sex: `[n]`.

    Returns:
      For each film region to change, above 0 where the answer is older without it.
    """
    whole = model.read_images(images, sex)
    found: list[dict[str, float]] = [{} for _ in images]
    for place, region in enumerate(REGION_SETS[model.settings.regions]):
        covered = images.copy()
        grey = np.rint(images[:, place].mean((1, 2, 3))).astype(np.uint8)
        covered[:, place] = grey[:, None, None, None]
        for row, move in enumerate(model.read_images(covered, sex) - whole):
            found[row][region.name] = float(move)
    return found

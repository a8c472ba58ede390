"""Where in a film an age is read from, of the films that were read best, middling and worst."""

import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metabone.episodes.sampling import scale
from metabone.errors import InputError
from metabone.evaluation.activation_maps import grad_cam
from metabone.evaluation.chunked import chunked
from metabone.evaluation.occlusion import occlusion
from metabone.nets.age_net import Pool, age_features, age_maps
from metabone.nets.network import Network
from metabone.radiograph.aged_films import AgedFilms
from metabone.radiograph.sex import with_sex_row
from metabone.report.map_pictures import write_map_pictures

_SEX = {"F": "female", "M": "male", "": "sex not known"}
_TOGETHER = 32
# Of a film's shorter side, the patch that covers it and its step; of a region's, the patch.
_PATCH, _STRIDE, _PATCH_OF_REGION = 6, 8, 2


def age_map_files(
    network: Network,
    fitted: Any,
    films: AgedFilms,
    rows: np.ndarray,
    folder: str | os.PathLike[str],
    *,
    body: Network | None = None,
    pool: Pool = "mean",
    each: int = 2,
) -> list[dict[str, str]]:
    """Writes pictures of the films that were read best, of middling ones and of the worst.

    Beside a film stands its occlusion map, by how many months the answer falls where the film is
    covered by its mean grey, and, if `body` is given, signed Grad-CAM, the months that each place
    of the maps adds.

    Args:
      network: an `age_net`.
      fitted: has its `params`, `norm_stats`, and `scale` with `months(outputs [n, 1]) -> [n]`.
      films: as a whole `[N, H, W, 1]`, or cut into regions `[N, R, H, W, 1]`, which are shown side
        by side.
      rows: which of them to choose from: held-out ones.
      folder: is made where it is not there.
      body: the network's, see `age_net.age_maps`, of films as a whole; None for no Grad-CAM.
      pool: the network's.
      each: films of each kind, fewer where there are fewer.

    Returns:
      For each picture `"file"`, its name within `folder`, and `"caption"`: its sex, its age and
      what was read. The best come first, the worst last.

    Raises:
      InputError: no rows, `each` below 1, or Grad-CAM of regions.
    """
    rows = np.asarray(rows)
    if not len(rows) or each < 1:
        raise InputError(f"{len(rows)} films, each (={each}): expected at least 1 of both")
    regions = films.images.ndim == 5
    if regions and body is not None:
        raise InputError("Grad-CAM of films cut into regions: expected body=None")
    films = films.keep(rows)

    def months_of(images: jax.Array) -> jax.Array:
        outputs, _ = network.apply(fitted.params, fitted.norm_stats, images, False)
        return fitted.scale.months(outputs)

    def read(images: jax.Array) -> jax.Array:
        return months_of(scale(images))

    images = with_sex_row(films.images, films.sex)
    predicted = chunked(jax.jit(read), images, size=_TOGETHER)
    chosen = chosen_films(predicted - films.months, each)
    shown, captions = films.keep([row for _, row in chosen]), []
    for kind, row in chosen:
        captions.append(
            f"{kind}: {_SEX[str(films.sex[row])]}, {films.months[row]:.0f} "
            f"months, read as {predicted[row]:.1f} ({predicted[row] - films.months[row]:+.1f})."
        )
    if regions:
        count, side, width = shown.images.shape[1:4]
        pictures = _side_by_side(shown.images)
        patch = stride = max(1, min(side, width) // _PATCH_OF_REGION)
        score_of = _of_regions(months_of, count, side, width)
    else:
        pictures, score_of = shown.images, months_of
        patch, stride = (max(1, min(pictures.shape[1:3]) // part) for part in (_PATCH, _STRIDE))
    height = pictures.shape[1]
    scaled = np.asarray(scale(jnp.asarray(with_sex_row(pictures, shown.sex))))
    maps = {
        "falls if covered": occlusion(
            *(score_of, scaled), patch=patch, stride=stride, height=height, together=_TOGETHER
        )
    }
    if body is not None:
        of_body, sex = age_maps(body), "sex" in fitted.params["head"]

        def months_of_maps(maps: jax.Array, images: jax.Array) -> jax.Array:
            features = age_features(maps, images, pool=pool, sex=sex)
            return fitted.scale.months(network.head(fitted.params, features))

        maps["Grad-CAM"] = grad_cam(
            lambda images: of_body(fitted.params, fitted.norm_stats, images),
            *(months_of_maps, scaled),
            signed=True,
            height=height,
            together=_TOGETHER,
        )
    return write_map_pictures(folder, pictures[..., 0], maps, captions)


def chosen_films(errors: np.ndarray, each: int) -> list[tuple[str, int]]:
    """The films that were read best, middling and worst, none of them twice.

    Args:
      errors: `[n]` months, predicted minus true.
      each: films of each kind, fewer where there are fewer.

    Returns:
      `"Best"`, `"Median"` or `"Worst"`, and the film's position; by falling quality.

    Example:
      >>> chosen_films(np.array([5.0, -1.0, 9.0, 2.0, 3.0]), 1)
      [('Best', 1), ('Median', 4), ('Worst', 2)]
    """
    order = np.argsort(np.abs(errors), kind="stable").tolist()
    if len(order) == 1:
        return [("Best", order[0])]
    each = max(1, min(each, len(order) // 3))
    first = (len(order) - each) // 2
    middle = order[first : first + each] if len(order) > 2 else []
    kinds = {"Best": order[:each], "Median": middle, "Worst": order[-each:]}
    return [(kind, row) for kind, own in kinds.items() for row in own]


def _side_by_side(regions: np.ndarray) -> np.ndarray:
    """`[k, R, H, W, C]` as pictures `[k, rows * H, columns * W, C]`, the rest in the mean grey."""
    count, places, height, width, channels = regions.shape
    columns = math.ceil(math.sqrt(places))
    rows = -(-places // columns)
    grey = np.rint(regions.mean((1, 2, 3), keepdims=True)).astype(np.uint8)
    rest = np.broadcast_to(grey, (count, rows * columns - places, height, width, channels))
    cells = np.concatenate([regions, rest], axis=1)
    cells = cells.reshape(count, rows, columns, height, width, channels)
    return cells.swapaxes(2, 3).reshape(count, rows * height, columns * width, channels)


def _of_regions(
    months_of: Callable[[jax.Array], jax.Array], places: int, height: int, width: int
) -> Callable[[jax.Array], jax.Array]:
    """The age of pictures of `_side_by_side` with the row of sex below them."""

    def score_of(images: jax.Array) -> jax.Array:
        count, _, wide, channels = images.shape
        cells = images[:, :-1].reshape(count, -1, height, wide // width, width, channels)
        cells = cells.swapaxes(2, 3).reshape(count, -1, height, width, channels)[:, :places]
        row = jnp.broadcast_to(images[:, None, -1:, :width], (count, places, 1, width, channels))
        return months_of(jnp.concatenate([cells, row], axis=2))

    return score_of

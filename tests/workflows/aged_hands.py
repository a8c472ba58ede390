"""Films of hands with ages that stand for real ones, and a network drawn by chance."""

import jax
import numpy as np

from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import AgeScale
from metabone.workflows.age_model import AgeModel
from metabone.workflows.age_settings import AgeSettings

SETTINGS = AgeSettings(
    network="conv4",
    width=1 / 16,
    sex_width=4,
    head_widths=(8,),
    size=16,
    regions="min_kang_6",
    region_filters=2,
    region_widths=(8,),
)


def aged_films(count, shape=(16, 16, 1), seed=0):
    """Films the brighter the older."""
    rng = np.random.default_rng(seed)
    months = rng.uniform(24, 216, count).astype(np.float32)
    bright = months.reshape(-1, *(1,) * len(shape)) / 240 * 200
    images = (bright + rng.normal(0, 25, (count, *shape))).clip(0, 255).astype(np.uint8)
    names = np.array([f"hand {seed} {row}" for row in range(count)])
    origin = Provenance("made", "simulated", "0" * 64, count, "none", "any")
    return AgedFilms(images, months, np.resize(["F", "M", ""], count), names, names, origin)


def age_model(view="squashed", sex_use="input", **given):
    """A model as it is before anything is learned, whose answers spread over months."""
    shape = (6, 16, 16, 1) if view == "regions" else (16, 16, 1)
    given = dict(settings=SETTINGS, published=False, scale=AgeScale(120.0, 40.0)) | given
    blank = AgeModel(
        view=view, sex_use=sex_use, image_shape=shape, params={}, norm_stats={}, **given
    )
    made = blank.made
    # Filled on the host: drawing each leaf on the device would compile a program a leaf.
    shapes = jax.eval_shape(lambda key: made.network.init(key, made.image_shape), jax.random.key(0))
    rng = np.random.default_rng(1)
    params, norm_stats = jax.tree.map(
        lambda leaf: rng.normal(0.2, 0.4, leaf.shape).astype(np.float32), shapes
    )
    norm_stats = jax.tree.map(lambda leaf: 0.5 + np.abs(leaf), norm_stats)
    return AgeModel(
        view=view,
        sex_use=sex_use,
        image_shape=shape,
        params=params,
        norm_stats=norm_stats,
        **given,
    )

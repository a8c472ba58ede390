import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.datasets.graded import graded_images
from metabone.episodes.store import build_store
from metabone.errors import InputError
from metabone.evaluation.protocol import compile_reading, read_draws, read_films
from metabone.learners.base import MetaLearner
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet
from metabone.workflows.arms import Arm
from metabone.workflows.region_weights import read_weighted, weights_of

REGIONS, WAYS, FILMS = 3, 4, 40


def _films():
    """Films whose second region is as grey as the hand is old; the others are noise."""
    rng = np.random.default_rng(0)
    months = rng.permutation(np.linspace(24, 228, FILMS)).astype(np.float32)
    regions = rng.integers(256, size=(FILMS, REGIONS, 2, 2, 1), dtype=np.uint8)
    regions[:, 1] = months[:, None, None, None]
    return FilmSet(
        regions=regions,
        classes=np.zeros(FILMS, np.int32),
        class_names=("any",),
        patients=np.arange(FILMS),
        region_names=("thumb", "middle finger", "ring finger"),
        examples=np.zeros((0, 4, 4), np.uint8),
        example_boxes=np.zeros((0, REGIONS, 4), np.int32),
        example_index=np.zeros(0, np.int32),
        provenance=Provenance("simulated:hands", "simulated", "", FILMS, "", ""),
        bone_age_months=months,
    )


def _means(meta_params, support, key):
    member = jax.nn.one_hot(support.labels, WAYS)
    flat = support.images.reshape(len(support.labels), -1)
    return meta_params, member.T @ flat / member.sum(0)[:, None]


def _nearness(adapted, images):
    sharpness, means = adapted
    return -sharpness * ((images.reshape(len(images), 1, -1) - means) ** 2).sum(-1)


def _arm(validation, **more):
    learner = MetaLearner(lambda *_: (), None, _means, _nearness)
    return Arm("hog", None, learner, lambda: 4.0, validation, None, ordered=True, **more)


SIZES = dict(ways=WAYS, shots=20, queries=15, draws=10)


def test_the_region_that_tells_age_is_the_one_that_is_heard():
    # 40 films are ten a class, so that neither 20 shots nor 15 queries can be had.
    weights = weights_of(_arm(graded_images(_films())), jnp.float32(4.0), **SIZES)
    assert weights.shape == (REGIONS,) and weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights[1] > 0.95


def test_draws_that_were_not_answered_are_left_out_and_not_all_may_be():
    arm = _arm(graded_images(_films()))

    def sometimes(adapted, images):
        found = _nearness(adapted, images)
        return jnp.where(images[0, 0, 0, 0] > 0.9, jnp.nan, found)

    learner = arm.learner._replace(predict=sometimes)
    weights = weights_of(arm._replace(learner=learner), jnp.float32(4.0), **SIZES)
    assert weights[1] > 0.95
    with pytest.raises(InputError, match="meta hog: no draw of validation films was answered"):
        weights_of(arm, jnp.float32(np.nan), **SIZES)


def test_an_arm_without_such_films_is_refused():
    films = graded_images(_films())
    for arm in (_arm(None), _arm(films, whole=True)):
        with pytest.raises(InputError, match="with bone ages that it chose on; it has none"):
            weights_of(arm, jnp.float32(1.0), **SIZES)
    few = graded_images(_films().keep(np.arange(6)))
    with pytest.raises(InputError, match="6 validation films have 1 of a class; expected two"):
        weights_of(_arm(few), jnp.float32(1.0), **SIZES)


def test_a_reading_compiled_before_weights_are_known_is_that_with_these_weights():
    films, learner = _films(), _arm(None).learner
    classes = np.argsort(np.argsort(films.bone_age_months)) * WAYS // FILMS
    store = jax.device_put(build_store(films.regions, classes))
    how = dict(shots=3, queries=4, ordered=True)
    sharpness, weights = jnp.float32(4.0), np.array([0.3, 0.6, 0.1], np.float32)
    shapes = jax.eval_shape(lambda: (sharpness, jnp.zeros(REGIONS)))
    program = compile_reading(read_weighted(learner, [_nearness], **how), shapes, store)
    found = read_draws(program, (sharpness, weights), store, seed=1, draws=3)
    given = read_films(learner, [_nearness], weights=weights, **how)
    program = compile_reading(given, sharpness, store)
    jax.tree.map(
        np.testing.assert_array_equal,
        found,
        read_draws(program, sharpness, store, seed=1, draws=3),
    )
    assert (found.weighted != found.means).any()

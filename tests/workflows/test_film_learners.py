"""Learners of whole films, made and trained a little."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.datasets.graded import sex_of
from metabone.episodes.types import Examples
from metabone.learners.base import MetaLearner
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet
from metabone.radiograph.sex import with_sex_row
from metabone.workflows.film_learners import film_arms, film_network, jittered
from metabone.workflows.film_data import HandParts
from metabone.workflows.film_settings import FILM_LEARNERS, FilmNetSettings


class _Run:
    metrics = None

    def checkpoints(self, phase):
        return None


def _films(count, seed):
    """Squares that grow with age, for two regions."""
    rng = np.random.default_rng(seed)
    months = rng.uniform(40, 200, count).astype(np.float32)
    side = (months / 200 * 14).astype(int) + 1
    regions = rng.integers(0, 60, (count, 2, 16, 16, 1)).astype(np.uint8)
    for film, size in zip(regions, side, strict=True):
        film[:, :size, :size] += 180
    return FilmSet(
        regions=regions,
        classes=np.searchsorted([90, 150], months).astype(np.int32),
        class_names=("a", "b", "c"),
        patients=np.arange(count) + 1000 * seed,
        region_names=("DIP", "MCP"),
        examples=np.zeros((0, 8, 8), np.uint8),
        example_boxes=np.zeros((0, 2, 4), np.int32),
        example_index=np.zeros(0, np.int32),
        provenance=Provenance("hands:there", "real", "0" * 64, count, "", ""),
        bone_age_months=months,
        sex=np.array(["F", "M"])[np.arange(count) % 2],
    )


CONFIG = FilmNetSettings(
    film_filters=4,
    film_hidden=(8,),
    film_steps=3,
    film_minibatch=8,
    film_shots=2,
    film_queries=2,
    film_inner_steps=1,
    film_test_steps=2,
    film_validate_every=3,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["supervised_cuts", "supervised_linear", "anil_ordinal", "r2d2"])
def test_every_learner_of_films_is_trained_and_answers_for_whole_films(name):
    parts = HandParts(_films(24, 1), _films(16, 2), _films(16, 3))
    (arm,) = film_arms(
        dataclasses.replace(CONFIG, film_learners=(name,)), parts, ways=3, run=_Run()
    )
    assert arm.learning == name.replace("_", " ") and arm.whole and arm.ordered and not arm.base
    assert arm.target.images.shape == (16, 2, 17, 16, 1)
    params = arm.train()
    support = jnp.asarray(arm.target.images[:9], jnp.float32) / 127.5 - 1
    adapted = arm.learner.adapt(params, Examples(support, jnp.arange(9) % 3), jax.random.key(0))
    logits = arm.learner.predict(adapted, support)
    assert logits.shape == (9, 3) and bool(jnp.isfinite(logits).all())


def test_every_name_makes_a_learner():
    parts = HandParts(_films(24, 1), _films(16, 2), _films(16, 3))
    arms = film_arms(
        dataclasses.replace(CONFIG, film_learners=FILM_LEARNERS), parts, ways=3, run=_Run()
    )
    assert [isinstance(arm.learner, MetaLearner) for arm in arms] == [True] * len(FILM_LEARNERS)


def test_the_score_is_learned_by_ordinary_training():
    films = _films(60, 1)
    parts = HandParts(films, _films(16, 2), _films(30, 3))
    config = dataclasses.replace(CONFIG, film_learners=("supervised_cuts",), film_steps=60)
    (arm,) = film_arms(config, parts, ways=3, run=_Run())
    params = arm.train()
    images = with_sex_row(parts.target.regions, sex_of(parts.target)) / np.float32(127.5) - 1
    scores = film_network(config, 2, 1).apply(*params[:2], jnp.asarray(images), False)[0][:, 0]
    found = np.corrcoef(np.asarray(scores), parts.target.bone_age_months)[0, 1]
    assert found > 0.8


def test_a_jittered_film_moves_each_region_by_itself_and_keeps_the_row_of_sex():
    rng = np.random.default_rng(0)
    films = rng.random((3, 2, 17, 16, 1)).astype(np.float32)
    moved = np.asarray(jittered(jax.random.key(1), jnp.asarray(films)))
    np.testing.assert_array_equal(moved[:, :, -1], films[:, :, -1])
    found = set()
    for film, other in zip(
        films[:, :, :-1].reshape(-1, 16, 16), moved[:, :, :-1].reshape(-1, 16, 16), strict=True
    ):
        padded = np.pad(film, 3, mode="edge")
        at = [
            (y, x)
            for y in range(7)
            for x in range(7)
            if np.array_equal(padded[y : y + 16, x : x + 16], other)
        ]
        assert len(at) == 1
        found.add(at[0])
    assert len(found) > 2

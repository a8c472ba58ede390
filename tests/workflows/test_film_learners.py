"""Learners of whole films, made and trained a little."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metabone.episodes.types import Examples
from metabone.learners.base import MetaLearner
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet
from metabone.workflows.film_data import HandParts
from metabone.workflows.film_learners import film_arms, jittered
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
    film_tasks=3,
    film_minibatch=8,
    film_shots=2,
    film_queries=2,
    film_inner_steps=1,
    film_test_steps=2,
    film_validate_every=3,
)


def _arm(name, parts, **changes):
    config = dataclasses.replace(CONFIG, film_learners=(name,), **changes)
    (arm,) = film_arms(config, parts, ways=3, run=_Run())
    assert arm.learning == name.replace("_", " ") and arm.ordered and not arm.base
    return arm


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r2d2"])
def test_a_learner_of_films_is_trained_and_answers_for_whole_films(name):
    arm = _arm(name, HandParts(_films(24, 1), _films(16, 2), _films(16, 3)))
    assert arm.whole and arm.target.images.shape == (16, 2, 17, 16, 1)
    params = arm.train()
    support = jnp.asarray(arm.target.images[:9], jnp.float32) / 127.5 - 1
    adapted = arm.learner.adapt(params, Examples(support, jnp.arange(9) % 3), jax.random.key(0))
    logits = arm.learner.predict(adapted, support)
    assert logits.shape == (9, 3) and bool(jnp.isfinite(logits).all())


def test_every_name_that_is_learned_from_tasks_makes_a_learner():
    parts = HandParts(_films(24, 1), _films(16, 2), _films(16, 3))
    names = tuple(name for name in FILM_LEARNERS if "supervised" not in name)
    arms = film_arms(dataclasses.replace(CONFIG, film_learners=names), parts, ways=3, run=_Run())
    assert [isinstance(arm.learner, MetaLearner) for arm in arms] == [True] * len(names)


def test_the_score_is_learned_by_ordinary_training_and_kept_for_each_film():
    target = _films(30, 3)
    parts = HandParts(_films(60, 1), _films(16, 2), target)
    cuts = _arm("supervised_cuts", parts, film_steps=60)
    scores = np.asarray(cuts.target.images)
    assert scores.shape == (30, 1, 1)
    assert np.corrcoef(scores[:, 0, 0], target.bone_age_months)[0, 1] > 0.8
    support = Examples(cuts.target.images[:, 0], jnp.asarray(target.classes))
    adapted = cuts.learner.adapt(cuts.train(), support, jax.random.key(0))
    answers = cuts.learner.predict(adapted, support.images).argmax(-1)
    assert (np.asarray(answers) == target.classes).mean() > 0.7


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

"""Tasks of ordered classes."""

import jax
import numpy as np
import pytest

from metabone.episodes.graded import draw_graded, graded_store, sample_graded
from metabone.episodes.sampling import task_key
from metabone.errors import InputError


def _store(count=40, strata=2, at_least=15):
    rng = np.random.default_rng(0)
    grades = rng.permutation(count * strata).astype(float)
    images = grades.astype(np.float32)[:, None]
    return graded_store(
        images, grades, strata=np.arange(count * strata) % strata, at_least=at_least
    ), grades


def test_classes_ascend_by_grade_and_take_one_stratum():
    store, grades = _store()
    sample = jax.jit(lambda step: sample_graded(store, 3, step, 0, ways=3, shots=2, queries=3))
    for step in range(20):
        episode = sample(step)
        seen = np.concatenate([episode.support.images[:, 0], episode.query.images[:, 0]])
        labels = np.concatenate([episode.support.labels, episode.query.labels])
        assert len(np.unique(seen)) == 15
        for label in range(2):
            assert seen[labels == label].max() < seen[labels == label + 1].min()
        rows = [int(np.flatnonzero(grades == grade)[0]) for grade in seen]
        assert len({row % 2 for row in rows}) == 1


def test_every_way_to_cut_is_equally_likely():
    # 5 images in 2 classes of at least 2: the second begins at place 2 or 3.
    store = graded_store(np.arange(5, dtype=np.float32)[:, None], np.arange(5.0))
    two = _cuts(store, ways=2, shots=1, queries=1)
    assert set(two) == {(2,), (3,)}
    assert abs(two[(2,)] / 2000 - 0.5) < 0.04
    seven = graded_store(np.arange(7, dtype=np.float32)[:, None], np.arange(7.0))
    three = _cuts(seven, ways=3, shots=1, queries=1)
    assert set(three) == {(2, 4), (2, 5), (3, 5)}
    assert max(abs(count / 2000 - 1 / 3) for count in three.values()) < 0.04


def _cuts(store, **sizes):
    drawn = jax.vmap(lambda step: draw_graded(task_key(0, step, 0), store, *sizes.values())[1])(
        np.arange(2000)
    )
    found, counts = np.unique(np.asarray(drawn), axis=0, return_counts=True)
    return dict(zip(map(tuple, found.tolist()), counts.tolist(), strict=True))


def test_support_and_query_share_no_image_and_a_stratum_may_be_shorter():
    grades = np.arange(14.0)
    strata = np.array([0] * 10 + [1] * 4)
    store = graded_store(grades.astype(np.float32)[:, None], grades, strata=strata, at_least=4)
    for step in range(30):
        episode = sample_graded(store, 0, step, 0, ways=2, shots=1, queries=1)
        seen = np.concatenate([episode.support.images, episode.query.images]).ravel()
        assert len(set(seen.tolist())) == 4
        assert seen.min() >= 0 and (seen.max() < 10 or seen.min() >= 10)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(grades=[1.0, np.nan]), "grade 1 is not finite"),
        (dict(grades=[1.0]), "2 images, 1 grades, 1 strata: expected as many"),
        (dict(grades=[1.0, 2.0], at_least=3), "stratum 0 has 2 images; expected at least 3"),
        (dict(grades=[1.0, 2.0], groups=["a", "a"]), "stratum 0: a patient has two images"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        graded_store(np.zeros((2, 1), np.float32), **arguments)


def test_sizes_below_one_are_refused():
    store, _ = _store()
    with pytest.raises(InputError, match="queries"):
        sample_graded(store, 0, 0, 0, ways=2, shots=1, queries=0)

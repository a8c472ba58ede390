"""Films of other hands to learn from: parted by patient, checked against the target."""

import dataclasses

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet
from metabone.workflows.film_data import apart, check_enough_films, hands_to_learn
from metabone.workflows.settings import LearnerSettings


class _Run:
    def __init__(self, path):
        self.path, self.results, self.said = path, self, {}

    def set(self, **values):
        self.said |= values


def _films(count, first=0, seed=0):
    rng = np.random.default_rng(seed)
    return FilmSet(
        regions=rng.integers(0, 256, (count, 2, 8, 8, 1)).astype(np.uint8),
        classes=np.arange(count) % 2,
        class_names=("young", "old"),
        patients=np.arange(first, first + count),
        region_names=("DIP", "MCP"),
        examples=np.zeros((0, 8, 8), np.uint8),
        example_boxes=np.zeros((0, 2, 4), np.int32),
        example_index=np.zeros(0, np.int32),
        provenance=Provenance("hands:there", "real", "0" * 64, count, "", ""),
        bone_age_months=rng.uniform(40, 200, count).astype(np.float32),
        sex=np.array(["F", "M"])[np.arange(count) % 2],
        looks=rng.integers(0, 256, (count, 64, 64)).astype(np.uint8),
    )


def test_patients_are_parted_by_hash_and_stay_together():
    films = dataclasses.replace(_films(60), patients=np.arange(60) // 3)
    first, second = apart(films, 0.8, seed=0)
    assert (len(first), len(second)) == (48, 12)
    assert not set(first.patients) & set(second.patients)
    again, _ = apart(films.keep(np.arange(59, -1, -1)), 0.8, seed=0)
    assert set(again.patients) == set(first.patients)
    other, _ = apart(films, 0.8, seed=1)
    assert set(other.patients) != set(first.patients)


def test_hands_to_learn_from_are_parted_for_validation_and_recorded(tmp_path):
    run = _Run(tmp_path)
    parts, data = hands_to_learn(_films(60), _films(20, 100, 1), 10, run, LearnerSettings())
    assert (len(parts.train), len(parts.validation), len(parts.target)) == (50, 10, 20)
    assert run.said["meta_classes"] == {"train": ["50 hands"], "validation": ["10 hands"]}
    assert data[0]["role"] == "meta" and data[0]["source"] == "hands:there"


def test_a_class_without_films_is_named():
    films = dataclasses.replace(_films(6), class_names=("young", "old", "older"))
    with pytest.raises(InputError) as caught:
        check_enough_films(films, (1, 1))
    assert str(caught.value) == "class 'older' has no film (films of each class: 3, 3, 0)"
    check_enough_films(_films(6), (1, 1))


def test_too_few_hands_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"19 films to meta-train on; .* expected at least 20"):
        hands_to_learn(_films(19), _films(5, 50, 1), 10, _Run(tmp_path), LearnerSettings())


def test_a_film_of_the_target_among_those_learned_from_is_refused(tmp_path):
    films, target = _films(60), _films(20, 100, 1)
    target.regions[3] = films.regions[7]
    with pytest.raises(InputError, match=r"of 'target' is also image .* of '(train|validation)'"):
        hands_to_learn(films, target, 10, _Run(tmp_path), LearnerSettings())


def test_a_near_copy_of_a_film_of_the_target_is_refused(tmp_path):
    films, target = _films(60), _films(20, 100, 1)
    target.looks[3] = np.clip(films.looks[7].astype(int) + 9, 0, 255)
    with pytest.raises(InputError, match=r"film 7 of .* and film 103 of 'target' are nearly the"):
        hands_to_learn(films, target, 10, _Run(tmp_path), LearnerSettings())

import dataclasses

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.training.age_scale import OF_240, fit_scale
from metabone.workflows.age_parts import check_apart, check_stage, check_unseen, part_films

ORIGIN = Provenance("films", "real", "0" * 64, 100, "", "", ())


def films(count=100, patients=None, seed=0):
    rng = np.random.default_rng(seed)
    ids = np.array([f"{seed}-{index}" for index in range(count)])
    return AgedFilms(
        rng.integers(0, 256, (count, 4, 4, 1), np.uint8),
        rng.uniform(12, 228, count).astype(np.float32),
        np.array(["F", "M"])[rng.integers(0, 2, count)],
        ids if patients is None else np.asarray(patients),
        ids,
        ORIGIN,
    )


@pytest.fixture
def parts():
    return part_films(films())


def stage(parts, *, train=None, validation=None, scale=None):
    train = parts.train if train is None else train
    validation = parts.validation if validation is None else validation
    scale = fit_scale(parts.train.months) if scale is None else scale
    check_stage(parts, train, validation, scale, "exit")


def test_parts_have_their_shares_and_hold_each_film_once(parts):
    assert [len(part) for part in parts] == [80, 10, 10]
    together = np.concatenate([part.ids for part in parts])
    assert sorted(together) == sorted(films().ids)


def test_a_patient_is_in_one_part():
    patients = [f"p{index // 5}" for index in range(100)]
    parts = part_films(films(patients=patients), test=0.2, validation=0.2)
    check_apart(parts)
    assert len(parts.test) == 20
    for part in parts:
        assert all(np.sum(part.patients == name) == 5 for name in set(part.patients))


def test_fewer_films_are_the_first_of_more_and_leave_the_test_part_alone(parts):
    fewer, more = (part_films(films(), learn=learn) for learn in (30, 60))
    known = {*fewer.train.ids, *fewer.validation.ids}
    assert len(known) == 30
    assert known < {*more.train.ids, *more.validation.ids}
    assert [*fewer.test.ids] == [*more.test.ids] == [*parts.test.ids]


def test_a_patient_in_two_parts_is_refused(parts):
    shared = dataclasses.replace(parts.train, patients=parts.test.patients[[0] * len(parts.train)])
    with pytest.raises(InputError, match="is in 'train' and in 'test'"):
        check_apart(parts._replace(train=shared))


def test_what_the_parts_hold_passes_every_stage(parts):
    stage(parts)
    stage(parts, train=parts.train.keep(np.arange(len(parts.train))[::-1]))
    stage(parts, scale=OF_240)


def test_a_test_film_in_any_stage_is_refused(parts):
    planted = films().keep(
        np.flatnonzero(np.isin(films().ids, [*parts.train.ids[1:], parts.test.ids[0]]))
    )
    with pytest.raises(InputError, match=f"film {parts.test.ids[0]} of the test part"):
        stage(parts, train=planted)


def test_a_split_that_a_stage_draws_anew_is_refused(parts):
    anew = part_films(films(), seed=1)
    with pytest.raises(InputError, match="of the test part is in its train"):
        stage(parts, train=anew.train, validation=anew.validation)
    other = parts.train.keep(np.arange(10))
    with pytest.raises(InputError, match="in its validation part is of another part"):
        stage(parts, validation=other)


def test_an_augmented_validation_film_is_refused(parts):
    turned = dataclasses.replace(parts.validation, images=parts.validation.images[:, :, ::-1])
    with pytest.raises(InputError, match="validation part has other pixels, age or sex"):
        stage(parts, validation=turned)


@pytest.mark.parametrize("column", ["sex", "months"])
def test_a_shuffled_column_beside_the_films_is_refused(parts, column):
    values = getattr(parts.train, column)
    shuffled = dataclasses.replace(parts.train, **{column: np.roll(values, 1)})
    with pytest.raises(InputError, match="train part has other pixels, age or sex"):
        stage(parts, train=shuffled)


def test_a_scale_that_was_fitted_on_all_films_is_refused(parts):
    with pytest.raises(InputError, match="scaled by other ages"):
        stage(parts, scale=fit_scale(films().months))


def test_an_earlier_stage_of_other_films_may_not_hold_a_test_film(parts):
    others = films(seed=5)
    check_unseen(others, parts.test, "chest")
    images = others.images.copy()
    images[3] = parts.test.images[0]
    with pytest.raises(InputError, match="film 5-3 of the test part is among its films"):
        check_unseen(dataclasses.replace(others, images=images), parts.test, "chest")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"test": 0.0}, "expected each above 0"),
        ({"test": 0.6, "validation": 0.5}, "both together below 1"),
        ({"learn": 95}, "95 films to learn from: films has 90"),
        ({"learn": 9}, "films of 100 for train"),
        ({"test": 0.02}, "2 films of 100 for test"),
    ],
)
def test_parts_that_cannot_be_are_refused(asked, message):
    with pytest.raises(InputError, match=message):
        part_films(films(), **asked)

import dataclasses

import numpy as np
import pytest

from benchmarks.clinics import CLINICS, half_as_fine, held_out
from metabone.errors import InputError
from metabone.workflows.age_model import fingerprints_of
from tests.workflows.aged_hands import age_model, aged_films


def test_films_of_a_patient_who_was_learned_from_are_not_held_out():
    films = dataclasses.replace(aged_films(6), patients=np.array(list("aabbcd")))
    model = age_model(learned=frozenset(fingerprints_of(films.keep(np.array([0, 4])))))
    assert held_out(model, films).patients.tolist() == ["b", "b", "d"]
    with pytest.raises(InputError, match="none of these 4 films"):
        held_out(model, aged_films(4, seed=1))


def test_half_the_resolution_is_that_of_each_region():
    films = aged_films(2, (6, 16, 16, 1))
    found = half_as_fine(films).images
    assert found.shape == films.images.shape
    alone = dataclasses.replace(films, images=films.images[:, 3])
    np.testing.assert_array_equal(found[:, 3], half_as_fine(alone).images)
    assert found.std() < 0.8 * films.images.std()


def test_clinics_differ_in_one_thing_or_in_all_three():
    films = aged_films(3)
    plain, exposure, rater, coarse, both = (change(films) for change in CLINICS.values())
    np.testing.assert_array_equal(plain.images, films.images)
    np.testing.assert_array_equal(rater.months, films.months + 6)
    np.testing.assert_array_equal(exposure.months, films.months)
    assert (exposure.images <= films.images).all() and exposure.images.mean() < films.images.mean()
    np.testing.assert_array_equal(rater.images, films.images)
    np.testing.assert_array_equal(both.months, rater.months)
    assert (both.images <= coarse.images).all()

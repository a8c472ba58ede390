"""Regions of films as graded images, and parts of a set of films."""

import dataclasses

import numpy as np
import pytest

from metabone.datasets.graded import graded_images
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.films import FilmSet


def _films(count=12):
    regions = np.arange(count * 2, dtype=np.uint8).reshape(count, 2, 1, 1, 1)
    return FilmSet(
        regions=np.broadcast_to(regions, (count, 2, 4, 4, 1)),
        classes=np.arange(count) % 3,
        class_names=("a", "b", "c"),
        patients=np.arange(count) + 100,
        region_names=("DIP", "MCP"),
        examples=np.zeros((2, 8, 8), np.uint8),
        example_boxes=np.zeros((2, 2, 4), np.int32),
        example_index=np.array([1, 7], np.int32),
        provenance=Provenance("simulated:hands", "simulated", "0" * 64, count, "", ""),
        bone_age_months=np.linspace(40, 200, count).astype(np.float32),
        sex=np.array(["F", "M"] * (count // 2)),
    )


def test_each_region_is_an_image_with_its_film_s_age_sex_and_patient():
    films = _films()
    images = graded_images(films)
    assert images.images[:, 0, 0, 0].tolist() == list(range(24))
    assert images.strata.tolist() == [0, 1] * 12
    np.testing.assert_array_equal(images.grades, np.repeat(films.bone_age_months, 2))
    assert images.sex.tolist() == np.repeat(films.sex, 2).tolist()
    assert images.patients.tolist() == np.repeat(films.patients, 2).tolist()
    # Twelve films in six quantiles: two of each, and each region has classes of its own.
    assert np.bincount(images.labels).tolist() == [2] * 12
    assert images.class_names[images.labels[-1]] == "MCP, age 6 of 6"


def test_a_part_of_the_images_keeps_what_is_known_of_them():
    images = graded_images(_films()).keep(np.array([0, 1, 23]))
    assert images.strata.tolist() == [0, 1, 1]
    assert images.labels.tolist() == [0, 1, 2]
    assert images.grades[-1] == 200


def test_films_without_ages_are_refused():
    with pytest.raises(InputError, match="simulated:hands: expected films with bone"):
        graded_images(dataclasses.replace(_films(), bone_age_months=None))


def test_a_part_of_a_set_of_films_shows_those_of_its_films_that_were_shown():
    part = _films().keep(np.array([7, 2, 3]))
    assert len(part) == 3
    assert part.patients.tolist() == [107, 102, 103]
    assert part.example_index.tolist() == [0]
    assert part.stages is None and part.sex.tolist() == ["M", "F", "M"]

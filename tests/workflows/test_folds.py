import numpy as np
import pytest

from metabone.errors import InputError
from metabone.workflows.folds import deal_folds, units_of


@pytest.mark.parametrize("counts", [(20, 20, 20), (13, 17, 22), (3, 50), (3, 3), (7,) * 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_are_of_one_size_and_hold_classes_in_like_shares(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = deal_folds(labels, np.arange(len(labels)), range(len(counts)), seed)
    sizes = np.bincount(folds)
    assert len(sizes) == min(5, *counts) and np.ptp(sizes) <= 1
    for label in range(len(counts)):
        assert np.ptp(np.bincount(folds[labels == label], minlength=len(sizes))) <= 2


def test_copies_and_patients_stay_in_one_fold():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    fingerprints = [str(number) for number in range(60)]
    fingerprints[7] = fingerprints[19] = "0"
    fingerprints[40] = "20"
    groups = (labels * 8 + rng.integers(0, 8, 60)).tolist()
    units = units_of(fingerprints, groups)
    folds = deal_folds(labels, units, range(3), 0)
    for names in (fingerprints, groups):
        for name in set(names):
            rows = [row for row, each in enumerate(names) if each == name]
            assert len(set(folds[rows])) == 1
            assert len(set(units[rows])) == 1


def test_films_that_share_nothing_are_units_of_their_own():
    assert len(set(units_of(["a", "b", "c"], None).tolist())) == 3
    assert len(set(units_of(["a", "b", "c"], [1, 2, 3]).tolist())) == 3


def test_class_of_one_patient_is_refused():
    labels = np.array([0, 0, 0, 1, 1, 1])
    units = units_of(list("abcdef"), [1, 1, 1, 2, 3, 4])
    with pytest.raises(InputError, match="class 'late': all its films are copies or of one"):
        deal_folds(labels, units, ["late", "early"], 0)

import numpy as np
import pytest

from metabone.errors import InputError
from metabone.radiograph import stages


def test_smi_groups_have_the_published_sizes():
    counts = (188, 145, 277, 68, 10, 48, 75, 2, 11, 29, 12)
    merged = stages.merge_stages(np.repeat(np.arange(1, 12), counts))
    assert merged.dtype == np.int32
    assert np.bincount(merged).tolist() == [333, 345, 58, 88, 41]


def test_a_merge_table_is_written_as_it_is_read():
    assert stages.parse_merge(stages.format_merge(stages.MERGE_SMI)) == stages.MERGE_SMI
    assert stages.parse_merge(" 3, 4 /5") == ((3, 4), (5,))


def test_stages_outside_the_table_have_no_class():
    merged = stages.merge_stages(np.arange(1, 12), ((3, 4), (5,), (6, 7, 8)))
    assert merged.tolist() == [-1, -1, 0, 0, 1, 2, 2, 2, -1, -1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no stage"),
        ("1,2", "at least two classes"),
        ("1,2//3", "no stage"),
        ("1,2/x", "'x' is no stage"),
        ("1,2/-3", "'-3' is no stage"),
        ("1,2/²", "is no stage"),
        ("1,2/2,3", "stage 2 stands twice"),
        ("1,2/4,5", "stage 3 is missing"),
        ("3,4/1,2", "stage 1 comes after 4"),
        ("9,10/11,12", "stage 12 is not in 1..11"),
        ("0,1/2", "stage 0 is not in 1..11"),
    ],
)
def test_a_wrong_merge_table_is_refused(text, message):
    with pytest.raises(InputError, match=message) as caught:
        stages.parse_merge(text)
    assert "\n" not in str(caught.value)


def test_an_empty_class_in_a_table_is_refused():
    with pytest.raises(InputError, match="class 2 is empty"):
        stages.merge_stages(np.array([1]), ((1,), (), (2,)))


@pytest.mark.parametrize("stage", [0, 12, -1])
def test_a_stage_that_does_not_exist_is_refused(stage):
    with pytest.raises(InputError, match=rf"stage {stage} is not in 1\.\.11"):
        stages.merge_stages(np.array([1, stage, 2]))


def test_an_age_equal_to_a_cut_is_in_the_older_class():
    months = np.array([0, 83.9, 84, 113, 114, 137.5, 138, 161, 162, 300], np.float32)
    classes = stages.stages_by_months(months)
    assert classes.dtype == np.int32
    assert classes.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_classes_and_their_names_agree_in_number():
    assert len(stages.merge_names()) == len(stages.MERGE_SMI)
    assert len(stages.month_names()) == len(stages.MONTH_CUTS) + 1
    assert stages.merge_names(((1,), (2, 3)))[0] == "SMI 1"


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ((), "at least one"),
        ((84, 84), "above the one before"),
        ((114, 84), "above the one before"),
        ((0, 84), "positive"),
        ((-1,), "positive"),
        ((84, float("nan")), "positive"),
        ((84, float("inf")), "positive"),
    ],
)
def test_wrong_cuts_are_refused(cuts, message):
    with pytest.raises(InputError, match=message):
        stages.stages_by_months(np.array([100.0]), cuts)

"""`labels.csv` of hands."""

import pytest

from metabone.datasets.hand_labels import HandLabel, labels_text, read_hand_labels
from metabone.errors import InputError


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "labels.csv").write_bytes(text.encode())
        return tmp_path / "labels.csv"

    return write


def test_rows_know_age_or_stage_or_both_and_sex_where_it_is_known(table):
    assert read_hand_labels(table("id,bone_age_months,sex\na,60.5,F\nb,61,\n")) == (
        HandLabel("a", 60.5, None, "F"),
        HandLabel("b", 61.0, None, ""),
    )
    assert read_hand_labels(
        table("\ufeffstage;name;id;bone_age_months\r\n11;Doe;a;180,25\r\n")
    ) == (HandLabel("a", 180.25, 11, ""),)


@pytest.mark.parametrize(
    "labels",
    [
        (HandLabel("a", 60.125, None, "F"), HandLabel("b", 7.0, None, "")),
        (HandLabel("a", None, 3, ""),),
        (HandLabel("a", 1.0, 11, "M"),),
    ],
)
def test_what_is_written_is_read(labels, table):
    assert read_hand_labels(table(labels_text(labels))) == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name id once"),
        ("id,sex\na,F\n", "must name bone_age_months or stage"),
        ("id,stage,stage\na,1,1\n", "must name stage once"),
        ("id,stage\n", "holds no rows"),
        ("id,stage\n,1\n", "line 2: has no id"),
        ("id,stage\na,1\na,1\n", "line 3: id 'a' is there twice"),
        ("id,stage\na,12\n", "line 2: stage '12' is not in 1..11"),
        ("id,stage\na,1.5\n", "line 2: stage '1.5' is not in 1..11"),
        ("id,bone_age_months\na,x\n", "line 2: 'x' is no number"),
        ("id,bone_age_months\na,nan\n", "line 2: nan is not in 0..300"),
        ("id,bone_age_months\na,-1\n", "line 2: -1 is not in 0..300"),
        ("id,stage,sex\na,1,x\n", "line 2: sex 'x' is neither F nor M nor empty"),
        ("id,stage\na,1,2\n", "line 2: has another number of cells"),
    ],
)
def test_a_row_that_breaks_a_rule_is_one_line(text, message, table, one_line):
    with pytest.raises(InputError) as caught:
        read_hand_labels(table(text))
    one_line(caught, message, "labels.csv")

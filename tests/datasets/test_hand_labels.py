"""`labels.csv` of hands."""

import pytest

from metabone.datasets.hand_labels import (
    HandLabel,
    labels_text,
    read_hand_labels,
    with_names_of_files,
)
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


SAME = (HandLabel("0001", 50.0, None, "F"), HandLabel("0002", 150.0, None, "M"))


@pytest.mark.parametrize(
    "text",
    [
        "id,boneage,male\n0001,50,False\n0002,150,True\n",
        "Case ID,Sex,Ground truth bone age (months)\n0001,F,50\n0002,M,150\n",
        "Image ID,male,Bone Age (months)\n0001.png,FALSE,50\n0002.PNG,TRUE,150\n",
        "id, bone_age_months, sex\n0001, 50, female\n0002, 150, Male\n",
        "\ufeffID;Bone_Age_Months;Gender\r\n0001;50;f\r\n0002;150;m\r\n;;\r\n",
        "id\tbone_age_years\tsex\n0001.jpg\t4,1666666666666667\tF\n0002\t12.5\tM\n",
    ],
)
def test_the_fields_own_headers_and_words_are_read_as_ours(text, table):
    assert read_hand_labels(table(text)) == SAME


def test_sex_may_be_unknown_or_missing(table):
    assert [row.sex for row in read_hand_labels(table("id,boneage,sex\na,60,U\nb,61,\n"))] == [
        "",
        "",
    ]
    assert read_hand_labels(table("id,boneage\na,60\n"))[0].sex == ""


@pytest.mark.parametrize("header", ["patient", "Patient ID"])
def test_a_patient_is_called_by_the_first_film_and_not_by_name(header, table):
    text = f"id,boneage,{header}\na,60,Doe\nb,61,Roe\nc,62,Doe\nd,63,\ne,64,\n"
    rows = read_hand_labels(table(text))
    assert [row.patient for row in rows] == ["a", "b", "a", "d", "e"]


def test_ids_that_a_spreadsheet_has_changed_are_read_as_the_numbers_of_files(table):
    path = table("id,boneage,patient\n7,60,Doe\n8.0,61,Doe\n0009,62,Roe\nx,63,\n")
    rows, notes = with_names_of_files(
        read_hand_labels(path), ("0007", "8", "0009", "x", "y2"), path
    )
    assert [(row.id, row.patient) for row in rows] == [
        *(("0007", "0007"), ("8", "0007"), ("0009", "0009"), ("x", "x"))
    ]
    assert notes == ("2 of 4 ids are read as the numbers of films, as 7 of 0007",)
    same = read_hand_labels(path)
    assert with_names_of_files(same, ("7", "8.0", "0009"), path) == (same, ())


@pytest.mark.parametrize(
    ("rows", "names", "message"),
    [
        ("7,60\n", ("007", "0007"), "id '7' may be '007' or '0007'"),
        ("7,60\n7.0,61\n", ("0007",), "id '7.0' and another row both mean '0007'"),
        ("7.0,60\n7,61\n", ("7",), "id '7.0' and another row both mean '7'"),
    ],
)
def test_a_number_of_two_films_or_two_rows_is_refused(rows, names, message, table, one_line):
    path = table(f"id,boneage\n{rows}")
    with pytest.raises(InputError) as caught:
        with_names_of_files(read_hand_labels(path), names, path)
    one_line(caught, message, "labels.csv")


@pytest.mark.parametrize(
    "labels",
    [
        (HandLabel("a", 60.125, None, "F"), HandLabel("b", 7.0, None, "")),
        (HandLabel("a", None, 3, ""),),
        (HandLabel("a", 1.0, 11, "M"),),
        (HandLabel("a", 70.0, None, "M", "a"), HandLabel("b", 90.0, None, "F", "a")),
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
        ("id,bone_age_months\na,x\n", "line 2: bone_age_months: 'x' is no number"),
        ("id,bone_age_months\na,1_5_0\n", "line 2: bone_age_months: '1_5_0' is no number"),
        ("id,bone_age_months\na,7.5\nb,17\n", "17, so they look like years; if so call the"),
        ("id,bone_age_years\na,50\n", "line 2: bone_age_years: 50 is not in 0..25"),
        ("id,bone_age_years,boneage\na,5,60\n", "in months and in years, keep one"),
        ("id,boneage,bone_age_months\na,60,60\n", "must name bone_age_months once"),
        ("id,boneage,male\na,60,x\n", "line 2: male 'x' is neither True nor False nor empty"),
        ("id,boneage,male,sex\na,60,1,M\n", "columns sex and male, keep one"),
        ("id,boneage\na.png,60\na,70\n", "line 3: id 'a' is there twice"),
        ("id,bone_age_months\na,nan\n", "line 2: bone_age_months: nan is not in 0..300"),
        ("id,bone_age_months\na,-1\n", "line 2: bone_age_months: -1 is not in 0..300"),
        ("id,stage,sex\na,1,x\n", "line 2: sex 'x' is neither F nor M nor U nor empty"),
        ("id,stage\na,1,2\n", "line 2: has another number of cells"),
    ],
)
def test_a_row_that_breaks_a_rule_is_one_line(text, message, table, one_line):
    with pytest.raises(InputError) as caught:
        read_hand_labels(table(text))
    one_line(caught, message, "labels.csv")

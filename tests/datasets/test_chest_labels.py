import pytest

from metabone.datasets.chest_labels import read_chest_labels
from metabone.errors import InputError

HEADER = "id,patient,age_years,sex,view"
# As in ChestX-ray14, where a column is named twice by halves and every line ends in a comma.
NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def read(tmp_path, *lines):
    place = tmp_path / "labels.csv"
    place.write_text("\n".join(lines) + "\n")
    return read_chest_labels(place)


def months_of(tmp_path, cell):
    return read(tmp_path, HEADER, f'a,1,"{cell}",F,PA')[0].months


@pytest.mark.parametrize(
    ("cell", "months"),
    [
        ("58", 696),
        ("058Y", 696),
        ("011M", 11),
        ("013D", 13 / 365.25 * 12),
        ("3w", 21 / 365.25 * 12),
        ("7,5", 90),
        ("0", 0),
        ("100", 1200),
    ],
)
def test_an_age_in_years_months_weeks_or_days_becomes_months(tmp_path, cell, months):
    assert months_of(tmp_path, cell) == pytest.approx(months)


@pytest.mark.parametrize("cell", ["", "101", "414", "414Y", "1201M", "-1", "9" * 400])
def test_what_is_no_age_of_a_patient_is_no_age(tmp_path, cell):
    assert months_of(tmp_path, cell) is None


@pytest.mark.parametrize("cell", ["old", "58 years", "nan", "inf", "1e1", "5_8", "٥٨"])
def test_what_is_no_number_is_refused_with_its_line(tmp_path, cell, one_line):
    with pytest.raises(InputError, match="expected years such as 58") as caught:
        months_of(tmp_path, cell)
    one_line(caught, "labels.csv, line 2")


def test_the_table_of_the_nih_is_read_as_it_is_published(tmp_path):
    rows = read(
        tmp_path,
        NIH,
        "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,",
        "00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,AP,2894,2729,0.143,0.143,",
        "00000002_000.png,No Finding,0,2,007,F,PA,2500,2048,0.171,0.171,",
    )
    assert [row.id for row in rows] == ["00000001_000", "00000001_001", "00000002_000"]
    assert [row.months for row in rows] == [696, 696, 84]
    assert [row.sex for row in rows] == ["M", "M", "F"]
    assert all(row.frontal for row in rows)


def test_films_of_one_patient_are_called_by_the_first_and_no_name_leaves_the_table(tmp_path):
    rows = read(tmp_path, HEADER, "a,Jane Doe,5,F,PA", "b,Max,6,M,PA", "c,Jane Doe,7,F,PA")
    assert [row.patient for row in rows] == ["a", "b", "a"]
    assert "Jane" not in repr(rows)


@pytest.mark.parametrize("view", ["PA", "ap", "AP supine", "AP_ERECT", "Frontal", ""])
def test_a_view_from_the_front_or_back_or_none_is_frontal(tmp_path, view):
    assert read(tmp_path, HEADER, f"a,1,5,F,{view}")[0].frontal


@pytest.mark.parametrize("view", ["L", "lateral", "LL", "RLD", "paediatric"])
def test_another_view_is_not_frontal(tmp_path, view):
    assert not read(tmp_path, HEADER, f"a,1,5,F,{view}")[0].frontal


def test_sex_and_view_may_be_unknown(tmp_path):
    (row,) = read(tmp_path, "id,patient,age_years", "a.png,1,5")
    assert (row.id, row.sex, row.frontal) == ("a", "", True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEADER,), "holds no rows"),
        (("id,age_years", "a,5"), "must name patient once"),
        (("id,patient", "a,5"), "must name age_years once"),
        ((HEADER, "a,1,5,F,PA", "a.png,2,6,F,PA"), "line 3: id 'a' is there twice"),
        ((HEADER, "a,,5,F,PA"), "line 2: names no patient"),
        ((HEADER, "../a,1,5,F,PA"), "id '../a' must be letters"),
        ((HEADER, "a,1,5,x,PA"), "line 2: sex 'x' is neither F nor M"),
        ((HEADER, "a,1,5,F"), "another number of cells"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path, lines, message, one_line):
    with pytest.raises(InputError) as caught:
        read(tmp_path, *lines)
    one_line(caught, message, "labels.csv")

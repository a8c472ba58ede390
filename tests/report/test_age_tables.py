import pytest

from metabone.evaluation.age_errors import age_groups
from metabone.report.age_checks import conformal_table, robustness_tables
from metabone.report.age_papers import chest_table, paced_table
from metabone.report.age_rows import ages_in_words, band_name, of_most_films
from metabone.report.age_tables import age_tables, bands_table, errors_table, films_table
from metabone.report.result_tables import all_tables
from metabone.report.runs import sweep_table

MONTHS, SEX = [100.0, 120.0, 140.0, 160.0], ["M", "M", "F", "F"]


def row(arm, off, origin="random", view="squashed", films=800, sex="input", **more):
    """A row whose males are off by `off` months and females by twice as much."""
    predicted = [m + off * (1 if s == "M" else 2) for m, s in zip(MONTHS, SEX, strict=True)]
    labels = {"arm": arm, "origin": origin, "view": view, "films": films, "sex": sex}
    groups = age_groups(predicted, MONTHS, SEX, range(4))
    return labels | {"trainings": 1, "test_films": 4, "groups": groups} | more


def medians(films=800):
    return [
        row("median", 20, "", "", films, ""),
        row("median by sex", 16, "", "", films, ""),
    ]


def result(*rows, **more):
    data = [{"role": "target", "kind": "real"}]
    return {"experiment": "bone_age", "complete": True, "data": data, "rows": list(rows)} | more


def texts(table):
    return [[str(cell) for cell in line] for line in table.rows]


def test_the_medians_come_first_and_every_arm_has_errors_of_all_males_and_females():
    found = result(row("head", 4), row("all", 2, "simulated"), *medians())
    table = errors_table(found, of_most_films(found["rows"]))
    assert table.columns == ("arm", "begins with", "all", "male", "female", "test films")
    # Students interval of 2, 2, 4, 4: t(3) * sd / 2.
    assert texts(table)[2:] == [
        ["head", "random", "6.0 ± 3.7", "4.0 ± 0.0", "8.0 ± 0.0", "4"],
        ["all", "simulated", "3.0 ± 1.8", "2.0 ± 0.0", "4.0 ± 0.0", "4"],
    ]
    assert [line[:3] for line in texts(table)[:2]] == [
        ["median", "-", "30.0 ± 18.4"],
        ["median by sex", "-", "24.0 ± 14.7"],
    ]
    for said in ("real films", "sees films: squashed", "training films: 800", "sex: an input"):
        assert said in table.title
    assert "INCOMPLETE" in errors_table(found | {"complete": False}, found["rows"]).title


def test_a_group_without_films_is_a_dash():
    own = row("all", 2)
    own["groups"]["female"] = None
    table = errors_table(result(own), [own])
    assert texts(table) == [["all", "3.0 ± 1.8", "2.0 ± 0.0", "-", "4"]]


def test_rows_of_fewer_films_stand_in_the_table_by_number_of_films():
    fewer, most = row("all", 8, films=50), row("all", 2, films=780)
    other = row("all", 4, "simulated", films=780)
    found = result(*medians(50), *medians(780), fewer, most, other)
    assert [own["films"] for own in of_most_films(found["rows"])] == [780] * 4
    table = films_table(found)
    assert table.columns == ("arm", "begins with", "50", "780")
    assert texts(table)[0] == ["median", "-", "30.0 ± 18.4", "30.0 ± 18.4"]
    assert texts(table)[2:] == [
        ["all", "random", "12.0 ± 7.3", "3.0 ± 1.8"],
        ["all", "simulated", "-", "6.0 ± 3.7"],
    ]
    assert films_table(result(most, other)) is None


def test_published_paced_errors_stand_beside_ours_with_what_they_were_scored_on():
    found = result(*medians(), row("paced", 2), row("block exit", 4), row("paced", 1, "simulated"))
    table = paced_table(found)
    lines = {line[0]: line[1:] for line in texts(table)}
    assert lines["paced"][0] == "from simulated hands, squashed, sex an input"
    assert [cell.aside for cell in table.rows[-1][2:]] == ["7.7; 8.1", "6.0; 7.5", "6.3; 7.3"]
    assert lines["paced"][1].startswith("1.5 ± 0.9 [")
    assert lines["exit flow up"][1] == "6.0 ± 3.7 [12.7; 16.6]"
    assert lines["the head"][1] == "- [28.2; 28.7]" and lines["median"][1] == "30.0 ± 18.4"
    assert "earlier stages were trained on" in table.notes[0] and "33.0" in table.notes[0]
    assert paced_table(result(row("all", 2))) is None


def test_published_chest_errors_stand_beside_ours_once_an_origin():
    found = result(*medians(), row("all", 2, "chest 0-20"), row("last 30 layers", 1, "chest 0-20"))
    table = chest_table(found)
    lines = texts(table)
    assert lines[0] == ["the median", "-", "33.0", "30.0 ± 18.4"]
    chest = [line for line in lines if line[0] == "chests, 0-20 years"]
    assert [line[2] for line in chest] == ["33.9", "37.0", "41.8", "34.5", "36.7", "35.8"]
    assert chest[0][3].startswith("1.5 ± 0.9 [last 30 layers, from chest 0-20")
    assert {line[3] for line in chest[1:]} == {""}
    assert ["ImageNet", "50 epochs", "76.8", "-"] in lines and "33.0" in table.notes[0]
    assert chest_table(result(row("all", 2))) is None


def test_bands_are_of_the_best_row_beside_the_medians_in_the_same_band():
    def band(low, high, sex, mae):
        return {"from": low, "to": high, "sex": sex, "n": 3, "mae": mae, "mae_ci95": 1, "bias": -2}

    own = [band(0, 60, "all", 9), band(0, 60, "male", 8), band(240, None, "all", 7)]
    best, worse = row("all", 1, bands=own), row("head", 9, bands=[band(0, 60, "all", 70)])
    median = row("median", 20, "", "", sex="", bands=[band(0, 60, "all", 50)])
    table = bands_table(result(median, worse, best))
    assert texts(table) == [
        ["0-60", "median", "50.0 ± 1.0", "-", "-", "-2.0", "3"],
        ["0-60", "all", "9.0 ± 1.0", "8.0 ± 1.0", "-", "-2.0", "3"],
        ["240 and over", "all", "7.0 ± 1.0", "-", "-", "-2.0", "3"],
    ]
    assert band_name(None, 60) == "under 60" and bands_table(result(row("all", 1))) is None


@pytest.mark.parametrize("between", ["coverage_range", "coverage_ci95"])
def test_coverage_and_width_of_conformal_intervals_are_told_by_sex(between):
    def held(share):
        return {"coverage": share, between: [share - 0.05, share + 0.04], "half_width": 15.24}

    told = {"level": 0.9, "all": held(0.9), "male": held(0.88), "female": None}
    told |= {"repeats": 100} if between == "coverage_range" else {}
    table = conformal_table(result(row("all", 2, conformal=told), row("head", 9)))
    assert texts(table) == [["all", "90.0 (85 to 94)", "15.2", "88.0 (83 to 92)", "15.2", "-", "-"]]
    assert "90 %" in table.title
    assert ("200 random halves" in table.notes[1]) == (between == "coverage_range")
    assert conformal_table(result(row("all", 2))) is None


def test_what_moves_answers_is_told_beside_the_medians_that_nothing_moves():
    told = [{"change": "mirror", "moved_12": 0.254, "mean_move": 7.25, "mae": 9.04}]
    (table,) = robustness_tables(result(*medians(), row("all", 2, robustness=told)))
    assert texts(table) == [["mirror", "25.4", "7.2", "9.0"]]
    assert "median 30.0 and median by sex 24.0" in table.notes[1]


def test_a_sentence_names_the_lowest_error_and_the_medians():
    found = result(*medians(), row("head", 9), row("paced", 2, "simulated", "aligned"))
    assert ages_in_words(found) == (
        "Bone age is read with a mean absolute error of 3.0 ± 1.8 months (male 2.0 and female 4.0) "
        "on 4 films, after learning from 800: paced, from simulated hands, aligned, sex an input, "
        "the lowest on these very films of 2. The median of the training ages is off by 30.0 "
        "months, that by sex by 24.0."
    )
    # Where other films can choose, the films that are measured on do not.
    chosen = result(
        *medians(), row("head", 9, validation_mae=[4.0]), row("paced", 2, validation_mae=[5.0])
    )
    assert ": head, " in ages_in_words(chosen)
    assert "chosen by other films out of 2" in ages_in_words(chosen)
    assert ages_in_words(result(*medians())) == ""


def test_results_of_other_kinds_have_none_of_it_and_those_of_ages_nothing_else():
    other = {"rows": [{"metric": "accuracy", "mean": 0.5, "shots": 5}]}
    assert age_tables(other) == [] and ages_in_words(other) == ""
    found = result(*medians(), row("all", 2))
    assert all_tables(found) == age_tables(found) and len(age_tables(found)) == 2


def test_a_run_that_has_only_the_medians_yet_has_their_tables():
    found = result(*medians(50), *medians(800), complete=False)
    tables = age_tables(found)
    assert [[line[0] for line in texts(table)] for table in tables] == [
        ["median", "median by sex"]
    ] * len(tables)
    assert tables[0].columns == ("arm", "all", "male", "female", "test films") and len(tables) == 2
    assert texts(sweep_table({"rate=1": found})) == [["rate=1", "1"]]

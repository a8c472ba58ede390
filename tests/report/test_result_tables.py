import pytest

from metabone.report import film_tables, ranked_tables, result_tables
from metabone.report.result import Presentation

ONCE = "One training each: other trainings differ by more than the intervals say."


def texts(table):
    return [[str(cell) for cell in row] for row in table.rows]


def test_headline_table_has_our_figure_and_the_published_one_beside(result_of):
    table = result_tables.results_table(result_of())
    assert table.columns == ("learning", "model", "5 shots", "10 shots", "20 shots")
    assert texts(table)[0] == [
        "base",
        "pretrained",
        "46.0 ± 1.2 [42.4]",
        "51.5 ± 1.0 [45.7]",
        "57.0 ± 0.8 [50.6]",
    ]
    assert [row[:2] for row in texts(table)[1:]] == [
        ["base", "scratch"],
        ["meta", "pretrained"],
        ["meta", "scratch"],
    ]
    assert table.notes[0] == "Chance: 20.0 %."
    assert table.notes[1].startswith("One training each")
    assert "another data set, 865 private" in table.notes[2]


def test_notes_say_what_the_learners_are_and_how_many_draws_each_had_where_that_differs(result_of):
    result = result_of()
    assert not any(note.startswith("Draws") for note in result_tables.results_table(result).notes)
    result["learners"] = "From scratch: three blocks."
    for row in result["rows"]:
        if (row["learning"], row["model"]) == ("base", "scratch"):
            row["n"] = 6
    notes = result_tables.results_table(result).notes
    assert notes[1] == (
        "Draws: 100 for base pretrained, meta pretrained and meta scratch; 6 for base scratch."
    )
    assert notes[3] == "From scratch: three blocks."


@pytest.mark.parametrize("kind", ["simulated", "real"])
def test_title_says_the_kind_of_data_the_draws_and_the_seed(result_of, kind):
    title = result_tables.results_table(result_of(kind=kind)).title
    assert title == (
        f"Accuracy, %, mean ± 95 % interval over 100 draws; {kind} films; "
        "inductive batch norm; seed 0"
    )


def with_stages(result):
    for row in result["rows"]:
        row |= {"covers": "other films of these classes", "ci95_draws": row["ci95"] / 2}
        row |= {"mae_stages": 2 - 2 * row["mean"], "mae_stages_ci95": 0.03}
        row |= {"kappa": row["mean"] + 0.1, "kappa_ci95": 0.014}
    return result


def test_stage_errors_and_kappas_stand_in_a_table_of_their_own(result_of):
    assert film_tables.stages_table(result_of()) is None
    result = with_stages(result_of())
    table = film_tables.stages_table(result)
    shots = ("5 shots", "10 shots", "20 shots")
    expected = [f"{name}, {each}" for name in ("error", "kappa") for each in shots]
    assert list(table.columns[2:]) == expected
    errors, kappas = ["1.08", "0.97", "0.86"], ["0.56", "0.61", "0.67"]
    assert texts(table)[0] == [
        "base",
        "pretrained",
        *(f"{error} ± 0.03" for error in errors),
        *(f"{kappa} ± 0.01" for kappa in kappas),
    ]
    assert table in result_tables.all_tables(result)
    del result["rows"][0]["mae_stages"]
    assert texts(film_tables.stages_table(result))[0][2] == "-"


def test_tables_say_what_their_intervals_cover(result_of):
    result = with_stages(result_of())
    for table in (result_tables.results_table(result), film_tables.region_table(result)):
        assert "± 95 % interval for other films of these classes over 100 draws" in table.title
        (note,) = [note for note in table.notes if note.startswith("Intervals cover")]
        narrow = "0.4 to 0.6" if table.columns[2] == "5 shots" else "0.4"
        assert note == (
            "Intervals cover other films of these classes. Other draws of the very same: "
            f"accuracy ± {narrow}."
        )


def test_rows_that_are_still_missing_leave_a_dash_and_the_title_says_so(result_of):
    table = result_tables.results_table(result_of(regions=1, complete=False))
    assert table.title.endswith("INCOMPLETE")
    assert texts(table)[-1] == ["base", "scratch", "38.0 ± 1.2 [23.1]", "-", "-"]


def test_result_without_rows_has_no_tables():
    assert result_tables.all_tables({"experiment": "smi", "complete": False, "rows": []}) == []


def test_gains_have_their_sign_and_the_intervals_together(result_of):
    table = result_tables.gains_table(result_of())
    assert texts(table) == [
        ["pretrained", "+11.0 (2.4)", "+11.0 (2.0)", "+11.0 (1.6)"],
        ["scratch", "+24.0 (2.4)", "+24.0 (2.0)", "+24.0 (1.6)"],
    ]


def test_gains_on_the_same_tasks_say_that_they_are_paired(result_of):
    plain = result_of()
    paired = {**plain, "rows": [{**row, "to_meta_ci95": 0.005} for row in plain["rows"]]}
    table = result_tables.gains_table(paired)
    assert texts(table)[0] == ["pretrained", "+11.0 (0.5)", "+11.0 (0.5)", "+11.0 (0.5)"]
    assert table.notes[-1].startswith("In brackets half of its 95 % interval, paired by film")
    assert "sum of the two" in result_tables.gains_table(plain).notes[-1]


def test_region_table_ends_in_the_published_regions(result_of):
    table = film_tables.region_table(result_of())
    assert table.columns[2:] == (*(f"region {i}" for i in range(1, 7)), "vote")
    assert "20 shots" in table.title
    assert texts(table)[-1] == [
        "Min and Kang 2018",
        "",
        *[f" [{x}]" for x in ("63.0", "45.9", "50.0", "69.9", "59.9", "50.0")],
        "-",
    ]
    assert "does not state" in table.notes[1]


def test_regions_of_another_number_stand_without_the_published_ones(result_of):
    table = film_tables.region_table(result_of(regions=4))
    assert len(table.rows) == 4 and table.notes == ("Chance: 20.0 %.",)


def test_single_region_has_no_region_table(result_of):
    assert film_tables.region_table(result_of(regions=1)) is None
    assert film_tables.tie_table(result_of(regions=1)) is None


def test_tie_rate_is_in_percent(result_of):
    assert texts(film_tables.tie_table(result_of()))[0][2:] == ["9.0", "8.0", "7.0"]


def test_first_draws_have_no_interval(result_of):
    assert texts(result_tables.first_draws_table(result_of()))[0][2] == "47.3 [42.4]"


def test_without_a_reference_no_brackets_and_no_note(result_of):
    plain = Presentation("Elsewhere")
    table = result_tables.results_table(result_of(), presentation=plain)
    assert texts(table)[0][2] == "46.0 ± 1.2" and table.notes == ("Chance: 20.0 %.", ONCE)
    assert "simulated images" in table.title


def test_errors_in_months_are_no_percentages():
    row = {"learning": "meta", "model": "scratch", "shots": 5, "norm": "inductive"}
    rows = [row | {"metric": "mae", "mean": 9.24, "ci95": 0.31, "n": 20, "unit": "draws"}]
    table = result_tables.results_table({"experiment": "bone_age", "complete": True, "rows": rows})
    assert texts(table)[0][2] == "9.2 ± 0.3"
    assert table.title.startswith("Mean absolute error, months")


def test_all_tables_start_with_the_inductive_one(result_of):
    titles = [table.title for table in result_tables.all_tables(result_of())]
    assert ["inductive" in titles[0], "Meta minus base" in titles[1]] == [True, True]
    assert "transductive" in titles[2] and "20 shots" in titles[3] and len(titles) == 4


def test_a_single_shot_is_not_called_shots(result_of):
    result = result_of(regions=1)
    for row in result["rows"]:
        row["shots"] //= 5
    assert result_tables.results_table(result).columns[2:] == ("1 shot", "2 shots", "4 shots")


def test_chance_is_that_of_each_rows_own_number_of_ways():
    row = {"learning": "maml", "shots": 1, "norm": None, "metric": "accuracy", "mean": 0.5}
    rows = [row | {"model": f"{ways} ways", "ways": ways} for ways in (5, 20)]
    table = result_tables.results_table({"experiment": "benchmark", "rows": rows}, None)
    assert table.notes == ("Chance: 5.0 % or 20.0 %.", ONCE)


def test_ranking_has_chance_below_and_paired_differences_in_points():
    ranking = [
        {"learning": "anil", "mean": 0.5, "n": 50},
        {"learning": "boil", "mean": 0.3, "n": 50, "to_best": -0.2, "ci95": 0.03},
    ]
    table = ranked_tables.ranking_table({"ranking": ranking, "ways": 5})
    assert texts(table) == [["1", "anil", "50.0", "-"], ["2", "boil", "30.0", "-20.0 ± 3.0"]]
    assert table.columns[2:] == ("accuracy, %", "to the best, points")
    assert table.notes[0] == "Chance: 20.0 %."


def test_ranking_says_whether_its_intervals_hold_all_at_once():
    behind = {"n": 50, "to_best": -0.2, "ci95": 0.03}
    ranking = [
        {"learning": "anil", "mean": 0.5, "n": 50},
        {"learning": "boil", "mean": 0.3, **behind},
        {"learning": "maml", "mean": 0.3, **behind},
    ]
    assert "hold one by one" in ranked_tables.ranking_table({"ranking": ranking}).notes[-1]
    corrected = [ranking[0], *({**row, "interval": "by t"} for row in ranking[1:])]
    note = ranked_tables.ranking_table({"ranking": corrected}).notes[-1]
    assert "hold all at once (by t)" in note and "one by one" not in note


def test_results_name_what_has_diverged(result_of):
    plain = result_of()
    lost = {("meta", "scratch"): 0.0001}
    rows = [
        {**row, "not_finite": lost.get((row["learning"], row["model"]), 0.0)}
        for row in plain["rows"]
    ]
    said = "Answers that are not finite count as wrong: meta scratch up to 0.1 %."
    assert said in result_tables.results_table({**plain, "rows": rows}).notes
    assert not any("finite" in note for note in result_tables.results_table(plain).notes)


def test_ranking_and_search_name_what_has_diverged():
    rows = [
        {"learning": "anil", "metric": "accuracy", "mean": 0.5},
        {"learning": "boil", "metric": "accuracy", "mean": 0.1, "not_finite": 0.25},
        {"learning": "boil", "metric": "accuracy", "mean": 0.0, "not_finite": 1.0},
    ]
    ranking = [{"learning": "anil", "mean": 0.5, "n": 50}]
    notes = ranked_tables.ranking_table({"ranking": ranking, "rows": rows}).notes
    assert notes[-1] == "Answers that are not finite count as wrong: boil up to 100.0 %."
    entry = {"model": "scratch", "shots": 5, "options": {"rate": 0.1}, "mean": 0.2, "ci95": 0.1}
    table = ranked_tables.search_table({"search": [{**entry, "n": 5, "not_finite": 0.5}]})
    assert table.notes == ("Answers that are not finite count as wrong: scratch up to 50.0 %.",)
    assert ranked_tables.search_table({"search": [{**entry, "n": 5}]}).notes == ()


def test_notes_say_how_often_each_was_trained_and_that_nobody_trains_some(result_of):
    result = result_of()
    told = [note_of_trainings(result, counts) for counts in ((1, 0), (3, 0), (3, 1), (0, 0))]
    assert told == [
        ONCE,
        "Means over 3 trainings, whose spread is in the intervals.",
        "Means over up to 3 trainings, whose spread is in the intervals; what was trained once is "
        "not known to that extent.",
        "",
    ]


def note_of_trainings(result, counts):
    often = dict(zip(("meta", "base"), counts, strict=True))
    rows = [row | {"trainings": often[row["learning"]]} for row in result["rows"]]
    notes = result_tables.results_table({**result, "rows": rows}).notes
    return "".join(note for note in notes if "raining" in note)


@pytest.mark.parametrize(("trainings", "said"), [(1, "others may undo it."), (3, "it is clear.")])
def test_a_difference_is_clear_only_where_others_were_seen(result_of, trainings, said):
    result = result_of()
    rows = [row | {"trainings": trainings} for row in result["rows"]]
    assert result_tables.gains_table({**result, "rows": rows}).notes[-1].endswith(said)
    ranking = [{"learning": name, "mean": 0.5, "n": 9, "trainings": trainings} for name in "ab"]
    ranking[1] |= {"to_best": -0.1, "ci95": 0.01, "interval": "max t over all pairs"}
    note = ranked_tables.ranking_table({"ranking": ranking}).notes[-1]
    assert ("is clear" in note) == (trainings > 1) and ("undo" in note) == (trainings == 1)

import pytest

from metabone.report import film_tables, plots, readings, result_tables, sections
from metabone.report.write import write_report

PAPER = [("meta", "scratch"), ("base", "scratch"), ("meta", "pretrained"), ("base", "pretrained")]
BEST = ("meta", "hog + pretrained, ordinal head, sex")


def texts(table):
    return {tuple(map(str, row[:2])): [str(cell) for cell in row[2:]] for row in table.rows}


def test_one_line_has_vote_and_mean_by_shots_and_the_stages_of_the_better(crowded):
    table = result_tables.results_table(crowded)
    shots = ("5 shots", "10 shots", "20 shots")
    expected = [f"{name}, {each}" for name in ("vote", "mean") for each in shots]
    assert table.columns[2:] == (*expected, "error, 20 shots", "kappa, 20 shots")
    lines = texts(table)
    # 8 models of three learners, 8 of two, 4 learners of whole films; the mean's kappa is higher.
    assert len(lines) == len(table.rows) == 8 * 3 + 8 * 2 + 4
    assert lines["meta", "scratch"] == [
        *("30.0 ± 3.0 [53.3]", "34.0 ± 3.0 [56.6]", "38.0 ± 3.0 [65.9]"),
        *("31.0 ± 3.0", "35.0 ± 3.0", "39.0 ± 3.0"),
        *("0.62 ± 0.04", "0.68 ± 0.02"),
    ]
    whole = ["51.5 ± 3.0", "55.5 ± 3.0", "59.5 ± 3.0", "-", "-", "-", "0.41 ± 0.04", "0.79 ± 0.02"]
    assert lines["protonet", "all regions, sex"] == whole


def test_published_figures_stand_beside_the_papers_own_models_alone(crowded):
    lines = texts(result_tables.results_table(crowded))
    assert [arm for arm, cells in lines.items() if "[" in "".join(cells)] == PAPER


def test_learners_of_one_norm_mode_are_not_in_the_table_of_the_other(crowded):
    lines = texts(result_tables.results_table(crowded, "transductive"))
    assert {learning for learning, _ in lines} == {"meta", "base"}
    assert all("-" not in cells for cells in lines.values())


def test_gains_are_within_one_model_by_vote_and_by_mean(crowded):
    table = result_tables.gains_table(crowded)
    assert len(table.rows) == 8  # the other models have no base learner beside
    assert table.columns[1] == "vote, 5 shots" and table.columns[4] == "mean, 5 shots"
    for row in crowded["rows"]:
        if (row["learning"], row["model"], row["region"]) == ("meta", "scratch", "mean"):
            row["mean"] += 0.1
    cells = [str(cell) for cell in result_tables.gains_table(crowded).rows[0]]
    assert cells == ["scratch", *["-0.5 (6.0)"] * 3, *["+9.5 (6.0)"] * 3]


def test_a_weighted_mean_stands_beside_the_others_and_may_be_the_best(run_of, crowded, read):
    learned = [
        row | {"region": "weighted", "mean": row["mean"] + 0.02, "kappa": 0.95}
        for row in crowded["rows"]
        if row["region"] == "mean"
    ]
    result = crowded | {"rows": crowded["rows"] + learned}
    table = result_tables.results_table(result)
    names = [name.split(",")[0] for name in table.columns[2:]]
    assert names == ["vote"] * 3 + ["mean"] * 3 + ["weighted"] * 3 + ["error", "kappa"]
    best = texts(table)[BEST]
    assert best[6:9] == ["81.0 ± 3.0", "85.0 ± 3.0", "89.0 ± 3.0"] and best[-1] == "0.95 ± 0.02"
    assert film_tables.region_table(result).columns[-3:] == ("vote", "mean", "weighted")
    words = read(write_report(run_of(result, metrics=False, examples=False))).words
    assert 'ordinal head, sex" by weighted mean of probabilities: 89.0 ± 3.0 %, kappa 0.95' in words


def test_what_was_not_answered_is_told_below_a_confusion_matrix(run_of, crowded, read):
    crowded["confusions"][0]["unanswered"] = 1200
    words = read(write_report(run_of(crowded, metrics=False, examples=False))).words
    assert "meta scratch, 20 shots; 1,200 not answered" in words
    assert words.count("not answered") == 1


def test_regions_are_shown_of_the_papers_learners_and_the_best_alone(crowded):
    lines = texts(film_tables.region_table(crowded))
    assert list(lines) == [*PAPER, BEST, ("Min and Kang 2018", "")]
    means = ["56.0", "55.0", "54.0", "53.0", "52.0", "51.0", "57.0", "87.0"]
    assert lines[BEST] == [f"{mean} ± 3.0" for mean in means]
    assert list(texts(film_tables.tie_table(crowded))) == [*PAPER, BEST]


def test_stages_at_every_number_of_shots_are_those_of_the_better_reading(crowded):
    table = film_tables.stages_table(crowded)
    assert "by vote or mean of probabilities, the more often right" in table.title
    kappas = ["0.60 ± 0.02", "0.64 ± 0.02", "0.68 ± 0.02"]
    assert texts(table)["meta", "scratch"][3:] == kappas


def test_the_smallest_error_leads_where_small_is_good():
    row = {"model": "scratch", "shots": 5, "metric": "mae"}
    rows = [row | {"learning": f"learner {i}", "mean": abs(i - 2.0)} for i in range(5)]
    assert readings.leading_arms(rows, 3) == [(f"learner {i}", "scratch") for i in (1, 2, 3)]


@pytest.mark.parametrize("learners", [1, 8, 16])
def test_no_two_lines_of_a_chart_look_alike(learners):
    rows = [{"learning": f"learner {i % 5}", "model": f"model {i}"} for i in range(learners)]
    arms = [(row["learning"], row["model"]) for row in rows]
    looks = sections.looks_of(arms, rows)
    assert len(set(looks)) == learners
    assert all(0 <= c < plots.COLOURS and 0 <= s < plots.STYLES for c, s in looks)


def test_a_page_of_many_learners_names_the_best_and_shows_few_charts(run_of, crowded, read):
    page = read(write_report(run_of(crowded, metrics=False, examples=False)))
    assert "Meta-learning is above base learning in 0 of 6 cells" in page.words
    assert "Accuracies are between 30.0 and 87.0 %" in page.words
    assert (
        'Best of 84 at 20 shots: meta "hog + pretrained, ordinal head, sex" by mean of '
        "probabilities: 87.0 ± 3.0 %, kappa 0.87; the interval is for other films of these classes."
    ) in page.words
    assert len(page.attributes("svg")) == 2 + 5  # over shots by vote and by mean; regions
    assert sum("matrix" in table.get("class", "") for table in page.attributes("table")) == 5


def test_learners_of_whole_films_alone_are_told_without_a_vote(run_of, crowded, read):
    rows = [row for row in crowded["rows"] if row["model"] == "all regions, sex"]
    result = crowded | {"rows": rows, "confusions": []}
    words = read(write_report(run_of(result, metrics=False, examples=False))).words
    assert 'Best of 4 at 20 shots: protonet "all regions, sex": 59.5 ± 3.0 %' in words
    assert "mean, 5 shots" not in words and "Regions, 20 shots" not in words
